#include "kernels/ops/rpie.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "kernels/ops/fft2.h"
#include "tests/support/case_name.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::ops {
namespace {

using complex128 = std::complex<double>;
using tests::case_name;
using tests::download;
using tests::error_message;
using tests::random_complex;
using tests::random_floats;
using tests::relative_l2;
using tests::upload;

struct Case {
  const char* name;
  int64_t frames, modes, probes, side, height, width;
  bool masked;
};
// The one table of these operations; everything is compared with plain double to 2e-6 relative.
constexpr double tolerance = 2e-6;
const Case cases[] = {
    {"one pixel", 1, 1, 1, 1, 1, 1, false},
    {"empty batch", 0, 2, 3, 4, 6, 5, false},
    {"odd", 3, 2, 3, 7, 19, 12, true},
    {"many modes", 2, 5, 4, 8, 9, 8, false},
    {"one probe for all", 6, 1, 1, 12, 40, 31, true},
    {"usual", 16, 2, 16, 64, 180, 170, true},
    {"beyond 65,535 frames", 66000, 1, 2, 1, 5, 4, false},
};

// All inputs of a case on the host, and the plain sums over them in double.
struct Data {
  explicit Data(const Case& with) : c(with) {
    const int64_t waves = c.frames * c.modes * c.side * c.side;
    object = random_complex(c.height * c.width, 1);
    probes = random_complex(c.probes * c.modes * c.side * c.side, 2);
    spectra = random_complex(waves, 3);
    amplitude = random_floats(c.frames * c.side * c.side, 0, 3, 4);
    shift = random_floats(c.frames * 2, -0.5, 1.5, 5);
    std::mt19937 engine(6);
    for (int64_t n = 0; n < c.frames; ++n) {
      corner.push_back(std::uniform_int_distribution<int64_t>(0, c.height - c.side)(engine));
      corner.push_back(std::uniform_int_distribution<int64_t>(0, c.width - c.side)(engine));
      index.push_back(std::uniform_int_distribution<int64_t>(0, c.probes - 1)(engine));
    }
    if (c.masked)
      for (int64_t i = 0; i < c.side * c.side; ++i) mask.push_back(i % 5 != 2);
  }
  // n, k, y, x of wave element i
  struct At {
    int64_t n, k, y, x;
  };
  At at(int64_t i) const {
    const int64_t side = c.side;
    return {i / (c.modes * side * side), i / (side * side) % c.modes, i / side % side, i % side};
  }
  int64_t waves() const { return static_cast<int64_t>(spectra.size()); }
  size_t object_at(const At& a) const {
    return static_cast<size_t>((corner[static_cast<size_t>(2 * a.n)] + a.y) * c.width +
                               corner[static_cast<size_t>(2 * a.n + 1)] + a.x);
  }
  complex128 probe_at(const At& a) const {
    return complex128(
        probes[static_cast<size_t>(((index[static_cast<size_t>(a.n)] * c.modes + a.k) * c.side + a.y) * c.side + a.x)]);
  }
  complex128 ramp(const At& a) const {
    const double n = static_cast<double>(c.side), half = static_cast<double>(c.side / 2);
    const double turns =
        (static_cast<double>(shift[static_cast<size_t>(2 * a.n)]) * (static_cast<double>(a.y) - half) +
         static_cast<double>(shift[static_cast<size_t>(2 * a.n + 1)]) * (static_cast<double>(a.x) - half)) /
        n;
    return std::polar(1.0, -2 * std::numbers::pi * turns);
  }
  // sqrt(sum_k |spectra|^2) of each frame's pixels
  std::vector<double> moduli() const {
    std::vector<double> out(amplitude.size(), 0.0);
    for (int64_t i = 0; i < waves(); ++i) {
      const At a = at(i);
      out[static_cast<size_t>((a.n * c.side + a.y) * c.side + a.x)] +=
          std::norm(complex128(spectra[static_cast<size_t>(i)]));
    }
    for (double& v : out) v = std::sqrt(v);
    return out;
  }
  bool used(int64_t pixel) const { return mask.empty() || mask[static_cast<size_t>(pixel % (c.side * c.side))]; }

