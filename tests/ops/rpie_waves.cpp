#include "kernels/ops/rpie_waves.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/case_name.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::ops {
namespace {

using tests::case_name;
using tests::download;
using tests::error_message;
using tests::random_complex;
using tests::random_floats;
using tests::relative_l2;
using tests::upload;

constexpr double tolerance = 2e-6;

struct Case {
  const char* name;
  int64_t frames, modes, side;
  bool masked;
};
const Case cases[] = {
    {"no frames", 0, 2, 16, false},       {"one mode", 3, 1, 16, false},
    {"modes and mask", 5, 3, 32, true},   {"one frame", 1, 2, 64, true},
    {"an odd side", 3, 2, 9, true},       {"an even side of no own transform", 4, 1, 12, false},
    {"the usual frame", 2, 2, 128, true},
};

struct Inputs {
  Inputs(Stream& stream, const Case& c)
      : object(upload<complex64>(stream, {c.side + 7, c.side + 5}, random_complex((c.side + 7) * (c.side + 5), 1))),
        probes(
            upload<complex64>(stream, {2, c.modes, c.side, c.side}, random_complex(2 * c.modes * c.side * c.side, 2))),
        spectra(upload<complex64>(stream, {c.modes, c.side, c.side}, random_complex(c.modes * c.side * c.side, 3))),
        amplitude(
            upload<float>(stream, {c.frames, c.side, c.side}, random_floats(c.frames * c.side * c.side, 0, 3, 4))),
        shift(upload<float>(stream, {c.frames, 2}, random_floats(2 * c.frames, -0.5, 1.5, 5))),
        waves(stream.device(), {c.frames, c.modes, c.side, c.side}, "waves"),
        expected(stream.device(), waves.shape(), "expected"),
        sums(stream.device(), {c.frames, 2}, "sums"),
        expected_sums(stream.device(), sums.shape(), "expected sums") {
    std::vector<int64_t> corners, indices;
    for (int64_t n = 0; n < c.frames; ++n) {
      corners.insert(corners.end(), {n % 8, 5 - n % 6});
      indices.push_back(n % 2);
    }
    corner = upload<int64_t>(stream, {c.frames, 2}, corners);
    index = upload<int64_t>(stream, {c.frames}, indices);
    if (!c.masked) return;
    std::vector<uint8_t> used;
    for (int64_t i = 0; i < c.side * c.side; ++i) used.push_back(i % 5 != 2);
    mask = upload<uint8_t>(stream, {c.side, c.side}, used);
  }
  RpieBatch batch() { return {corner.view(), index.view()}; }
  RpieWaves::Measured measured() { return {amplitude.view(), mask.view()}; }

  Tensor<complex64> object, probes, spectra;
  Tensor<float> amplitude, shift;
  Tensor<complex64> waves, expected;
  Tensor<double> sums, expected_sums;
  Tensor<int64_t> corner, index;
  Tensor<uint8_t> mask;
};

class rpie_waves : public testing::TestWithParam<Case> {
 protected:
  void transform(FftDirection direction) {
    const auto images = u.expected.view().reshape({c.frames * c.modes, c.side, c.side});
    steps.fft().run(stream, direction, images, images);
  }
  void expect_near() {
    const auto found = download(stream, u.waves), expected = download(stream, u.expected);
    EXPECT_WITHIN(relative_l2(found.data(), expected.data(), static_cast<int64_t>(found.size())), tolerance);
  }
  void expect_near_sums() {
    const auto found = download(stream, u.sums), expected = download(stream, u.expected_sums);
    EXPECT_WITHIN(relative_l2(found.data(), expected.data(), static_cast<int64_t>(found.size())), tolerance);
  }

