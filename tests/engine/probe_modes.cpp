#include "engine/probe_modes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "kernels/device/error.h"
#include "tests/support/compare.h"

namespace ptyfuse {
namespace {

io::ComplexImage gaussian_probe(int64_t side) {
  io::ComplexImage probe{1, side, side, {}};
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) {
      const double dy = static_cast<double>(y) - 7.5, dx = static_cast<double>(x) - 8.5;
      probe.data.emplace_back(std::polar(3 * std::exp(-(dy * dy + 2 * dx * dx) / 18), 0.05 * (dy * dy + dx * dx)));
    }
  return probe;
}

std::complex<double> overlap(const io::ComplexImage& p, int64_t a, int64_t b) {
  const int64_t pixels = p.height * p.width;
  std::complex<double> sum;
  for (int64_t i = 0; i < pixels; ++i)
    sum += std::conj(std::complex<double>(p.data[static_cast<size_t>(a * pixels + i)])) *
           std::complex<double>(p.data[static_cast<size_t>(b * pixels + i)]);
  return sum;
}

TEST(probe_modes, new_ones_are_orthogonal_and_share_a_tenth) {
  const auto one = gaussian_probe(16);
  const double total = overlap(one, 0, 0).real();
  for (int64_t modes : {2, 3, 6}) {
    const auto probe = with_modes(one, modes);
    ASSERT_EQ(probe.depth, modes);
    ASSERT_EQ(static_cast<int64_t>(probe.data.size()), modes * 256);
    for (int64_t a = 0; a < modes; ++a) {
      const double share = a == 0 ? 0.9 : 0.1 / static_cast<double>(modes - 1);
      EXPECT_WITHIN(std::abs(overlap(probe, a, a).real() / total - share), 1e-6);
      for (int64_t b = 0; b < a; ++b) EXPECT_WITHIN(std::abs(overlap(probe, a, b)) / total, 1e-6);
    }
    EXPECT_EQ(with_modes(one, modes).data, probe.data);
  }
  // the first new one is odd in x about the centre, as the field's gradient is
  const auto two = with_modes(one, 2);
  const auto at = [&](int64_t y, int64_t x) { return two.data[static_cast<size_t>(256 + y * 16 + x)]; };
  EXPECT_WITHIN(std::abs(at(7, 6) + at(7, 11)), 1e-3 * std::abs(at(7, 6)));
  EXPECT_WITHIN(std::abs(at(5, 6) - at(10, 6)), 1e-3 * std::abs(at(5, 6)));
}

TEST(probe_modes, fewer_are_the_first_with_all_the_power) {
  const auto three = with_modes(gaussian_probe(16), 3);
  const auto one = with_modes(three, 1);
  ASSERT_EQ(one.depth, 1);
  EXPECT_WITHIN(std::abs(overlap(one, 0, 0).real() / overlap(gaussian_probe(16), 0, 0).real() - 1), 1e-6);
  const float ratio = one.data[100].real() / three.data[100].real();
  for (size_t i = 0; i < one.data.size(); ++i) EXPECT_WITHIN(std::abs(one.data[i] - ratio * three.data[i]), 1e-6);
  EXPECT_EQ(with_modes(three, 3).data, three.data);
}

TEST(probe_modes, refuses_what_cannot_be) {
  EXPECT_THROW(with_modes(gaussian_probe(16), 0), Error);
  EXPECT_THROW(with_modes(gaussian_probe(2), 5), Error);  // four pixels
  EXPECT_THROW(with_modes({1, 2, 2, std::vector<std::complex<float>>(4)}, 2), Error);
}

}  // namespace
}  // namespace ptyfuse