  Case c;
  std::vector<complex64> object, probes, spectra;
  std::vector<float> amplitude, shift;
  std::vector<int64_t> corner, index;
  std::vector<uint8_t> mask;
};

// The same on a device.
struct Uploaded {
  Uploaded(Stream& stream, const Data& d)
      : wave_shape{d.c.frames, d.c.modes, d.c.side, d.c.side},
        object(upload<complex64>(stream, {d.c.height, d.c.width}, d.object)),
        probes(upload<complex64>(stream, {d.c.probes, d.c.modes, d.c.side, d.c.side}, d.probes)),
        spectra(upload<complex64>(stream, wave_shape, d.spectra)),
        out(stream.device(), wave_shape, "out"),
        amplitude(upload<float>(stream, {d.c.frames, d.c.side, d.c.side}, d.amplitude)),
        shift(upload<float>(stream, {d.c.frames, 2}, d.shift)),
        corner(upload<int64_t>(stream, {d.c.frames, 2}, d.corner)),
        index(upload<int64_t>(stream, {d.c.frames}, d.index)) {
    if (!d.mask.empty()) mask = upload<uint8_t>(stream, {d.c.side, d.c.side}, d.mask);
  }
  RpieBatch batch() { return {corner.view(), index.view()}; }
  Shape wave_shape;
  Tensor<complex64> object, probes, spectra, out;
  Tensor<float> amplitude, shift;
  Tensor<int64_t> corner, index;
  Tensor<uint8_t> mask;
};

class rpie : public testing::TestWithParam<Case> {};

TEST_P(rpie, exit_waves_are_probe_times_window) {
  const Data d(GetParam());
  Stream stream(tests::test_device());
  Uploaded u(stream, d);
  exit_waves(stream, u.object.view(), u.batch(), u.probes.view(), u.out.view());
  std::vector<complex128> expected;
  for (int64_t i = 0; i < d.waves(); ++i) {
    const auto a = d.at(i);
    expected.push_back(d.probe_at(a) * complex128(d.object[d.object_at(a)]));
  }
  EXPECT_WITHIN(relative_l2(download(stream, u.out).data(), expected.data(), d.waves()), tolerance);
}

TEST_P(rpie, weighing_by_the_object_is_the_adjoint_of_illuminating_it) {
  const Data d(GetParam());
  Stream stream(tests::test_device());
  Uploaded u(stream, d);
  // a probe of its own for each frame: x -> exit waves, y -> weighed
  const auto x = random_complex(d.waves(), 11);
  auto own = upload<complex64>(stream, u.wave_shape, x);
  std::vector<int64_t> order;
  for (int64_t n = 0; n < d.c.frames; ++n) order.push_back(n);
  auto index = upload<int64_t>(stream, {d.c.frames}, order);
  const RpieBatch batch{u.corner.view(), index.view()};
  exit_waves(stream, u.object.view(), batch, own.view(), u.out.view());
  const auto ax = download(stream, u.out);
  weigh_by_object(stream, u.object.view(), batch, u.spectra.view(), u.out.view());
  const auto aty = download(stream, u.out);
  complex128 left, right;
  double size = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    left += std::conj(complex128(ax[i])) * complex128(d.spectra[i]);
    right += std::conj(complex128(x[i])) * complex128(aty[i]);
    size += std::abs(complex128(ax[i])) * std::abs(complex128(d.spectra[i]));
  }
  EXPECT_WITHIN(std::abs(left - right), 1e-6 * size);
}

TEST_P(rpie, shifting_and_its_adjoint) {
  const Data d(GetParam());
  Stream stream(tests::test_device());
  Uploaded u(stream, d);
  const int64_t one = d.c.modes * d.c.side * d.c.side;
  const auto x = random_complex(one, 12);
  const auto probe = upload<complex64>(stream, {d.c.modes, d.c.side, d.c.side}, x);
  shift_spectra(stream, probe.view(), u.shift.view(), u.out.view());
  std::vector<complex128> expected, back(static_cast<size_t>(one));
  for (int64_t i = 0; i < d.waves(); ++i) {
    const auto a = d.at(i);
    expected.push_back(d.ramp(a) * complex128(x[static_cast<size_t>(i % one)]));
    back[static_cast<size_t>(i % one)] += std::conj(d.ramp(a)) * complex128(d.spectra[static_cast<size_t>(i)]);
  }
  EXPECT_WITHIN(relative_l2(download(stream, u.out).data(), expected.data(), d.waves()), tolerance);
  Tensor<complex64> sum(stream.device(), {d.c.modes, d.c.side, d.c.side}, "sum");
  sum_shifted_back(stream, u.spectra.view(), u.shift.view(), sum.view());
  EXPECT_WITHIN(relative_l2(download(stream, sum).data(), back.data(), one), 1e-5);
}

