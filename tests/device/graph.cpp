// Work that is recorded and launched as a whole: it does each time what it did the first time, with what lies in memory
// by then.
#include "kernels/device/graph.h"

#include <gtest/gtest.h>

#include "kernels/device/event.h"
#include "kernels/device/pinned_buffer.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using tests::download;
using tests::error_message;
using tests::test_device;
using tests::upload;

constexpr int64_t bytes = 4 * sizeof(float);

TEST(graph, does_the_same_each_time_with_what_lies_in_memory) {
  Stream stream(test_device());
  Tensor<float> from = upload<float>(stream, {4}, {0, 0, 0, 0}), to = upload<float>(stream, {8}, std::vector<float>(8));
  const PinnedBuffer there(stream.device(), bytes, "there"), back(stream.device(), bytes, "back");
  auto* const given = static_cast<float*>(there.data());
  const auto* const got = static_cast<const float*>(back.data());
  int called = 0;
  Graph graph(stream.device(), [&](Stream& s) {
    ++called;
    fill_zero(s, to.view());
    enqueue_copy_on_device(s, to.data(), from.data(), bytes);
    enqueue_copy_to_device(s, to.data() + 4, there, 0, bytes);
    enqueue_copy_to_host(s, back, 0, to.data() + 2, bytes);
  });
  EXPECT_FALSE(graph.recorded());
  for (int round = 1; round <= 5; ++round) {
    const auto value = static_cast<float>(round);
    copy_to_device(stream, from.view(), std::vector<float>{value, value, value, -value}.data(), 4);
    for (int i = 0; i < 4; ++i) given[i] = 10 * value + static_cast<float>(i);
    graph.run(stream);
    stream.synchronise();
    EXPECT_EQ((std::vector<float>(got, got + 4)), (std::vector<float>{value, -value, 10 * value, 10 * value + 1}));
    EXPECT_EQ(download(stream, to).back(), 10 * value + 3);
  }
  const bool on_gpu = stream.device().kind() != DeviceKind::cpu;
  EXPECT_EQ(graph.recorded(), on_gpu);
  EXPECT_EQ(called, on_gpu ? 2 : 5);
}

TEST(graph, runs_behind_and_before_the_streams_other_work) {
  Stream stream(test_device());
  Tensor<float> x = upload<float>(stream, {4}, {0, 0, 0, 0}), y = upload<float>(stream, {4}, {0, 0, 0, 0});
  const PinnedBuffer pinned(stream.device(), bytes, "pinned");
  auto* const values = static_cast<float*>(pinned.data());
  Graph graph(stream.device(), [&](Stream& s) { enqueue_copy_on_device(s, y.data(), x.data(), bytes); });
  for (int round = 1; round <= 4; ++round) {
    for (int i = 0; i < 4; ++i) values[i] = static_cast<float>(round);
    enqueue_copy_to_device(stream, x.data(), pinned, 0, bytes);
    graph.run(stream);
    fill_zero(stream, x.view());
    EXPECT_EQ(download(stream, y), std::vector<float>(4, static_cast<float>(round)));
  }
}

TEST(graph, what_the_work_throws_leaves_the_stream_as_it_was) {
  Stream stream(test_device());
  Tensor<float> x = upload<float>(stream, {4}, {1, 2, 3, 4});
  int called = 0;
  Graph graph(stream.device(), [&](Stream& s) {
    fill_zero(s, x.view());
    if (++called == 2) throw Error(ErrorKind::shape, "the second time");
  });
  graph.run(stream);
  copy_to_device(stream, x.view(), std::vector<float>{1, 2, 3, 4}.data(), 4);
  EXPECT_EQ(error_message([&] { graph.run(stream); }), "the second time");
  EXPECT_FALSE(graph.recorded());
  for (int round = 0; round < 2; ++round) {
    copy_to_device(stream, x.view(), std::vector<float>{1, 2, 3, 4}.data(), 4);
    graph.run(stream);
    EXPECT_EQ(download(stream, x), std::vector<float>(4));
  }
}

