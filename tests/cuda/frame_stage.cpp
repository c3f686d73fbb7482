// Frames on their way to a GPU: what the kernels' stream sees is the batch that was put, whatever is put next. The
// emulated GPU copies from pinned memory as late as it may, so that a wait that is missing shows.
#include "engine/frame_stage.h"

#include <gtest/gtest.h>

#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

// 80 groups of four patterns are 5 MiB: two chunks.
TEST(cuda_frame_stage, each_batch_arrives_as_it_was_put) {
  GeneratorConfig network;
  network.side_px = 64;
  network.gridsize = 2;
  Stream stream(Device::cuda({.threads = 2}));
  FrameStage stage(stream.device(), network, 80);
  constexpr int64_t group = 4 * 64 * 64;
  const std::vector<int64_t> groups = {80, 3, 79, 1, 80};
  std::vector<std::vector<float>> expected;
  const auto put = [&](size_t k) {
    const std::vector<float> frames = tests::random_floats(groups[k] * group, 0, 1, static_cast<unsigned>(k));
    expected.emplace_back(frames.size());
    arrange_frames(stream.device(), frames, 4, 64 * 64, 0.5F, expected.back().data());
    stage.put(frames, 0.5F);
  };
  put(0);
  for (size_t k = 0; k < groups.size(); ++k) {
    Tensor<float> x(stream.device(), {groups[k], 64, 64, 4}, "x");
    stage.take(stream, x.view());
    if (k + 1 < groups.size()) put(k + 1);
    EXPECT_TRUE(tests::download(stream, x) == expected[k]) << k;
  }
  stage.put(std::vector<float>(static_cast<size_t>(80 * group)), 1);  // never taken: the stage waits for its copies
}

}  // namespace
}  // namespace ptyfuse
