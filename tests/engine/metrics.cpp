#include "engine/metrics.h"

#include <numbers>

#include "engine/random.h"
#include "kernels/device/error.h"
#include "tests/support/compare.h"

namespace ptyfuse::tests {
namespace {

constexpr double pi = std::numbers::pi;

RealImage real_image(int64_t height, int64_t width, std::vector<double> data) {
  return {height, width, std::move(data)};
}

template <class F>
FieldImage field_of(int64_t height, int64_t width, F&& value) {
  FieldImage out{height, width, {}};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) out.data.push_back(value(static_cast<double>(y), static_cast<double>(x)));
  }
  return out;
}

/// A smooth object with structure at several scales, phase within +-0.9 rad.
FieldImage object(int64_t height, int64_t width) {
  return field_of(height, width, [](double y, double x) {
    const double amplitude = 1 + 0.3 * std::sin(0.31 * x + 0.2 * y) * std::cos(0.17 * y);
    return std::polar(amplitude, 0.6 * std::sin(0.23 * x) + 0.3 * std::cos(0.4 * y - 0.1 * x));
  });
}

FieldImage ramped(const FieldImage& field, double scale, double phase, double per_row, double per_column) {
  FieldImage out = field;
  for (int64_t y = 0; y < field.height; ++y) {
    for (int64_t x = 0; x < field.width; ++x) {
      out.data[y * field.width + x] *=
          std::polar(scale, phase + per_row * static_cast<double>(y) + per_column * static_cast<double>(x));
    }
  }
  return out;
}

RealImage random_image(int64_t height, int64_t width, uint64_t seed) {
  Random random(seed);
  RealImage out{height, width, std::vector<double>(static_cast<size_t>(height * width))};
  for (double& value : out.data) value = random.uniform(1, 2);
  return out;
}

FieldImage random_field(int64_t height, int64_t width, uint64_t seed) {
  Random random(seed);
  FieldImage out{height, width, std::vector<std::complex<double>>(static_cast<size_t>(height * width))};
  for (auto& value : out.data) value = {random.normal(), random.normal()};
  return out;
}

/// Structural similarity by its definition, one window at a time, covariances from differences to the means.
double plain_ssim(const RealImage& a, const RealImage& b, double range) {
  const double c1 = std::pow(0.01 * range, 2), c2 = std::pow(0.03 * range, 2);
  double total = 0;
  int64_t windows = 0;
  for (int64_t y = 3; y + 3 < a.height; ++y) {
    for (int64_t x = 3; x + 3 < a.width; ++x, ++windows) {
      double ma = 0, mb = 0, va = 0, vb = 0, ab = 0;
      for (int64_t k = 0; k < 49; ++k) {
        const int64_t i = (y - 3 + k / 7) * a.width + x - 3 + k % 7;
        ma += a.data[i] / 49;
        mb += b.data[i] / 49;
      }
      for (int64_t k = 0; k < 49; ++k) {
        const int64_t i = (y - 3 + k / 7) * a.width + x - 3 + k % 7;
        va += (a.data[i] - ma) * (a.data[i] - ma) / 48;
        vb += (b.data[i] - mb) * (b.data[i] - mb) / 48;
        ab += (a.data[i] - ma) * (b.data[i] - mb) / 48;
      }
      total += (2 * ma * mb + c1) * (2 * ab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
    }
  }
  return total / static_cast<double>(windows);
}

TEST(metrics, ssim_follows_its_definition) {
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{7, 7}, {8, 13}, {31, 20}}) {
    const RealImage a = random_image(height, width, 1), b = random_image(height, width, 2);
    EXPECT_WITHIN(std::abs(ssim(a, b, 1.7) - plain_ssim(a, b, 1.7)), 1e-12);
    EXPECT_WITHIN(std::abs(ssim(a, a, 1.7) - 1), 1e-12);
  }
}

TEST(metrics, ssim_of_a_level_shift_is_the_luminance_term) {
  RealImage a = random_image(9, 9, 3), b = a;
  for (double& value : a.data) value = 2;
  for (double& value : b.data) value = 3;
  const double c1 = 0.01 * 0.01;
  EXPECT_WITHIN(std::abs(ssim(a, b, 1) - (2 * 6 + c1) / (4 + 9 + c1)), 1e-14);
}