TEST_P(rpie, the_measured_modulus_replaces_the_models) {
  const Data d(GetParam());
  Stream stream(tests::test_device());
  Uploaded u(stream, d);
  Tensor<double> sums(stream.device(), {d.c.frames, 2}, "sums");
  modulus_residual(stream, u.spectra.view(), u.amplitude.view(), u.mask.view(), sums.view());
  modulus_difference(stream, u.amplitude.view(), u.mask.view(), u.spectra.view());

  const auto moduli = d.moduli();
  std::vector<complex128> expected;
  for (int64_t i = 0; i < d.waves(); ++i) {
    const auto a = d.at(i);
    const int64_t pixel = (a.n * d.c.side + a.y) * d.c.side + a.x;
    const double factor =
        static_cast<double>(d.amplitude[static_cast<size_t>(pixel)]) / (moduli[static_cast<size_t>(pixel)] + 1e-6) - 1;
    expected.push_back(d.used(pixel) ? factor * complex128(d.spectra[static_cast<size_t>(i)]) : 0.0);
  }
  EXPECT_WITHIN(relative_l2(download(stream, u.spectra).data(), expected.data(), d.waves()), tolerance);

  std::vector<double> expected_sums(static_cast<size_t>(2 * d.c.frames), 0.0);
  for (size_t i = 0; i < moduli.size(); ++i) {
    const auto pixel = static_cast<int64_t>(i);
    const auto n = static_cast<size_t>(pixel / (d.c.side * d.c.side));
    if (!d.used(pixel)) continue;
    expected_sums[2 * n] += std::abs(moduli[i] - static_cast<double>(d.amplitude[i]));
    expected_sums[2 * n + 1] += static_cast<double>(d.amplitude[i]);
  }
  EXPECT_WITHIN(relative_l2(download(stream, sums).data(), expected_sums.data(), 2 * d.c.frames), tolerance);
}

TEST_P(rpie, the_object_moves_by_the_regularised_step) {
  const Data d(GetParam());
  Stream stream(tests::test_device());
  Uploaded u(stream, d);
  const float beta = 0.3F, peak = 4, length = 0.7F;
  update_object(stream, u.spectra.view(), u.batch(), u.probes.view(), {beta, peak, length}, u.object.view());

  std::vector<complex128> numerator(d.object.size());
  std::vector<double> power(d.object.size(), 0.0);
  for (int64_t i = 0; i < d.waves(); ++i) {
    const auto a = d.at(i);
    numerator[d.object_at(a)] += std::conj(d.probe_at(a)) * complex128(d.spectra[static_cast<size_t>(i)]);
    power[d.object_at(a)] += std::norm(d.probe_at(a));
  }
  std::vector<complex128> expected;
  for (size_t i = 0; i < d.object.size(); ++i)
    expected.push_back(complex128(d.object[i]) +
                       static_cast<double>(length) * numerator[i] /
                           ((1 - static_cast<double>(beta)) * power[i] +
                            static_cast<double>(beta) * std::max(power[i], static_cast<double>(peak))));
  // 66,000 frames on 20 pixels: float sums of thousands of terms
  EXPECT_WITHIN(relative_l2(download(stream, u.object).data(), expected.data(), static_cast<int64_t>(expected.size())),
                d.c.frames > 1000 ? 1e-4 : tolerance);
}

TEST_P(rpie, a_batch_in_parts_moves_the_object_by_the_same_step) {
  const Data d(GetParam());
  Stream stream(tests::test_device());
  Uploaded u(stream, d);
  const Shape canvas{d.c.height, d.c.width};
  auto object = upload<complex64>(stream, canvas, d.object);
  Tensor<complex64> numerator(stream.device(), canvas, "numerator");
  Tensor<float> power(stream.device(), canvas, "power");
  fill_zero(stream, numerator.view());
  fill_zero(stream, power.view());
  const int64_t part = d.c.frames / 3 + 1;
  for (int64_t begin = 0; begin <= d.c.frames; begin += part) {
    const int64_t end = std::min(begin + part, d.c.frames);
    add_to_step(stream, u.spectra.view().slice(0, begin, end),
                {u.corner.view().slice(0, begin, end), u.index.view().slice(0, begin, end)}, u.probes.view(),
                {numerator.view(), power.view()});
  }
  apply_step(stream, {numerator.view(), power.view()}, {0.3F, 4, -0.5F}, object.view());
  update_object(stream, u.spectra.view(), u.batch(), u.probes.view(), {0.3F, 4, -0.5F}, u.object.view());
  const auto expected = download(stream, u.object);
  EXPECT_WITHIN(relative_l2(download(stream, object).data(), expected.data(), static_cast<int64_t>(expected.size())),
                d.c.frames > 1000 ? 1e-4 : tolerance);
}

