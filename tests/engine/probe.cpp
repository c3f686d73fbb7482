#include "engine/probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "engine/random.h"
#include "kernels/device/error.h"
#include "tests/support/compare.h"

namespace ptyfuse {
namespace {

using io::ComplexImage;

ComplexImage random_probe(int64_t modes, int64_t side, uint64_t seed) {
  Random random(seed);
  ComplexImage probe{modes, side, side, {}};
  for (int64_t i = 0; i < modes * side * side; ++i)
    probe.data.emplace_back(static_cast<float>(random.normal()), static_cast<float>(random.normal()));
  return probe;
}

std::complex<float> pixel(const ComplexImage& image, int64_t y, int64_t x) {
  return image.data[static_cast<size_t>(y * image.width + x)];
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(probe, support_of_a_tiny_frame) {
  // N 8: centre 3.5, radius 2: hypot(1.5, 1.5) = 2.12 lies outside.
  const std::vector<float> expected{0, 0, 0, 0, 0, 0, 0, 0,  //
                                    0, 0, 0, 0, 0, 0, 0, 0,  //
                                    0, 0, 0, 1, 1, 0, 0, 0,  //
                                    0, 0, 1, 1, 1, 1, 0, 0,  //
                                    0, 0, 1, 1, 1, 1, 0, 0,  //
                                    0, 0, 0, 1, 1, 0, 0, 0,  //
                                    0, 0, 0, 0, 0, 0, 0, 0,  //
                                    0, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(probe_support(8), expected);
}

TEST(probe, disk_has_the_method_s_numbers) {
  for (const auto& [side, sum] : {std::pair{64, 376.000004096}, {128, 1500.0000163840}}) {
    const ComplexImage probe = default_probe(side);
    double total = 0;
    for (const auto& value : probe.data) {
      total += static_cast<double>(value.real());
      EXPECT_EQ(value.imag(), 0);
      EXPECT_GE(value.real(), 0.9e-9f);
    }
    EXPECT_WITHIN(std::abs(total - sum), 2e-5);
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x)
        EXPECT_WITHIN(std::abs(pixel(probe, y, x) - pixel(probe, x, side - 1 - y)), 1e-7);
  }
}

TEST(probe, normalised_to_the_probe_scale) {
  for (int64_t modes : {1, 3}) {
    const ComplexImage probe = normalise_probe(random_probe(modes, 32, 4), 4);
    const std::vector<float> support = probe_support(32);
    double sum = 0;
    for (size_t i = 0; i < support.size(); ++i) {
      double power = 0;
      for (int64_t k = 0; k < modes; ++k)
        power += std::norm(std::complex<double>(probe.data[i + static_cast<size_t>(k) * support.size()]));
      sum += static_cast<double>(support[i]) * std::sqrt(power);
    }
    EXPECT_WITHIN(std::abs(sum - 32.0 * 32 / 4), 1e-4);
  }
}

TEST(probe, scaled_to_an_object_amplitude) {
  const ComplexImage probe = scale_probe_to_object(random_probe(2, 16, 5), 0.65);
  double power = 0;
  for (const auto& value : probe.data) power += std::norm(std::complex<double>(value));
  EXPECT_WITHIN(std::abs(power - 64 / (0.65 * 0.65)), 1e-4);
  // A flat object of that amplitude then explains normalised data: sum |0.65 P|^2 = (N/2)^2.
}

TEST(probe, power_outside_the_centre) {
  ComplexImage probe{1, 8, 8, std::vector<std::complex<float>>(64)};
  probe.data[2 * 8 + 2] = {0, 3};  // first pixel of the central 4 x 4
  EXPECT_EQ(power_outside_centre(probe), 0);
  probe.data[6 * 8 + 5] = 1;  // one row below it
  EXPECT_WITHIN(std::abs(power_outside_centre(probe) - 0.1), 1e-12);
}

TEST(probe, unusable_probes_are_refused) {
  ComplexImage zero{1, 8, 8, std::vector<std::complex<float>>(64)};
  EXPECT_NE(message_of([&] { normalise_probe(zero, 4); }).find("zero inside the circle"), std::string::npos);
  EXPECT_THROW(scale_probe_to_object(zero, 0.65), Error);
  EXPECT_THROW(power_outside_centre(zero), Error);
  zero.data[5] = NAN;
  EXPECT_NE(message_of([&] { normalise_probe(zero, 4); }).find("not finite"), std::string::npos);
  EXPECT_THROW(normalise_probe(random_probe(1, 8, 1), 0), Error);
  EXPECT_THROW(normalise_probe(ComplexImage{1, 8, 9, std::vector<std::complex<float>>(72)}, 4), Error);
}

TEST(probe, guess_finds_the_width_of_a_gaussian) {
  // The transform of a Gaussian pattern of width s in frequency pixels is a Gaussian of width N / (2 pi s).
  const int64_t n = 64;
  const double width = 4, in_frequency = n / (2 * std::numbers::pi * width);
  std::vector<float> pattern;
  for (int64_t y = 0; y < n; ++y)
    for (int64_t x = 0; x < n; ++x) {
      const auto r2 = static_cast<double>((y - n / 2) * (y - n / 2) + (x - n / 2) * (x - n / 2));
      pattern.push_back(static_cast<float>(std::exp(-0.5 * r2 / (in_frequency * in_frequency))));
    }
  const ComplexImage guess = guess_probe(pattern, n);
  double sum = 0;
  for (const auto& value : guess.data) sum += static_cast<double>(value.real());
  EXPECT_WITHIN(std::abs(sum - 376.000004), 1e-3);
  // exp(-r^2 / (2 s^2)) between (31, 31) and (31, 39): r^2 .5 and 56.5 about 31.5.
  const double ratio = static_cast<double>(pixel(guess, 31, 39).real() / pixel(guess, 31, 31).real());
  EXPECT_WITHIN(std::abs(ratio - std::exp(-0.5 * 56 / (width * width))), 1e-3);
  EXPECT_EQ(pixel(guess, 31, 50).real(), 0);
  EXPECT_THROW(guess_probe(pattern, 32), Error);
  EXPECT_THROW(guess_probe(std::vector<float>(64 * 64, 0), 64), Error);
}

TEST(probe, pipeline_text) {
  const auto steps = parse_probe_pipeline("smooth:0.5|pad_extrapolate:64|interp:128|pad:256|mask:40");
  ASSERT_EQ(steps.size(), 5u);
  EXPECT_EQ(steps[0].kind, ProbeStep::Kind::smooth);
  EXPECT_EQ(steps[0].value, 0.5);
  EXPECT_EQ(steps[1].kind, ProbeStep::Kind::pad_extrapolate);
  EXPECT_EQ(steps[2].kind, ProbeStep::Kind::interpolate);
  EXPECT_EQ(steps[3].kind, ProbeStep::Kind::pad);
  EXPECT_EQ(steps[3].value, 256);
  EXPECT_EQ(steps[4].kind, ProbeStep::Kind::mask);
  EXPECT_TRUE(parse_probe_pipeline("").empty());
  for (const char* wrong : {"blur:1", "smooth", "smooth:", "smooth:x", "smooth:1x", "smooth:-1", "pad:1", "pad:64.5",
                            "pad:99999999", "interp:0", "pad:64||smooth:1", "pad:64|", "mask:0", "smooth:nan"}) {
    SCOPED_TRACE(wrong);
    EXPECT_NE(message_of([&] { parse_probe_pipeline(wrong); }).find("pad_extrapolate:64|smooth:0.5"),
              std::string::npos);
  }
}

ComplexImage apply(const ComplexImage& probe, const char* text) {
  return apply_probe_pipeline(probe, parse_probe_pipeline(text));
}

TEST(probe, pad_and_mask_by_hand) {
  const ComplexImage probe = random_probe(2, 3, 6);
  const ComplexImage padded = apply(probe, "pad:6");
  ASSERT_EQ(padded.width, 6);
  ASSERT_EQ(padded.depth, 2);
  double power = 0;
  for (const auto& value : padded.data) power += std::norm(std::complex<double>(value));
  for (const auto& value : probe.data) power -= std::norm(std::complex<double>(value));
  EXPECT_WITHIN(std::abs(power), 1e-6);
  for (int64_t y = 0; y < 3; ++y)
    for (int64_t x = 0; x < 3; ++x) EXPECT_EQ(pixel(padded, y + 1, x + 1), pixel(probe, y, x));
  const ComplexImage masked = apply(probe, "mask:2");  // r <= 1 about the middle: a cross
  for (int64_t y = 0; y < 3; ++y)
    for (int64_t x = 0; x < 3; ++x)
      EXPECT_EQ(pixel(masked, y, x), (y == 1 || x == 1) ? pixel(probe, y, x) : std::complex<float>());
  EXPECT_NE(message_of([&] { apply(probe, "pad:2"); }).find("interp:2"), std::string::npos);
}

TEST(probe, interpolation_keeps_samples_and_cubics) {
  const ComplexImage probe = random_probe(1, 7, 7);
  EXPECT_WITHIN(tests::max_difference(apply(probe, "interp:7").data.data(), probe.data.data(), 49), 1e-6);
  const ComplexImage fine = apply(probe, "interp:13");  // every other sample is an old one
  for (int64_t y = 0; y < 7; ++y)
    for (int64_t x = 0; x < 7; ++x) EXPECT_WITHIN(std::abs(pixel(fine, 2 * y, 2 * x) - pixel(probe, y, x)), 1e-6);
  // Numbers of scipy.ndimage.map_coordinates([0, 1, 0, 0], i * 3 / 6, order 3, mode "mirror") along each row.
  ComplexImage peak{1, 4, 4, std::vector<std::complex<float>>(16)};
  for (size_t y = 0; y < 4; ++y) peak.data[y * 4 + 1] = {1, -2};
  const ComplexImage spline = apply(peak, "interp:7");
  const std::vector<double> expected{-4.440892098500627e-17, 0.4750000000000001,    1.0, 0.625, -9.99200722162641e-17,
                                     -0.09999999999999998,   1.5543122344752193e-16};
  for (int64_t x = 0; x < 7; ++x) {
    EXPECT_WITHIN(std::abs(static_cast<double>(pixel(spline, 3, x).real()) - expected[static_cast<size_t>(x)]), 1e-6);
    EXPECT_WITHIN(std::abs(static_cast<double>(pixel(spline, 3, x).imag()) + 2 * expected[static_cast<size_t>(x)]),
                  1e-6);
  }
}

/// amplitude 1 + x/10 under the phase a r^2 + b.
ComplexImage curved_probe(int64_t side, double a, double b) {
  ComplexImage probe{1, side, side, {}};
  const double centre = static_cast<double>(side - 1) / 2;
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) {
      const double dy = static_cast<double>(y) - centre, dx = static_cast<double>(x) - centre;
      probe.data.emplace_back(std::polar(1 + static_cast<double>(x) / 10, a * (dy * dy + dx * dx) + b));
    }
  return probe;
}

TEST(probe, pad_extrapolate_continues_a_quadratic_phase) {
  const ComplexImage probe = curved_probe(16, 0.15, 0.4);
  const ComplexImage out = apply(probe, "pad_extrapolate:20"), phase = curved_probe(20, 0.15, 0.4);
  for (int64_t y = 0; y < 20; ++y)
    for (int64_t x = 0; x < 20; ++x) {
      const auto old_y = std::clamp<int64_t>(y - 2, 0, 15), old_x = std::clamp<int64_t>(x - 2, 0, 15);
      const std::complex<float> expected =
          pixel(phase, y, x) / std::abs(pixel(phase, y, x)) * std::abs(pixel(probe, old_y, old_x));
      EXPECT_WITHIN(std::abs(pixel(out, y, x) - expected), 1e-5);
    }
  EXPECT_WITHIN(tests::max_difference(apply(probe, "pad_extrapolate:16").data.data(), probe.data.data(), 256), 1e-5);
  EXPECT_NE(message_of([&] { apply(random_probe(2, 8, 1), "pad_extrapolate:16"); }).find("has 2"), std::string::npos);
}

TEST(probe, smooth_keeps_what_is_smooth) {
  // Blurring a r^2 adds 2 a sigma^2 (discrete variance of the kernel) away from the edge; a linear amplitude stays.
  const double sigma = 0.5, a = 0.05;
  double variance = 0, weights = 1;
  for (int d = 1; d <= 2; ++d) {
    const double w = std::exp(-0.5 * d * d / (sigma * sigma));
    variance += 2 * w * d * d;
    weights += 2 * w;
  }
  variance /= weights;
  const ComplexImage out = apply(curved_probe(24, a, 0), "smooth:0.5");
  const ComplexImage expected = curved_probe(24, a, 2 * a * variance);
  for (int64_t y = 2; y < 22; ++y)
    for (int64_t x = 2; x < 22; ++x) EXPECT_WITHIN(std::abs(pixel(out, y, x) - pixel(expected, y, x)), 1e-5);
  const ComplexImage probe = random_probe(1, 8, 2);
  EXPECT_EQ(apply(probe, "smooth:0").data, probe.data);
}

TEST(unwrap_phase, recovers_smooth_surfaces) {
  const int64_t height = 61, width = 48;
  const auto surfaces = {
      +[](double y, double x) { return 0.03 * ((y - 30) * (y - 30) + (x - 20) * (x - 20)); },
      +[](double y, double x) { return 2.5 * y - 1.7 * x; },
      +[](double y, double x) { return 40 * std::exp(-((y - 25) * (y - 25) + (x - 25) * (x - 25)) / 300); }};
  for (const auto& surface : surfaces) {
    std::vector<double> truth, wrapped;
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x) {
        truth.push_back(surface(static_cast<double>(y), static_cast<double>(x)));
        wrapped.push_back(std::arg(std::polar(1.0, truth.back())));
      }
    const std::vector<double> out = unwrap_phase(wrapped, height, width);
    const auto middle = static_cast<size_t>((height / 2) * width + width / 2);
    EXPECT_EQ(out[middle], wrapped[middle]);
    const double constant = truth[middle] - out[middle];
    EXPECT_WITHIN(std::abs(std::remainder(constant, 2 * std::numbers::pi)), 1e-10);
    double span = 0;
    for (size_t i = 0; i < out.size(); ++i) {
      EXPECT_WITHIN(std::abs(out[i] + constant - truth[i]), 1e-9);
      span = std::max(span, std::abs(out[i] - out[middle]));
    }
    EXPECT_GT(span, 5 * std::numbers::pi);
  }
}

TEST(unwrap_phase, adds_whole_turns_only_and_leaves_noise_to_the_end) {
  // A ramp with one column of noise in its middle: both sides stay smooth in themselves.
  Random random(3);
  const int64_t n = 40;
  std::vector<double> wrapped;
  for (int64_t y = 0; y < n; ++y)
    for (int64_t x = 0; x < n; ++x)
      wrapped.push_back(x == 20 ? random.uniform(-3, 3)
                                : std::remainder(0.9 * static_cast<double>(x + y), 2 * std::numbers::pi));
  const std::vector<double> out = unwrap_phase(wrapped, n, n);
  for (int64_t y = 0; y < n; ++y)
    for (int64_t x = 0; x < n; ++x) {
      const auto at = static_cast<size_t>(y * n + x);
      EXPECT_WITHIN(std::abs(std::remainder(out[at] - wrapped[at], 2 * std::numbers::pi)), 1e-12);
      if (x > 0 && x != 20 && x != 21) EXPECT_WITHIN(std::abs(out[at] - out[at - 1] - 0.9), 1e-10);
    }
}

TEST(unwrap_phase, edges) {
  EXPECT_TRUE(unwrap_phase({}, 0, 5).empty());
  const std::vector<double> one{2.5}, row{3, -3, -2.5, 3, 0};
  EXPECT_EQ(unwrap_phase(one, 1, 1), one);
  const std::vector<double> out = unwrap_phase(row, 1, 5);
  EXPECT_EQ(out[2], row[2]);
  EXPECT_WITHIN(std::abs(out[0] - (3 - 2 * std::numbers::pi)), 1e-12);
  EXPECT_WITHIN(std::abs(out[3] - (3 - 2 * std::numbers::pi)), 1e-12);
  EXPECT_THROW(unwrap_phase(row, 2, 2), Error);
  EXPECT_THROW(unwrap_phase(std::vector<double>{NAN}, 1, 1), Error);
}

}  // namespace
}  // namespace ptyfuse
