// Built-in variables, votes, atomics and mathematics in a kernel; what a launch takes.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "kernels/emu/bfloat16.h"
#include "kernels/emu/recorder.h"
#include "tests/emu/device_array.h"
#include "tests/emu/kernels.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

TEST(emu_language, indices_in_three_dimensions) {
  const Stream stream(test_device());
  constexpr uint32_t threads = 60, blocks = 3 * 7 * 2;
  for (const bool counted : {false, true}) {
    const DeviceArray<uint32_t> out(threads * blocks, "out");
    const emu::Recorder recorder({.counted = counted});
    indices(stream, out.data(), 7);
    const std::vector<uint32_t> got = out.host();
    uint32_t i = 0;
    for (uint32_t bz = 0; bz < 2; ++bz)
      for (uint32_t by = 0; by < 7; ++by)
        for (uint32_t bx = 0; bx < 3; ++bx)
          for (uint32_t z = 0; z < 5; ++z)
            for (uint32_t y = 0; y < 3; ++y)
              for (uint32_t x = 0; x < 4; ++x, ++i)
                ASSERT_EQ(got[i], x | y << 4 | z << 8 | bx << 12 | by << 16 | bz << 20) << i;
  }
}

TEST(emu_language, a_grid_without_blocks_does_nothing) {
  const DeviceArray<uint32_t> out(1, "out");
  const Stream stream(test_device());
  emu::Recorder recorder;
  indices(stream, out.data(), 0);
  EXPECT_TRUE(recorder.launches().empty());
}

TEST(emu_language, launches_beyond_a_gpu_are_refused) {
  const DeviceArray<uint32_t> out(70000, "out");
  const Stream stream(test_device());
  const auto refusal = [&](int grid_y, int threads, int64_t shared_bytes) {
    return error_message([&] { launch_with(stream, out.data(), grid_y, threads, shared_bytes); });
  };
  EXPECT_EQ(refusal(65535, 1, 0), "no error");
  EXPECT_EQ(refusal(1, 1024, 227 * 1024), "no error");
  EXPECT_EQ(refusal(65536, 1, 0), "launch of write_indices: grid (1, 65536, 1) exceeds (2^31 - 1, 65535, 65535)");
  EXPECT_EQ(refusal(1, 1025, 0), "launch of write_indices: block (1025, 1, 1) is not 1 to 1024 threads, z at most 64");
  EXPECT_EQ(refusal(1, 0, 0), "launch of write_indices: block (0, 1, 1) is not 1 to 1024 threads, z at most 64");
  EXPECT_EQ(refusal(1, 32, 227 * 1024 + 1),
            "launch of write_indices: 232449 bytes of shared memory; a block has at most 232448");
}

TEST(emu_language, votes) {
  const DeviceArray<int> out(128, "out");
  const Stream stream(test_device());
  const emu::Recorder recorder;
  votes(stream, out.data());
  for (const int v : out.host()) EXPECT_EQ(v, 26 + 1000 + 0 + 0 + 0 + 16000);
}

TEST(emu_language, atomics) {
  const Stream stream(test_device());
  for (const bool counted : {false, true}) {
    const DeviceArray<int> words(std::vector<int>(5), "words");
    emu::Recorder recorder({.counted = counted});
    atomics(stream, words.data());
    EXPECT_EQ(words.host(), (std::vector<int>{199, -199, (1 << 20) - 1, 17, 199 * 200 / 2}));
    EXPECT_EQ(recorder.total().atomics, counted ? 5U * 200 : 0U);
  }
}

TEST(emu_language, mathematics) {
  std::vector<float> host = random_floats(32, -5, 5, 1);
  host[0] = 0.5F;
  host[1] = -1.5F;
  host[2] = 3.0F;
  const DeviceArray<float> in(host, "in"), out(8 * 32, "out");
  mathematics(Stream(test_device()), in.data(), out.data());
  const std::vector<float> got = out.host();
  for (size_t i = 0; i < 32; ++i) {
    const double x = host[i];
    const auto at = [&](size_t row) { return static_cast<double>(got[row * 32 + i]); };
    EXPECT_WITHIN(std::abs(at(0) - std::sin(std::numbers::pi * x)), 1e-6);
    EXPECT_WITHIN(std::abs(at(1) - std::cos(std::numbers::pi * x)), 1e-6);
    EXPECT_WITHIN(std::abs(at(2) - 1 / std::sqrt(x * x + 1)), 1e-6);
    EXPECT_EQ(at(3), std::clamp(x, 0.0, 1.0));
    EXPECT_WITHIN(std::abs(at(4) - (x * x + 1)), 2e-6);
    const auto n = static_cast<unsigned>(i);
    EXPECT_EQ(at(5), std::popcount(n) + 10 * std::countl_zero(n) + 1000 * (n == 0 ? 0 : std::countr_zero(n) + 1));
    EXPECT_WITHIN(std::abs(at(6) - x), std::abs(x) / 256);
    EXPECT_WITHIN(std::abs(at(7) - (std::min(x, 0.5) + std::max(n, 3U) + std::min(n, 7U))), 1e-5);
  }
  // Exact at multiples of a half.
  EXPECT_EQ(got[0], 1);
  EXPECT_EQ(got[32], 0);
  EXPECT_EQ(got[1], 1);
  EXPECT_EQ(got[32 + 2], -1);
}

TEST(emu_language, bfloat16_rounds_to_nearest_even) {
  const auto bits = [](uint32_t word) { return __nv_bfloat16(std::bit_cast<float>(word)).bits; };
  EXPECT_EQ(bits(0x3f808000), 0x3f80);  // a tie, down to even
  EXPECT_EQ(bits(0x3f818000), 0x3f82);  // a tie, up to even
  EXPECT_EQ(bits(0x3f808001), 0x3f81);
  EXPECT_EQ(bits(0xbf807fff), 0xbf80);
  EXPECT_EQ(bits(0x7f7fffff), 0x7f80);  // beyond the largest: infinity
  EXPECT_EQ(bits(0xff800000), 0xff80);
  EXPECT_EQ(bits(0x7f800001), 0x7fff);  // NaN stays NaN
}

}  // namespace
}  // namespace ptyfuse::tests