TEST_P(rpie, peaks) {
  const Data d(GetParam());
  Stream stream(tests::test_device());
  Uploaded u(stream, d);
  const auto pixels = static_cast<size_t>(d.c.side * d.c.side);
  std::vector<double> windows(pixels, 0.0), powers(pixels, 0.0);
  for (int64_t i = 0; i < d.waves(); ++i)
    if (const auto a = d.at(i); a.k == 0)
      windows[static_cast<size_t>(i) % pixels] += std::norm(complex128(d.object[d.object_at(a)]));
  const double window = *std::max_element(windows.begin(), windows.end());
  EXPECT_WITHIN(std::abs(static_cast<double>(peak_window_power(stream, u.object.view(), u.batch(), d.c.side)) - window),
                (d.c.frames > 1000 ? 1e-4 : 1e-6) * window);

  for (size_t i = 0; i < static_cast<size_t>(d.c.modes) * pixels; ++i)
    powers[i % pixels] += std::norm(complex128(d.probes[i]));
  const double power = *std::max_element(powers.begin(), powers.end());
  const auto probe = u.probes.view().slice(0, 0, 1).reshape({d.c.modes, d.c.side, d.c.side});
  EXPECT_WITHIN(std::abs(static_cast<double>(peak_power(stream, probe)) - power), 1e-6 * power);
}

TEST_P(rpie, same_bits_whatever_the_threads) {
  const Data d(GetParam());
  std::vector<std::vector<complex64>> objects, sums;
  for (int threads : {1, 2, 3, 2}) {
    Stream stream(tests::test_device(threads));
    Uploaded u(stream, d);
    modulus_difference(stream, u.amplitude.view(), u.mask.view(), u.spectra.view());
    update_object(stream, u.spectra.view(), u.batch(), u.probes.view(), {0.5F, 1}, u.object.view());
    Tensor<complex64> sum(stream.device(), {d.c.modes, d.c.side, d.c.side}, "sum");
    sum_shifted_back(stream, u.spectra.view(), u.shift.view(), sum.view());
    objects.push_back(download(stream, u.object));
    sums.push_back(download(stream, sum));
  }
  for (size_t i = 1; i < objects.size(); ++i) {
    EXPECT_EQ(objects[i], objects[0]);
    EXPECT_EQ(sums[i], sums[0]);
  }
}

INSTANTIATE_TEST_SUITE_P(cases, rpie, testing::ValuesIn(cases),
                         [](const auto& given) { return case_name(given.param.name); });

TEST(rpie_by_hand, without_regularisation_what_no_probe_reaches_stays) {
  // Two frames of 1 x 1 in the corners of one row: the pixel between them is in no window; the second probe is zero.
  Stream stream(tests::test_device());
  auto object = upload<complex64>(stream, {1, 3}, {1.0F, 5.0F, 7.0F});
  const auto probes = upload<complex64>(stream, {2, 1, 1, 1}, {2.0F, 0.0F});
  const auto corner = upload<int64_t>(stream, {2, 2}, {0, 0, 0, 2});
  const auto index = upload<int64_t>(stream, {2}, {0, 1});
  const auto difference = upload<complex64>(stream, {2, 1, 1, 1}, {4.0F, 4.0F});
  update_object(stream, difference.view(), {corner.view(), index.view()}, probes.view(), {0.0F, 4.0F}, object.view());
  EXPECT_EQ(download(stream, object), (std::vector<complex64>{3.0F, 5.0F, 7.0F}));  // 1 + 2*4/4
}