TEST(metrics, ms_ssim_multiplies_the_levels_that_fit) {
  // 16 -> 8 -> 4: two levels only.
  const RealImage a = random_image(16, 16, 4), b = random_image(16, 16, 5);
  const auto half = [](const RealImage& image) {
    RealImage out{8, 8, {}};
    for (int64_t i = 0; i < 64; ++i) out.data.push_back(image.data[(i / 8) * 2 * 16 + (i % 8) * 2]);
    return out;
  };
  const auto [low_a, high_a] = std::minmax_element(a.data.begin(), a.data.end());
  const auto [low_b, high_b] = std::minmax_element(b.data.begin(), b.data.end());
  const double range = std::max(*high_a - *low_a, *high_b - *low_b);
  const auto level = [&](const RealImage& u, const RealImage& v, double weight) {
    const double s = plain_ssim(u, v, range);
    return std::pow(s < 0 ? 1e-4 : s, weight);
  };
  EXPECT_WITHIN(std::abs(ms_ssim(a, b, 0) - level(a, b, 0.0448) * level(half(a), half(b), 0.2856)), 1e-12);
  EXPECT_WITHIN(std::abs(ms_ssim(a, a, 1) - 1), 1e-12);
  const RealImage zero{9, 9, std::vector<double>(81, 0)};
  EXPECT_EQ(ms_ssim(zero, zero, 0), 0) << "0/0 counts as 0";
}

TEST(metrics, small_images_and_unequal_sizes_are_refused) {
  const RealImage small{6, 9, std::vector<double>(54)}, other{9, 9, std::vector<double>(81)};
  EXPECT_THROW(ssim(small, small, 1), Error);
  EXPECT_THROW(ms_ssim(small, small, 0), Error);
  EXPECT_THROW(ssim(other, small, 1), Error);
  EXPECT_THROW(fourier_ring_correlation(other, small), Error);
  EXPECT_THROW(compare({}, {}, PhaseAlign::plane), Error);
  EXPECT_THROW(register_shift(object(8, 8), object(8, 9)), Error);
  EXPECT_THROW(register_shift(object(8, 8), object(8, 8), 0), Error);
  EXPECT_THROW(crop(object(8, 8), {0, 9, 0, 8}), Error);
  try {
    compare(object(20, 21), object(22, 23), PhaseAlign::plane);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("20 x 21"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("22 x 23"), std::string::npos) << error.what();
  }
}

TEST(metrics, values_that_are_not_finite_are_named) {
  FieldImage bad = object(12, 15);
  bad.data[2 * 15 + 4] = {0, NAN};
  try {
    compare(bad, object(12, 15), PhaseAlign::mean);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::numeric);
    EXPECT_NE(std::string(error.what()).find("row 2, column 4"), std::string::npos) << error.what();
  }
}

TEST(metrics, fourier_rings) {
  // 4 x 4: rings 0 (1 place), 1 (8: 4 at distance 1, 4 at 1.41), 2 (7), 3 (1: the corner at 2.83).
  const RealImage a = random_image(4, 4, 6);
  EXPECT_EQ(fourier_ring_correlation(a, a).size(), 4u);
  for (const double value : fourier_ring_correlation(a, a)) EXPECT_WITHIN(std::abs(value - 1), 1e-12);
  EXPECT_EQ(fourier_ring_correlation(random_image(326, 326, 7), random_image(326, 326, 8)).size(), 232u);

  // A wave of 3 cycles common to both, an 8-cycle wave in quadrature: ring 3 agrees, ring 8 does not.
  const auto waves = [](double phase) {
    RealImage out{32, 40, {}};
    for (int64_t y = 0; y < 32; ++y) {
      for (int64_t x = 0; x < 40; ++x) {
        const double turn = 2 * pi * static_cast<double>(x - 4) / 32;
        out.data.push_back(1 + std::cos(3 * turn) + std::cos(8 * turn + phase));
      }
    }
    return out;
  };
  const std::vector<double> curve = fourier_ring_correlation(waves(0), waves(pi / 2));
  EXPECT_WITHIN(std::abs(curve[0] - 1), 1e-12);
  EXPECT_WITHIN(std::abs(curve[3] - 1), 1e-12);
  EXPECT_WITHIN(curve[8], 1e-9);
}

