// Kernels in a graph of the emulated GPU: recorded and not run, then run at each launch, watched as any launch.
#include "kernels/device/graph.h"

#include <gtest/gtest.h>

#include "kernels/emu/recorder.h"
#include "kernels/ops/add.h"
#include "kernels/ops/normalise.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using tests::download;
using tests::upload;

TEST(emu_graph, kernels_run_at_each_launch_and_not_while_they_are_recorded) {
  Stream stream(Device::cuda({.threads = 2}));
  Tensor<float> x = upload<float>(stream, {5}, {1, 2, 3, 4, 5}), y = upload<float>(stream, {5}, {0, 0, 0, 0, 0});
  int called = 0;
  size_t launches_while_recorded = 0;
  emu::Recorder recorder({.counted = true});
  Graph graph(stream.device(), [&](Stream& s) {
    const size_t before = recorder.launches().size();
    ops::scale(s, x.view(), 2, x.view());
    ops::add(s, std::as_const(x).view(), y.view());
    if (++called == 2) launches_while_recorded = recorder.launches().size() - before;
  });
  std::vector<float> expected(5);
  float factor = 1;
  for (int round = 0; round < 4; ++round) {
    graph.run(stream);
    factor *= 2;
    for (size_t i = 0; i < 5; ++i) expected[i] += factor * static_cast<float>(i + 1);
    EXPECT_EQ(download(stream, y), expected) << round;
  }
  EXPECT_EQ(called, 2);
  EXPECT_EQ(launches_while_recorded, 0U);
  EXPECT_EQ(recorder.launches().size(), 8U);
}

// The arguments of a launch are those of the time when it was recorded.
TEST(emu_graph, arguments_are_copied_when_they_are_recorded) {
  Stream stream(Device::cuda({.threads = 1}));
  Tensor<float> x = upload<float>(stream, {3}, {1, 1, 1});
  float factor = 1;
  Graph graph(stream.device(), [&](Stream& s) { ops::scale(s, x.view(), factor, x.view()); });
  for (const float f : {2.0F, 3.0F, 100.0F, 1000.0F}) {
    factor = f;
    graph.run(stream);
  }
  EXPECT_EQ(download(stream, x), std::vector<float>(3, 2 * 3 * 3 * 3));
}

TEST(emu_graph, another_stream_is_not_recorded) {
  Stream stream(Device::cuda({.threads = 1})), other(stream.device());
  Tensor<float> x = upload<float>(stream, {3}, {1, 1, 1}), y = upload<float>(stream, {3}, {1, 1, 1});
  Graph graph(stream.device(), [&](Stream& s) {
    ops::scale(s, x.view(), 2, x.view());
    ops::scale(other, y.view(), 2, y.view());
  });
  for (int round = 0; round < 3; ++round) graph.run(stream);
  EXPECT_EQ(download(stream, x), std::vector<float>(3, 8));
  EXPECT_EQ(download(stream, y), std::vector<float>(3, 4));
}

TEST(emu_graph, an_operation_with_a_host_result_is_refused) {
  Stream stream(Device::cuda({.threads = 1}));
  Tensor<float> x = upload<float>(stream, {3}, {1, 1, 1});
  Graph graph(stream.device(), [&](Stream& s) { static_cast<void>(ops::sum_of_squares(s, x.view())); });
  graph.run(stream);
  const std::string said = tests::error_message([&] { graph.run(stream); });
  EXPECT_NE(said.find("cudaMalloc: operation not permitted when stream is capturing"), std::string::npos) << said;
}

}  // namespace
}  // namespace ptyfuse
