#include "engine/frame_stage.h"

#include <gtest/gtest.h>

#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using tests::download;
using tests::error_message;
using tests::random_floats;

constexpr int64_t pixels = 64 * 64;

GeneratorConfig network(Network kind) {
  GeneratorConfig c;
  c.side_px = 64;
  c.gridsize = 2;
  c.network = kind;
  return c;
}

TEST(frame_stage, frames_become_channels) {
  const std::vector<float> frames = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};  // 2 images of 2 channels of 3 pixels
  std::vector<float> out(12);
  arrange_frames(Device::cpu({.threads = 2}), frames, 2, 3, 10, out.data());
  EXPECT_EQ(out, (std::vector<float>{10, 40, 20, 50, 30, 60, 70, 100, 80, 110, 90, 120}));
}

// Batches of 3, 1 and 2 groups, each put before the former is looked at.
TEST(frame_stage, each_batch_arrives_as_it_was_put) {
  for (const Network kind : {Network::grouped, Network::shared}) {
    Stream stream(tests::test_device());
    const int64_t channels = network(kind).input_channels();
    FrameStage stage(stream.device(), network(kind), 3);
    const std::vector<int64_t> groups = {3, 1, 2, 3, 3};
    std::vector<std::vector<float>> expected;
    const auto put = [&](size_t k) {
      std::vector<float> frames = random_floats(groups[k] * 4 * pixels, 0, 1, static_cast<unsigned>(k));
      expected.emplace_back(frames.size());
      arrange_frames(stream.device(), frames, channels, pixels, 0.5F, expected.back().data());
      stage.put(frames, 0.5F);
      std::fill(frames.begin(), frames.end(), -1.0F);
    };
    put(0);
    for (size_t k = 0; k < groups.size(); ++k) {
      Tensor<float> x(stream.device(), {groups[k] * 4 / channels, 64, 64, channels}, "x");
      stage.take(stream, x.view());
      if (k + 1 < groups.size()) put(k + 1);
      EXPECT_EQ(download(stream, x), expected[k]) << k;
    }
  }
}

TEST(frame_stage, what_was_put_last_counts) {
  Stream stream(tests::test_device());
  FrameStage stage(stream.device(), network(Network::grouped), 1);
  Tensor<float> x(stream.device(), {1, 64, 64, 4}, "x");
  for (const float value : {1.0F, 2.0F, 3.0F}) stage.put(std::vector<float>(4 * pixels, value), 1);
  stage.take(stream, x.view());
  EXPECT_EQ(download(stream, x), std::vector<float>(4 * pixels, 3));
}

TEST(frame_stage, says_what_does_not_fit) {
  Stream stream(tests::test_device());
  FrameStage stage(stream.device(), network(Network::grouped), 1);
  for (const int64_t values : {int64_t{0}, 3 * pixels, 8 * pixels})
    EXPECT_EQ(error_message([&] { stage.put(std::vector<float>(static_cast<size_t>(values)), 1); }),
              "frame stage: " + std::to_string(values) + " values; expected 1 to 1 images of 16384");
  Tensor<float> x(stream.device(), {1, 64, 64, 4}, "x"), two(stream.device(), {2, 64, 64, 4}, "two");
  EXPECT_EQ(error_message([&] { stage.take(stream, x.view()); }),
            "frame stage: 0 images of 16384 values are there for [1, 64, 64, 4]");
  stage.put(std::vector<float>(4 * pixels), 1);
  EXPECT_EQ(error_message([&] { stage.take(stream, two.view()); }),
            "frame stage: 1 images of 16384 values are there for [2, 64, 64, 4]");
}

}  // namespace
}  // namespace ptyfuse