TEST(metrics, first_crossing_is_interpolated) {
  const std::vector<double> curve{1, 0.9, 0.6, 0.2, 0.8, 0.1};
  EXPECT_WITHIN(std::abs(first_below(curve, 0.5) - 2.25), 1e-14);
  EXPECT_WITHIN(std::abs(first_below(curve, 0.15) - (4 + 0.65 / 0.7)), 1e-14);
  EXPECT_EQ(first_below(curve, 0.05), 6) << "never below: the length";
  EXPECT_EQ(first_below(curve, 1.5), 0) << "below from the start";
  EXPECT_EQ(first_below({}, 0.5), 0);
}

TEST(metrics, pearson_by_hand) {
  const std::vector<double> a{1, 2, 3, 4}, b{2, 4, 6, 8}, c{1, -1, -1, 1}, d{4, 4, 4, 4};
  EXPECT_WITHIN(std::abs(pearson(a, b) - 1), 1e-14);
  EXPECT_WITHIN(std::abs(pearson(a, c)), 1e-14);
  EXPECT_WITHIN(std::abs(pearson(b, std::vector<double>{4, 3, 2, 1}) + 1), 1e-14);
  EXPECT_TRUE(std::isnan(pearson(a, d)));
}

TEST(metrics, remove_plane_leaves_what_a_plane_cannot_hold) {
  const int64_t height = 9, width = 14;
  const RealImage noise = random_image(height, width, 9), level = remove_plane(noise);
  RealImage tilted = noise;
  for (int64_t i = 0; i < height * width; ++i) {
    tilted.data[i] += 3 - 0.7 * static_cast<double>(i / width) + 0.2 * static_cast<double>(i % width);
  }
  EXPECT_WITHIN(max_difference(remove_plane(tilted).data.data(), level.data.data(), height * width), 1e-12);
  // Orthogonal to 1, y and x.
  double sum = 0, with_y = 0, with_x = 0;
  for (int64_t i = 0; i < height * width; ++i) {
    sum += level.data[i];
    with_y += level.data[i] * static_cast<double>(i / width);
    with_x += level.data[i] * static_cast<double>(i % width);
  }
  EXPECT_WITHIN(std::abs(sum) + std::abs(with_y) + std::abs(with_x), 1e-10);
  EXPECT_EQ(remove_plane(real_image(1, 1, {5})).data[0], 0);
}

TEST(metrics, align_complex_finds_phase_scale_and_ramp) {
  const FieldImage truth = object(48, 61);
  for (const auto& [per_row, per_column] : {std::pair{0.0, 0.0}, {0.11, -0.073}, {-0.5, 0.9}}) {
    const FieldImage turned = ramped(truth, 0.4, 2.5, per_row, per_column);
    const FieldImage aligned = align_complex(turned, truth, true);
    EXPECT_WITHIN(relative_l2(aligned.data.data(), truth.data.data(), 48 * 61), 1e-5);
    EXPECT_WITHIN(1 - complex_correlation(aligned, truth), 1e-9);
  }
  const FieldImage turned = ramped(truth, 3, -1, 0, 0);
  EXPECT_WITHIN(relative_l2(align_complex(turned, truth, false).data.data(), truth.data.data(), 48 * 61), 1e-12);
}

TEST(metrics, no_other_scale_or_phase_fits_better) {
  const FieldImage truth = random_field(10, 12, 10), other = random_field(10, 12, 11);
  const FieldImage aligned = align_complex(other, truth, false);
  const auto misfit = [&](std::complex<double> factor) {
    double sum = 0;
    for (size_t i = 0; i < truth.data.size(); ++i) sum += std::norm(factor * aligned.data[i] - truth.data[i]);
    return sum;
  };
  for (const std::complex<double> factor : {std::polar(1.0, 0.01), std::polar(1.0, -0.01), {1.01, 0.0}, {0.99, 0.0}}) {
    EXPECT_GT(misfit(factor), misfit(1));
  }
}

TEST(metrics, contrast_ignores_the_mean) {
  const FieldImage a = random_field(16, 16, 12), b = random_field(16, 16, 13);
  FieldImage lifted_a = a, lifted_b = b;
  for (auto& value : lifted_a.data) value += 30.0;
  for (auto& value : lifted_b.data) value += std::complex<double>(0, 50);
  EXPECT_WITHIN(std::abs(contrast(lifted_a, lifted_b) - contrast(a, b)), 1e-12);
  EXPECT_GT(complex_correlation(lifted_a, lifted_b), 0.99);
  const FieldImage flat = field_of(16, 16, [](double, double) { return std::complex(0.3, 0.1); });
  EXPECT_TRUE(std::isnan(contrast(a, flat)));
  EXPECT_TRUE(std::isnan(complex_correlation(a, field_of(16, 16, [](double, double) { return 0.0; }))));
}