TEST(rpie_by_hand, one_pixel) {
  // probe 2i, object 3, amplitude 10: wave 6i, difference 6i*(10/6 - 1) = 4i, step conj(2i)*4i/max(4, 8) with beta 1 =
  // 1
  Stream stream(tests::test_device());
  auto object = upload<complex64>(stream, {1, 1}, {3.0F});
  const auto probe = upload<complex64>(stream, {1, 1, 1, 1}, {complex64(0, 2)});
  const auto corner = upload<int64_t>(stream, {1, 2}, {0, 0});
  const auto index = upload<int64_t>(stream, {1}, {0});
  const auto amplitude = upload<float>(stream, {1, 1, 1}, {10.0F});
  Tensor<complex64> wave(stream.device(), {1, 1, 1, 1}, "wave");
  const RpieBatch batch{corner.view(), index.view()};
  exit_waves(stream, object.view(), batch, probe.view(), wave.view());
  EXPECT_EQ(download(stream, wave)[0], complex64(0, 6));
  Tensor<double> sums(stream.device(), {1, 2}, "sums");
  modulus_residual(stream, wave.view(), amplitude.view(), {}, sums.view());
  EXPECT_EQ(download(stream, sums), (std::vector<double>{4, 10}));
  modulus_difference(stream, amplitude.view(), {}, wave.view());
  EXPECT_WITHIN(std::abs(download(stream, wave)[0] - complex64(0, 4)), 1e-5);
  update_object(stream, wave.view(), batch, probe.view(), {1.0F, 8.0F}, object.view());
  EXPECT_WITHIN(std::abs(download(stream, object)[0] - complex64(4, 0)), 1e-5);
  auto sum = upload<complex64>(stream, {2}, {complex64(1, 2), complex64(0, 1)});
  const auto term = upload<complex64>(stream, {2}, {complex64(2, 0), complex64(4, -2)});
  add_scaled(stream, term.view(), 0.5F, sum.view());
  EXPECT_EQ(download(stream, sum), (std::vector<complex64>{{2, 2}, {2, 0}}));
}

TEST(rpie_by_hand, a_shift_moves_content_by_plus_its_pixels) {
  const int64_t side = 12;
  Stream stream(tests::test_device());
  const Fft2 fft(stream.device(), side, side);
  const auto host = random_complex(side * side, 3);
  const auto image = upload<complex64>(stream, {1, side, side}, host);
  Tensor<complex64> spectrum(stream.device(), {1, side, side}, "spectrum"),
      moved(stream.device(), {1, 1, side, side}, "moved");
  const auto shift = upload<float>(stream, {1, 2}, {2.0F, -3.0F});
  fft.run(stream, FftDirection::forward, image.view(), spectrum.view());
  shift_spectra(stream, spectrum.view(), shift.view(), moved.view());
  const auto flat = moved.view().reshape({1, side, side});
  fft.run(stream, FftDirection::inverse, flat, flat);
  std::vector<complex64> expected(host.size());
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x)
      expected[static_cast<size_t>((y + 2) % side * side + (x + side - 3) % side)] =
          host[static_cast<size_t>(y * side + x)];
  EXPECT_WITHIN(relative_l2(download(stream, moved).data(), expected.data(), side * side), 2e-6);
}

bool has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

// Frame 1 of the odd case with its window one pixel outside of the object on each of its sides, and with probes that
// are not there.
struct WrongBatch {
  std::vector<int64_t> corner, index;
  const char* message;
};
std::vector<WrongBatch> wrong_batches(const Data& d) {
  std::vector<WrongBatch> out;
  for (const bool of_x : {false, true})
    for (const int64_t at : {int64_t{-1}, (of_x ? d.c.width : d.c.height) - d.c.side + 1}) {
      out.push_back({d.corner, d.index, "outside the object"});
      out.back().corner[of_x ? 3 : 2] = at;
    }
  for (const int64_t probe : {int64_t{-1}, d.c.probes}) {
    out.push_back({d.corner, d.index, probe < 0 ? "probe -1" : "probe 3"});
    out.back().index[1] = probe;
  }
  return out;
}

TEST(rpie_errors, name_a_frame_that_does_not_fit) {
  Stream stream(tests::test_device());
  if (stream.device().kind() != DeviceKind::cpu) GTEST_SKIP() << "a GPU does not look back from its kernels";
  const Data d(cases[2]);
  Uploaded u(stream, d);
  for (const WrongBatch& wrong : wrong_batches(d)) {
    const auto corner = upload<int64_t>(stream, {d.c.frames, 2}, wrong.corner);
    const auto index = upload<int64_t>(stream, {d.c.frames}, wrong.index);
    const RpieBatch batch{corner.view(), index.view()};
    const std::string waves =
        error_message([&] { exit_waves(stream, u.object.view(), batch, u.probes.view(), u.out.view()); });
    EXPECT_TRUE(has(waves, wrong.message) && has(waves, "frame 1")) << waves;
    EXPECT_TRUE(has(error_message([&] {
                      update_object(stream, u.spectra.view(), batch, u.probes.view(), {0.5F, 1}, u.object.view());
                    }),
                    wrong.message));
  }
}