TEST(pinned_copy, to_the_host_carries_a_run_of_the_buffer) {
  Stream stream(test_device());
  const Tensor<float> there = upload<float>(stream, {3}, {1, 2, 3});
  const PinnedBuffer pinned(stream.device(), bytes, "pinned");
  auto* const values = static_cast<float*>(pinned.data());
  for (int i = 0; i < 4; ++i) values[i] = -1;
  enqueue_copy_to_host(stream, pinned, sizeof(float), there.data() + 1, 2 * sizeof(float));
  Event done(stream.device());
  done.record(stream);
  done.synchronise();
  EXPECT_EQ((std::vector<float>(values, values + 4)), (std::vector<float>{-1, 2, 3, -1}));
  EXPECT_EQ(error_message([&] { enqueue_copy_to_host(stream, pinned, 12, there.data(), 8); }),
            "enqueue_copy_to_host: 8 bytes from byte 12 of pinned buffer 'pinned' of 16");
}

#ifdef PTYFUSE_EMU
TEST(pinned_copy, the_emulated_gpu_copies_to_the_host_as_late_as_it_may) {
  Stream stream(Device::cuda());
  const Tensor<float> there = upload<float>(stream, {1}, {5});
  const PinnedBuffer pinned(stream.device(), sizeof(float), "pinned");
  auto* const value = static_cast<float*>(pinned.data());
  *value = 0;
  enqueue_copy_to_host(stream, pinned, 0, there.data(), sizeof(float));
  EXPECT_EQ(*value, 0);
  stream.synchronise();
  EXPECT_EQ(*value, 5);
}
#endif

#ifdef PTYFUSE_CUDA
// What a GPU does not allow in a recorded piece of work ends with an error that names it, and the stream goes on.
TEST(graph_on_a_gpu, says_what_cannot_be_recorded) {
  const Device device = test_device();
  if (device.kind() == DeviceKind::cpu) GTEST_SKIP() << "nothing is recorded there";
  Stream stream(device);
  Tensor<float> x = upload<float>(stream, {4}, {1, 2, 3, 4});
  std::vector<float> host(4);
  Event event(device);
  const std::pair<const char*, std::function<void(Stream&)>> forbidden[] = {
      {"cudaStreamSynchronize", [](Stream& s) { s.synchronise(); }},
      {"cudaMalloc", [&](Stream&) { Tensor<float>(device, {4}, "more"); }},
      {"pageable", [&](Stream& s) { copy_to_host<float>(s, host.data(), x.view(), 4); }},
      {"pageable", [&](Stream& s) { copy_to_device(s, x.view(), host.data(), 4); }},
#ifdef PTYFUSE_EMU
      // A GPU records these, and what waits for the event then fails.
      {"cudaEventRecord", [&](Stream& s) { event.record(s); }},
#endif
  };
  for (const auto& [name, call] : forbidden) {
    SCOPED_TRACE(name);
    int called = 0;
    Graph graph(device, [&](Stream& s) {
      fill_zero(s, x.view());
      if (++called == 2) call(s);
    });
    graph.run(stream);
    const std::string said = error_message([&] { graph.run(stream); });
    EXPECT_NE(said.find("captur"), std::string::npos) << said;
#ifdef PTYFUSE_EMU
    EXPECT_NE(said.find(name), std::string::npos) << said;
#endif
    EXPECT_FALSE(graph.recorded());
    copy_to_device(stream, x.view(), std::vector<float>{1, 2, 3, 4}.data(), 4);
    EXPECT_EQ(download(stream, x), (std::vector<float>{1, 2, 3, 4}));
  }
}
#endif

#ifdef PTYFUSE_EMU
TEST(graph_on_a_gpu, memory_that_is_released_meanwhile_breaks_the_record) {
  Stream stream(Device::cuda());
  Tensor<float> x = upload<float>(stream, {4}, {1, 2, 3, 4});
  std::vector<Tensor<float>> spare;
  spare.emplace_back(stream.device(), Shape{4}, "spare");
  int called = 0;
  Graph graph(stream.device(), [&](Stream& s) {
    fill_zero(s, x.view());
    if (++called == 2) spare.clear();
  });
  graph.run(stream);
  const std::string said = error_message([&] { graph.run(stream); });
  EXPECT_NE(said.find("broken by cudaFree"), std::string::npos) << said;
  graph.run(stream);
  EXPECT_TRUE(graph.recorded());
}
#endif

}  // namespace
}  // namespace ptyfuse