TEST(metrics, phase_does_not_depend_on_phase_or_ramp_of_the_reconstruction) {
  const FieldImage truth = object(60, 52);
  for (const auto& [phase, per_row, per_column] :
       {std::tuple{0.0, 0.0, 0.0}, {3.0, 0.0, 0.0}, {1.0, 0.3, -0.2}, {-2.0, -0.05, 0.4}}) {
    const FieldImage turned = ramped(truth, 2, phase, per_row, per_column);
    const Comparison got = compare(turned, truth, PhaseAlign::plane);
    EXPECT_WITHIN(*got.phase.mae.value, 1e-5);
    EXPECT_WITHIN(1 - *got.phase.pearson.value, 1e-8);
    EXPECT_WITHIN(*got.amplitude.mae.value, 1e-12);
    if (per_row == 0) {
      EXPECT_WITHIN(*compare(turned, truth, PhaseAlign::mean).phase.mae.value, 1e-12);
    }
  }
  // The truth may wrap as well.
  const FieldImage tilted = ramped(truth, 1, 2, 0.2, 0.3);
  EXPECT_WITHIN(*compare(truth, tilted, PhaseAlign::plane).phase.mae.value, 1e-5);
}

TEST(metrics, phase_without_wraps_is_the_plain_angle) {
  // Phases up to 3 rad, lopsided: turning by the mean would wrap them, the plain angle does not.
  const FieldImage truth = field_of(30, 30, [](double y, double x) {
    return std::polar(1.0, -2 + 5 * std::exp(-((y - 15) * (y - 15) + (x - 15) * (x - 15)) / 20));
  });
  const PhaseImages phase = phase_images(truth, truth, PhaseAlign::mean);
  double mean = 0;
  for (const auto value : truth.data) mean += std::arg(value) / 900;
  for (size_t i = 0; i < truth.data.size(); ++i) {
    ASSERT_NEAR(phase.truth.data[i], std::arg(truth.data[i]) - mean, 1e-12);
    ASSERT_EQ(phase.reconstruction.data[i], phase.truth.data[i]);
  }
}

TEST(metrics, figures_by_hand) {
  // Amplitudes 1 and 3 in columns; the reconstruction is the same with contrast halved, then scaled by 10.
  const auto columns = [](double low, double high) {
    return field_of(8, 8, [=](double, double x) { return static_cast<int>(x) % 2 ? high : low; });
  };
  const Comparison got = compare(columns(15, 25), columns(1, 3), PhaseAlign::plane);
  EXPECT_WITHIN(std::abs(*got.amplitude.mae.value - 0.5), 1e-12);
  EXPECT_WITHIN(std::abs(*got.amplitude.mse.value - 0.25), 1e-12);
  EXPECT_WITHIN(std::abs(*got.amplitude.psnr.value - 10 * std::log10(4 / 0.25)), 1e-10);
  EXPECT_WITHIN(std::abs(*got.amplitude.psnr_255.value - 10 * std::log10(255.0 * 255.0 / 0.25)), 1e-10);
  EXPECT_WITHIN(std::abs(*got.amplitude.pearson.value - 1), 1e-12);
  EXPECT_WITHIN(std::abs(*got.contrast.value - 1), 1e-9);
  EXPECT_WITHIN(std::abs(*got.complex_correlation.value - (15 + 75) / std::sqrt((225 + 625) * 10.0)), 1e-9);
  // The phase is flat in both: what correlates it is undefined, and says why.
  for (const Measure& figure : {got.phase.pearson, got.phase.frc50_bin, got.phase.frc50_per_px, got.phase.frc1over7_bin,
                                got.phase.psnr, got.phase.ms_ssim}) {
    EXPECT_FALSE(figure.value);
    EXPECT_FALSE(figure.why.empty());
  }
  EXPECT_NE(got.phase.pearson.why.find("truth's phase is flat"), std::string::npos) << got.phase.pearson.why;
  EXPECT_TRUE(got.phase.frc.empty());
  EXPECT_EQ(*got.phase.mae.value, 0);
}