  Case c = GetParam();
  Stream stream{tests::test_device()};
  Inputs u{stream, c};
  RpieWaves steps{stream.device(), c.side, c.modes};
};

TEST_P(rpie_waves, probes_are_shifted_as_in_two_steps) {
  steps.shifted_probes(stream, u.spectra.view(), u.shift.view(), u.waves.view());
  shift_spectra(stream, u.spectra.view(), u.shift.view(), u.expected.view());
  transform(FftDirection::inverse);
  expect_near();
}

TEST_P(rpie_waves, differences_are_those_of_four_steps) {
  steps.differences(stream, u.object.view(), u.batch(), u.probes.view(), u.measured(), u.waves.view(), u.sums.view());
  exit_waves(stream, u.object.view(), u.batch(), u.probes.view(), u.expected.view());
  transform(FftDirection::forward);
  modulus_residual(stream, u.expected.view(), u.amplitude.view(), u.mask.view(), u.expected_sums.view());
  modulus_difference(stream, u.amplitude.view(), u.mask.view(), u.expected.view());
  transform(FftDirection::inverse);
  expect_near();
  expect_near_sums();
}

TEST_P(rpie_waves, the_residual_alone_is_the_same) {
  steps.residual(stream, u.object.view(), u.batch(), u.probes.view(), u.measured(), u.waves.view(), u.sums.view());
  steps.differences(stream, u.object.view(), u.batch(), u.probes.view(), u.measured(), u.waves.view(),
                    u.expected_sums.view());
  EXPECT_EQ(download(stream, u.sums), download(stream, u.expected_sums));
}

TEST_P(rpie_waves, weighing_and_its_spectrum_are_those_of_two_steps) {
  exit_waves(stream, u.object.view(), u.batch(), u.probes.view(), u.waves.view());  // any waves
  weigh_by_object(stream, u.object.view(), u.batch(), u.waves.view(), u.expected.view());
  transform(FftDirection::forward);
  steps.weighed_spectra(stream, u.object.view(), u.batch(), u.waves.view(), u.waves.view());
  expect_near();
}

TEST_P(rpie_waves, same_bits_whatever_the_threads) {
  std::vector<std::vector<complex64>> found;
  for (int threads : {1, 2, 3}) {
    Stream with(tests::test_device(threads));
    Inputs v(with, c);
    const RpieWaves other(with.device(), c.side, c.modes);
    other.differences(with, v.object.view(), v.batch(), v.probes.view(), v.measured(), v.waves.view(), v.sums.view());
    found.push_back(download(with, v.waves));
  }
  EXPECT_EQ(found[1], found[0]);
  EXPECT_EQ(found[2], found[0]);
}

INSTANTIATE_TEST_SUITE_P(cases, rpie_waves, testing::ValuesIn(cases),
                         [](const auto& given) { return case_name(given.param.name); });

TEST(rpie_waves_by_hand, a_flat_wave_seen_twice_as_bright) {
  // Object and probe 1: all of the model's amplitude, 16, is at the zero frequency; 32 was measured, so that the wave
  // lacks as much as it has.
  constexpr int64_t side = 16;
  Stream stream(tests::test_device());
  const auto ones = upload<complex64>(stream, {side, side}, std::vector<complex64>(side * side, 1.0F));
  std::vector<float> bright(side * side, 0.0F);
  bright[side / 2 * side + side / 2] = 32;
  const auto amplitude = upload<float>(stream, {1, side, side}, bright);
  const auto corner = upload<int64_t>(stream, {1, 2}, {0, 0});
  const auto index = upload<int64_t>(stream, {1}, {0});
  Tensor<complex64> waves(stream.device(), {1, 1, side, side}, "waves");
  Tensor<double> sums(stream.device(), {1, 2}, "sums");
  RpieWaves(stream.device(), side, 1)
      .differences(stream, ones.view(), {corner.view(), index.view()}, ones.view().reshape({1, 1, side, side}),
                   {amplitude.view(), {}}, waves.view(), sums.view());
  for (const complex64& v : download(stream, waves)) EXPECT_WITHIN(std::abs(v - complex64(1)), 1e-5);
  EXPECT_WITHIN(std::abs(download(stream, sums)[0] - 16), 1e-4);
  EXPECT_EQ(download(stream, sums)[1], 32);
}

TEST(rpie_waves_errors, name_what_does_not_fit) {
  Stream stream(tests::test_device());
  const Case c = cases[1];
  Inputs u(stream, c);
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(has(error_message([&] { RpieWaves(stream.device(), 16, 0); }), "modes"));
  const RpieWaves steps(stream.device(), 16, 1), other(stream.device(), 32, 1);
  EXPECT_FALSE(
      error_message([&] { other.shifted_probes(stream, u.spectra.view(), u.shift.view(), u.waves.view()); }).empty());
  EXPECT_FALSE(error_message([&] {
                 steps.differences(stream, u.object.view(), u.batch(), u.probes.view(), u.measured(), u.waves.view(),
                                   u.sums.view().slice(0, 0, 1));
               }).empty());
}

}  // namespace
}  // namespace ptyfuse::ops