TEST(rpie_errors, on_a_gpu_a_frame_that_does_not_fit_adds_nothing) {
  Stream stream(tests::test_device());
  if (stream.device().kind() == DeviceKind::cpu) GTEST_SKIP() << "the CPU reports it";
  const Data d(cases[2]);
  Uploaded u(stream, d);
  const int64_t frame = d.c.modes * d.c.side * d.c.side;
  exit_waves(stream, u.object.view(), u.batch(), u.probes.view(), u.out.view());
  auto waves = download(stream, u.out);
  std::fill(waves.begin() + frame, waves.begin() + 2 * frame, complex64());
  // What frames 0 and 2 alone make of the object.
  const auto two = [&](const std::vector<int64_t>& of) { return std::vector<int64_t>{of[0], of[1], of[4], of[5]}; };
  const auto corner = upload<int64_t>(stream, {2, 2}, two(d.corner));
  const auto index = upload<int64_t>(stream, {2}, {d.index[0], d.index[2]});
  auto difference = d.spectra;
  difference.erase(difference.begin() + frame, difference.begin() + 2 * frame);
  const auto differences = upload<complex64>(stream, {2, d.c.modes, d.c.side, d.c.side}, difference);
  update_object(stream, differences.view(), {corner.view(), index.view()}, u.probes.view(), {0.5F, 1}, u.object.view());
  const auto object = download(stream, u.object);
  for (const WrongBatch& wrong : wrong_batches(d)) {
    const auto corners = upload<int64_t>(stream, {d.c.frames, 2}, wrong.corner);
    const auto indices = upload<int64_t>(stream, {d.c.frames}, wrong.index);
    const RpieBatch batch{corners.view(), indices.view()};
    copy_to_device(stream, u.object.view(), d.object.data(), u.object.elements());
    exit_waves(stream, u.object.view(), batch, u.probes.view(), u.out.view());
    EXPECT_EQ(download(stream, u.out), waves);
    update_object(stream, u.spectra.view(), batch, u.probes.view(), {0.5F, 1}, u.object.view());
    EXPECT_EQ(download(stream, u.object), object);
  }
}

TEST(rpie_errors, name_what_does_not_fit) {
  const Data d(cases[2]);
  Stream stream(tests::test_device());
  Uploaded u(stream, d);
  const auto waves = [&](const RpieBatch& batch) {
    return error_message([&] { exit_waves(stream, u.object.view(), batch, u.probes.view(), u.out.view()); });
  };
  EXPECT_TRUE(has(waves({u.corner.view().slice(0, 0, 2), u.index.view()}), "corner"));
  EXPECT_TRUE(
      has(error_message([&] { modulus_difference(stream, u.amplitude.view().slice(0, 0, 1), {}, u.spectra.view()); }),
          "amplitude"));
  EXPECT_TRUE(has(error_message([&] {
                    update_object(stream, u.spectra.view(), u.batch(), u.probes.view(), {0.5F, 0}, u.object.view());
                  }),
                  "peak"));
  EXPECT_TRUE(has(error_message([&] {
                    update_object(stream, u.spectra.view(), u.batch(), u.probes.view(), {NAN, 1}, u.object.view());
                  }),
                  "beta"));
  EXPECT_TRUE(
      has(error_message([&] {
            update_object(stream, u.spectra.view(), u.batch(), u.probes.view(), {0.5F, 1, NAN}, u.object.view());
          }),
          "length"));
  Tensor<float> narrow(stream.device(), {d.c.height, d.c.width - 1}, "narrow");
  Tensor<float> power(stream.device(), {d.c.height, d.c.width}, "power");
  EXPECT_TRUE(has(error_message([&] {
                    add_to_step(stream, u.spectra.view(), u.batch(), u.probes.view(), {u.object.view(), narrow.view()});
                  }),
                  "add_to_step: power"));
  EXPECT_TRUE(has(error_message([&] {
                    apply_step(stream, {u.object.view(), power.view()}, {0.5F, 0}, u.object.view());
                  }),
                  "apply_step: peak"));
  EXPECT_TRUE(has(error_message([&] {
                    shift_spectra(stream, u.out.view().slice(0, 0, 1).reshape({d.c.modes, d.c.side, d.c.side}),
                                  u.shift.view().slice(0, 0, 1), u.out.view());
                  }),
                  "shift_px"));
}

}  // namespace
}  // namespace ptyfuse::ops