TEST(metrics, a_flat_reconstruction_scores_nothing_where_structure_is_asked) {
  const FieldImage truth = object(40, 40), flat = field_of(40, 40, [](double, double) { return 0.7; });
  const Comparison got = compare(flat, truth, PhaseAlign::plane);
  EXPECT_TRUE(got.amplitude.mae.value);
  EXPECT_FALSE(got.amplitude.pearson.value);
  EXPECT_NE(got.amplitude.pearson.why.find("reconstruction's amplitude is flat"), std::string::npos);
  EXPECT_FALSE(got.phase.frc50_bin.value);
  EXPECT_FALSE(got.contrast.value);
  EXPECT_TRUE(got.complex_correlation.value);
  const Comparison zero = compare(field_of(40, 40, [](double, double) { return 0.0; }), truth, PhaseAlign::plane);
  EXPECT_FALSE(zero.complex_correlation.value);
  EXPECT_FALSE(zero.contrast.value);
}

TEST(metrics, equal_images) {
  const FieldImage truth = object(40, 44);
  const Comparison got = compare(truth, truth, PhaseAlign::plane);
  EXPECT_FALSE(got.amplitude.psnr.value);
  EXPECT_NE(got.amplitude.psnr.why.find("equal"), std::string::npos);
  EXPECT_WITHIN(std::abs(*got.amplitude.ssim.value - 1), 1e-12);
  EXPECT_EQ(*got.amplitude.frc50_bin.value, static_cast<double>(got.amplitude.frc.size()));
  EXPECT_WITHIN(std::abs(*got.amplitude.frc50_per_px.value - *got.amplitude.frc50_bin.value / 40), 1e-12);
  EXPECT_WITHIN(std::abs(*got.contrast.value - 1), 1e-9);
}

TEST(metrics, tiny_regions_have_no_ssim) {
  const Comparison got = compare(object(5, 30), object(5, 30), PhaseAlign::plane);
  EXPECT_FALSE(got.amplitude.ssim.value);
  EXPECT_FALSE(got.phase.ms_ssim.value);
  EXPECT_TRUE(got.amplitude.pearson.value);
}

TEST(metrics, registration_undoes_a_shift) {
  FieldImage truth = random_field(54, 63, 14);
  for (const std::array<double, 2> shift :
       {std::array<double, 2>{0, 0}, {3, -5}, {1.34, -2.58}, {-0.5, 0.02}, {20, -30}}) {
    // Magnitudes are shifted, as register_shift compares those.
    FieldImage magnitude = truth;
    for (auto& value : magnitude.data) value = std::abs(value);
    const FieldImage moved = fourier_shift(magnitude, shift);
    const std::array<double, 2> found = register_shift(magnitude, moved, 50);
    EXPECT_WITHIN(std::abs(found[0] + shift[0]), 0.02 + 1e-9);
    EXPECT_WITHIN(std::abs(found[1] + shift[1]), 0.02 + 1e-9);
  }
  const FieldImage moved = fourier_shift(truth, {4, -7});
  EXPECT_EQ(register_shift(truth, moved, 1), (std::array<double, 2>{-4, 7}));
}

TEST(metrics, fourier_shift_moves_content_forward) {
  FieldImage point = field_of(8, 9, [](double y, double x) { return y == 2 && x == 3 ? 1.0 : 0.0; });
  const FieldImage moved = fourier_shift(point, {1, -2});
  for (int64_t i = 0; i < 72; ++i) {
    EXPECT_WITHIN(std::abs(moved.data[i] - (i == 3 * 9 + 1 ? 1.0 : 0.0)), 1e-14);
  }
}

TEST(metrics, scan_rectangle_follows_the_reference) {
  const std::vector<std::array<double, 2>> positions{{30.9, 40.2}, {70.9, 55.5}, {50, 60.99}};
  const Rectangle got = scan_rectangle(positions, 20, 100, 64);
  EXPECT_EQ(got.y0, 20);
  EXPECT_EQ(got.y1, 80);
  EXPECT_EQ(got.x0, 30);
  EXPECT_EQ(got.x1, 64) << "clamped";
  EXPECT_THROW(scan_rectangle({}, 20, 10, 10), Error);
  EXPECT_THROW(scan_rectangle(std::vector<std::array<double, 2>>{{NAN, 0}}, 20, 10, 10), Error);
}

}  // namespace
}  // namespace ptyfuse::tests
