#include "engine/refine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "engine/frame_positions.h"
#include "engine/random.h"
#include "engine/refine_output.h"
#include "kernels/device/error.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using complex128 = std::complex<double>;
using Field = std::vector<complex128>;
using tests::error_message;
using tests::relative_l2;
using tests::test_device;

// Orthonormal two-dimensional transform of a square image by sums, zero frequency at N/2; sign -1 forward, 1 back.
Field transform(const Field& in, int64_t side, double sign) {
  Field along_x(in.size()), out(in.size());
  const double n = static_cast<double>(side);
  // forward: output index is shifted; back: input index is
  const auto turn = [&](int64_t a, int64_t b) {
    const auto spatial = static_cast<double>(sign < 0 ? b : a),
               frequency = static_cast<double>((sign < 0 ? a : b) - side / 2);
    return std::polar(1 / std::sqrt(n), sign * 2 * std::numbers::pi * spatial * frequency / n);
  };
  for (int64_t y = 0; y < side; ++y)
    for (int64_t k = 0; k < side; ++k)
      for (int64_t x = 0; x < side; ++x)
        along_x[static_cast<size_t>(y * side + k)] += turn(k, x) * in[static_cast<size_t>(y * side + x)];
  for (int64_t k = 0; k < side; ++k)
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x)
        out[static_cast<size_t>(k * side + x)] += turn(k, y) * along_x[static_cast<size_t>(y * side + x)];
  return out;
}

Field shifted(const Field& image, int64_t side, double dy, double dx) {
  Field spectrum = transform(image, side, -1);
  for (int64_t i = 0; i < side; ++i)
    for (int64_t j = 0; j < side; ++j)
      spectrum[static_cast<size_t>(i * side + j)] *=
          std::polar(1.0, -2 * std::numbers::pi *
                              (dy * static_cast<double>(i - side / 2) + dx * static_cast<double>(j - side / 2)) /
                              static_cast<double>(side));
  return transform(spectrum, side, 1);
}

constexpr int64_t side = 16;

io::ComplexImage small_probe(int64_t modes = 1) {
  io::ComplexImage probe{modes, side, side, {}};
  for (int64_t k = 0; k < modes; ++k)
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x) {
        const double dy = static_cast<double>(y) - 7.2, dx = static_cast<double>(x) - 8.1;
        const double odd = k == 0 ? 1 : 0.25 * (k == 1 ? dx : dy);
        probe.data.emplace_back(std::polar(20 * odd * std::exp(-(dy * dy + dx * dx) / 24), 0.06 * (dy * dy + dx * dx)));
      }
  return probe;
}

// A smooth object of structure about 4 px, amplitude 0.6 to 1, phase +-0.6.
io::ComplexImage small_object(int64_t height, int64_t width) {
  io::ComplexImage object{1, height, width, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const double a = std::sin(0.9 * static_cast<double>(x) + 0.4 * static_cast<double>(y)),
                   b = std::cos(1.1 * static_cast<double>(y) - 0.3 * static_cast<double>(x) +
                                0.002 * static_cast<double>(x * y));
      object.data.emplace_back(std::polar(0.8 + 0.2 * a, 0.6 * b));
    }
  return object;
}

struct SmallScan {
  io::ScanInfo info;
  std::vector<float> amplitude;
  io::ComplexImage object;                     // as measured
  std::vector<std::array<int64_t, 2>> corner;  // within `object`
  std::vector<std::array<double, 2>> fraction;
  std::unique_ptr<io::ScanReader> open() const { return io::scan_from_memory(info, amplitude); }
  double mean_counts() const {
    double sum = 0;
    for (float a : amplitude) sum += static_cast<double>(a) * static_cast<double>(a);
    return sum / static_cast<double>(info.frames);
  }
};

// rows x rows positions about 3 px apart, off the pixel grid; object element [0,0] at scan pixel [-10, 20].
SmallScan small_scan(int64_t rows, const io::ComplexImage& probe) {
  SmallScan scan;
  scan.object = small_object(3 * rows + 20, 3 * rows + 20);
  scan.info.frames = rows * rows;
  scan.info.side_px = side;
  Random random(7);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < rows; ++c) {
      scan.corner.push_back(
          {3 * r + 1 + static_cast<int64_t>(random.below(2)), 3 * c + 1 + static_cast<int64_t>(random.below(2))});
      scan.fraction.push_back({random.uniform(), random.uniform()});
      const auto& corner = scan.corner.back();
      const auto& fraction = scan.fraction.back();
      scan.info.positions_px.push_back({static_cast<double>(corner[0]) + fraction[0] + side / 2 - 10,
                                        static_cast<double>(corner[1]) + fraction[1] + side / 2 + 20});
      std::vector<double> counts(side * side, 0.0);
      for (int64_t k = 0; k < probe.depth; ++k) {
        Field mode(probe.data.begin() + k * side * side, probe.data.begin() + (k + 1) * side * side);
        mode = shifted(mode, side, fraction[0], fraction[1]);
        for (int64_t i = 0; i < side * side; ++i)
          mode[static_cast<size_t>(i)] *= complex128(
              scan.object.data[static_cast<size_t>((corner[0] + i / side) * scan.object.width + corner[1] + i % side)]);
        const Field far = transform(mode, side, -1);
        for (size_t i = 0; i < counts.size(); ++i) counts[i] += std::norm(far[i]);
      }
      for (double n : counts) scan.amplitude.push_back(static_cast<float>(std::sqrt(n)));
    }
  return scan;
}

// The true object and its place, as a start.
RefineState truth_start(const SmallScan& scan, const io::ComplexImage& probe) {
  RefineState state;
  state.object = scan.object;
  state.origin_px = {-10, 20};
  state.probe = probe;
  return state;
}

// |<a - mean a, b - mean b>| / norms where the scan's middle lies; both on the object's grid at `origin` of b.
double contrast(const RefineState& state, const SmallScan& scan, int64_t margin) {
  Field a, b;
  for (int64_t y = margin; y < scan.object.height - margin; ++y)
    for (int64_t x = margin; x < scan.object.width - margin; ++x) {
      const int64_t sy = y - 10 - state.origin_px[0], sx = x + 20 - state.origin_px[1];
      a.push_back(complex128(state.object.data[static_cast<size_t>(sy * state.object.width + sx)]));
      b.push_back(complex128(scan.object.data[static_cast<size_t>(y * scan.object.width + x)]));
    }
  complex128 mean_a, mean_b, cross;
  for (size_t i = 0; i < a.size(); ++i)
    mean_a += a[i] / static_cast<double>(a.size()), mean_b += b[i] / static_cast<double>(a.size());
  double power_a = 0, power_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    cross += std::conj(a[i] - mean_a) * (b[i] - mean_b);
    power_a += std::norm(a[i] - mean_a);
    power_b += std::norm(b[i] - mean_b);
  }
  return std::abs(cross) / std::sqrt(power_a * power_b);
}

// Section 0.13 in plain double, all frames in one batch.
void plain_sweep(const SmallScan& scan, double beta, bool update_probe, const std::vector<uint8_t>& mask, Field& object,
                 std::vector<Field>& probe, double length = 1) {
  const size_t pixels = side * side;
  Field numerator(object.size());
  std::vector<double> power(object.size(), 0.0), seen(pixels, 0.0), unshifted(pixels, 0.0);
  std::vector<Field> step(probe.size(), Field(pixels));
  for (const Field& mode : probe)
    for (size_t i = 0; i < pixels; ++i) unshifted[i] += std::norm(mode[i]);
  const double peak = *std::max_element(unshifted.begin(), unshifted.end());
  for (size_t n = 0; n < scan.corner.size(); ++n) {
    const auto at = [&](size_t i) {
      const auto p = static_cast<int64_t>(i);
      return static_cast<size_t>((scan.corner[n][0] + p / side) * scan.object.width + scan.corner[n][1] + p % side);
    };
    std::vector<Field> moved, far;
    std::vector<double> total(pixels, 0.0);
    for (const Field& mode : probe) {
      moved.push_back(shifted(mode, side, scan.fraction[n][0], scan.fraction[n][1]));
      Field wave = moved.back();
      for (size_t i = 0; i < pixels; ++i) wave[i] *= object[at(i)];
      far.push_back(transform(wave, side, -1));
      for (size_t i = 0; i < pixels; ++i) total[i] += std::norm(far.back()[i]);
    }
    for (size_t k = 0; k < probe.size(); ++k) {
      for (size_t i = 0; i < pixels; ++i)
        far[k][i] *= mask.empty() || mask[i]
                         ? static_cast<double>(scan.amplitude[n * pixels + i]) / (std::sqrt(total[i]) + 1e-6) - 1
                         : 0.0;
      const Field difference = transform(far[k], side, 1);
      Field weighed(pixels);
      for (size_t i = 0; i < pixels; ++i) {
        numerator[at(i)] += std::conj(moved[k][i]) * difference[i];
        power[at(i)] += std::norm(moved[k][i]);
        weighed[i] = std::conj(object[at(i)]) * difference[i];
      }
      weighed = shifted(weighed, side, -scan.fraction[n][0], -scan.fraction[n][1]);
      for (size_t i = 0; i < pixels; ++i) step[k][i] += weighed[i];
    }
    for (size_t i = 0; i < pixels; ++i) seen[i] += std::norm(object[at(i)]);
  }
  for (size_t i = 0; i < object.size(); ++i)
    object[i] += length * numerator[i] / ((1 - beta) * power[i] + beta * std::max(power[i], peak));
  if (!update_probe) return;
  const double weight = *std::max_element(seen.begin(), seen.end());
  for (size_t k = 0; k < probe.size(); ++k)
    for (size_t i = 0; i < pixels; ++i) probe[k][i] += length * step[k][i] / (weight + 1e-6);
}

double plain_residual(const SmallScan& scan, const std::vector<uint8_t>& mask, const Field& object,
                      const std::vector<Field>& probe) {
  double apart = 0, sum = 0;
  for (size_t n = 0; n < scan.corner.size(); ++n) {
    std::vector<double> total(side * side, 0.0);
    for (const Field& mode : probe) {
      Field wave = shifted(mode, side, scan.fraction[n][0], scan.fraction[n][1]);
      for (int64_t i = 0; i < side * side; ++i)
        wave[static_cast<size_t>(i)] *= object[static_cast<size_t>((scan.corner[n][0] + i / side) * scan.object.width +
                                                                   scan.corner[n][1] + i % side)];
      const Field far = transform(wave, side, -1);
      for (size_t i = 0; i < total.size(); ++i) total[i] += std::norm(far[i]);
    }
    for (size_t i = 0; i < total.size(); ++i) {
      if (!mask.empty() && !mask[i]) continue;
      const double measured = scan.amplitude[n * side * side + i];
      apart += std::abs(std::sqrt(total[i]) - measured);
      sum += measured;
    }
  }
  return apart / sum;
}

struct Case {
  const char* name;
  int64_t modes;
  bool update_probe, masked;
  double beta;
};

TEST(refine, follows_the_method_step_by_step) {
  const Case cases[] = {
      {"object", 1, false, false, 0.5},
      {"object, two modes, mask", 2, false, true, 0.3},
      {"probe", 1, true, false, 0.5},
      {"probe, two modes, mask", 2, true, true, 0.8},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    SmallScan scan = small_scan(3, small_probe(c.modes));
    if (c.masked) {
      for (int64_t i = 0; i < side * side; ++i) scan.info.mask.push_back(i % 7 != 3);
      for (size_t i = 0; i < scan.amplitude.size(); ++i)
        if (!scan.info.mask[i % (side * side)]) scan.amplitude[i] = 0;
    }
    // a start that is off in object and probe
    RefineState state = truth_start(scan, small_probe(c.modes));
    for (auto& v : state.object.data) v = 0.5F * v + complex64(0.4F, 0.1F);
    for (size_t i = 0; i < state.probe.data.size(); ++i)
      state.probe.data[i] *= 0.9F + 0.002F * static_cast<float>(i % 60);
    Field object(state.object.data.begin(), state.object.data.end());
    std::vector<Field> probe;
    for (int64_t k = 0; k < c.modes; ++k)
      probe.emplace_back(state.probe.data.begin() + k * side * side, state.probe.data.begin() + (k + 1) * side * side);
    std::vector<double> residuals{plain_residual(scan, scan.info.mask, object, probe)};
    for (int sweep = 0; sweep < 3; ++sweep) {
      plain_sweep(scan, c.beta, c.update_probe && sweep > 0, scan.info.mask, object, probe);
      residuals.push_back(plain_residual(scan, scan.info.mask, object, probe));
    }

    auto reader = scan.open();
    const RefineConfig config{.sweeps = 3, .batch = 9, .beta = c.beta, .update_probe = c.update_probe};
    EXPECT_WITHIN(std::abs(residual(test_device(), *reader, config, state) - residuals[0]), 1e-5 * residuals[0]);
    refine(test_device(), *reader, config, state, {});
    EXPECT_WITHIN(relative_l2(state.object.data.data(), object.data(), static_cast<int64_t>(object.size())), 1e-5);
    for (int64_t k = 0; k < c.modes; ++k)
      EXPECT_WITHIN(
          relative_l2(state.probe.data.data() + k * side * side, probe[static_cast<size_t>(k)].data(), side * side),
          1e-5);
    // A sweep meets its frames, here its only batch, as they were before it; the last R is of what it left.
    const double expected[] = {residuals[0], residuals[0], residuals[1], residuals[3]};
    ASSERT_EQ(state.residual.size(), 4u);
    for (size_t i = 0; i < 4; ++i) EXPECT_WITHIN(std::abs(state.residual[i] - expected[i]), 2e-5 * expected[i]);
  }
}

TEST(refine, the_truth_explains_its_own_scan) {
  const SmallScan scan = small_scan(3, small_probe(2));
  auto reader = scan.open();
  EXPECT_WITHIN(residual(test_device(), *reader, {}, truth_start(scan, small_probe(2))), 1e-5);
}

TEST(refine, finds_the_object_from_a_flat_start) {
  const SmallScan scan = small_scan(10, small_probe());
  auto reader = scan.open();
  RefineState state = flat_start(scan.info, small_probe(), mean_counts(test_device(), *reader, ""));
  refine(test_device(), *reader, {.sweeps = 30, .batch = 10}, state, {});
  EXPECT_GT(contrast(state, scan, 10), 0.99);
  EXPECT_LT(state.residual.back(), 0.02);
  EXPECT_LT(state.residual.back(), 0.2 * state.residual.front());
}

TEST(refine, finds_the_probe_too) {
  const SmallScan scan = small_scan(10, small_probe());
  auto reader = scan.open();
  io::ComplexImage off = small_probe();
  for (int64_t i = 0; i < side * side; ++i)
    off.data[static_cast<size_t>(i)] *=
        std::polar(1.0F + 0.03F * static_cast<float>(i % side - 8), 0.08F * static_cast<float>(i / side - 8));
  const double counts = mean_counts(test_device(), *reader, "");
  RefineState fixed = flat_start(scan.info, off, counts), found = fixed;
  refine(test_device(), *reader, {.sweeps = 40, .batch = 10}, fixed, {});
  refine(test_device(), *reader, {.sweeps = 40, .batch = 10, .update_probe = true}, found, {});
  EXPECT_LT(found.residual.back(), 0.5 * fixed.residual.back());
  EXPECT_LT(found.residual.back(), 0.03);
}

TEST(refine, a_second_mode_explains_what_one_cannot) {
  const SmallScan scan = small_scan(8, small_probe(2));
  auto reader = scan.open();
  const double counts = mean_counts(test_device(), *reader, "");
  RefineState one = flat_start(scan.info, small_probe(), counts), two = one;
  refine(test_device(), *reader, {.sweeps = 25, .update_probe = true}, one, {});
  refine(test_device(), *reader, {.sweeps = 25, .update_probe = true, .modes = 2}, two, {});
  EXPECT_EQ(two.probe.depth, 2);
  EXPECT_LT(two.residual.back(), 0.6 * one.residual.back());
}

TEST(refine, same_bits_whatever_threads_and_memory) {
  const SmallScan scan = small_scan(6, small_probe(2));
  const int64_t frame = side * side * 4;
  for (bool update : {false, true}) {
    RefineState first;
    struct Variant {
      int threads;
      int64_t memory;
    };
    // all in memory; probes not kept; nothing kept but two batches
    for (const Variant& v :
         {Variant{2, int64_t{1} << 30}, {1, int64_t{1} << 30}, {3, 36 * frame * 2}, {2, 5 * 3 * frame}}) {
      auto reader = scan.open();
      RefineState state = flat_start(scan.info, small_probe(2), scan.mean_counts());
      refine(test_device(v.threads), *reader,
             {.sweeps = 2, .batch = 5, .update_probe = update, .seed = 4, .host_memory_bytes = v.memory}, state, {});
      if (first.object.empty()) first = state;
      EXPECT_EQ(state.object.data, first.object.data);
      EXPECT_EQ(state.probe.data, first.probe.data);
      EXPECT_EQ(state.residual, first.residual);
    }
    auto reader = scan.open();
    RefineState other = flat_start(scan.info, small_probe(2), scan.mean_counts());
    refine(test_device(), *reader, {.sweeps = 2, .batch = 5, .update_probe = update, .seed = 5}, other, {});
    EXPECT_NE(other.object.data, first.object.data);
  }
}

// On the CPU, whose account is that of any device.
TEST(refine, works_on_parts_of_a_batch_where_the_devices_memory_is_short) {
  const SmallScan scan = small_scan(6, small_probe(2));
  for (const bool update : {false, true}) {
    SCOPED_TRACE(update);
    std::string notices;
    RunControl control;
    control.notice = [&](const std::string& line) { notices += line; };
    const auto run = [&](const Device& device) {
      RefineState state = flat_start(scan.info, small_probe(2), scan.mean_counts());
      // memory for three batches on the host: probes are not kept
      refine(device, *scan.open(),
             {.sweeps = 2, .batch = 8, .update_probe = update, .seed = 4, .host_memory_bytes = 8 * 3 * side * side * 4},
             state, control);
      return state;
    };
    const auto limited = [](int64_t bytes) { return Device::cpu({.threads = 2, .memory_limit_bytes = bytes}); };
    const Device unlimited = limited(0);
    const RefineState expected = run(unlimited);
    EXPECT_EQ(notices, "");
    const int64_t all = unlimited.memory_peak_bytes();
    const std::string refused = error_message([&] { run(limited(1000)); });
    EXPECT_EQ(refused.find("refine: the object and a batch of 8 frames, even one frame at a time, are too much for the "
                           "device: out of device memory: buffer '"),
              0U)
        << refused;
    const std::string words = "The least that works is --device-memory ";
    ASSERT_NE(refused.find(words), std::string::npos) << refused;
    const int64_t least = std::stoll(refused.substr(refused.find(words) + words.size()));
    ASSERT_LT(least, all);
    EXPECT_NE(error_message([&] { run(limited(least - 1)); }).find(words + std::to_string(least)), std::string::npos);
    for (const int64_t limit : {least, (least + all) / 2, all}) {
      SCOPED_TRACE(limit);
      notices.clear();
      const Device device = limited(limit);
      const RefineState found = run(device);
      EXPECT_LE(device.memory_peak_bytes(), limit);
      EXPECT_EQ(notices.find("frames of a batch of 8 at a time") != std::string::npos, limit < all) << notices;
      if (limit == all) {
        EXPECT_EQ(found.object.data, expected.object.data);
        EXPECT_EQ(found.probe.data, expected.probe.data);
        EXPECT_EQ(found.residual, expected.residual);
        continue;
      }
      EXPECT_WITHIN(relative_l2(found.object.data.data(), expected.object.data.data(),
                                static_cast<int64_t>(expected.object.data.size())),
                    1e-5);
      EXPECT_WITHIN(relative_l2(found.probe.data.data(), expected.probe.data.data(),
                                static_cast<int64_t>(expected.probe.data.size())),
                    1e-5);
    }
    // R alone sums nothing over a batch: the same in any parts.
    const auto residual_on = [&](const Device& device) {
      return residual(device, *scan.open(), {.batch = 8}, expected);
    };
    const Device whole = limited(0);
    const double r = residual_on(whole);
    EXPECT_EQ(residual_on(limited(whole.memory_peak_bytes() * 2 / 3)), r);
  }
}

TEST(refine, uses_the_frames_chosen) {
  const SmallScan scan = small_scan(4, small_probe());
  auto reader = scan.open();
  double sum = 0;
  for (size_t i = 0; i < scan.amplitude.size(); ++i)
    if (i / (side * side) % 3 == 1) sum += std::pow(static_cast<double>(scan.amplitude[i]), 2);
  EXPECT_WITHIN(std::abs(mean_counts(test_device(), *reader, "1::3") / (sum / 5) - 1), 1e-12);
  EXPECT_WITHIN(std::abs(mean_counts(test_device(), *reader, "") / scan.mean_counts() - 1), 1e-12);

  RefineState state = flat_start(scan.info, small_probe(), scan.mean_counts());
  refine(test_device(), *reader, {.sweeps = 1, .frames = "0:1"}, state, {});
  for (int64_t y = 0; y < state.object.height; ++y)
    for (int64_t x = 0; x < state.object.width; ++x) {
      const int64_t fy = y - (scan.corner[0][0] - 10 - state.origin_px[0]),
                    fx = x - (scan.corner[0][1] + 20 - state.origin_px[1]);
      if (fy < 0 || fx < 0 || fy >= side || fx >= side) {
        ASSERT_EQ(state.object.data[static_cast<size_t>(y * state.object.width + x)], complex64(1, 0));
      }
    }
  EXPECT_NE(
      state.object.data[static_cast<size_t>((scan.corner[0][0] - 10 - state.origin_px[0] + 8) * state.object.width +
                                            scan.corner[0][1] + 20 - state.origin_px[1] + 8)],
      complex64(1, 0));
}

TEST(refine, a_flat_start_explains_the_mean_counts) {
  io::ScanInfo info;
  info.frames = 3;
  info.side_px = side;
  info.positions_px = {{8, 8}, {20.25, 7}, {-1.5, 30}};  // corners 0,0  12.25,-1  -9.5,22
  const RefineState state = flat_start(info, small_probe(2), 5000);
  EXPECT_EQ(state.origin_px, (std::array<int64_t, 2>{-10, -1}));
  EXPECT_EQ(state.object.height, 12 + 16 + 1 + 10);
  EXPECT_EQ(state.object.width, 22 + 16 + 1);
  for (const auto& v : state.object.data) ASSERT_EQ(v, complex64(1, 0));
  double power = 0;
  for (const auto& v : state.probe.data) power += std::norm(complex128(v));
  EXPECT_WITHIN(std::abs(power / 5000 - 1), 1e-6);
}

TEST(refine, an_object_is_placed_and_scaled_and_its_gaps_filled) {
  io::ScanInfo info;
  info.frames = 1;
  info.side_px = 4;
  info.positions_px = {{2, 2}};  // canvas: rows and columns 0 to 3
  const io::ComplexImage probe{1, 4, 4, std::vector<complex64>(16, complex64(0, 3))};
  // element [0,0] at scan pixel [1,-1]: covers rows 1..2, columns 0..1 of the canvas
  const io::ComplexImage object{1, 2, 3, {{9, 9}, {0, 2}, {0, 4}, {9, 9}, {0, 6}, {7, 7}}};
  const std::vector<float> weight{1, 1, 1, 1, 2, 0};
  const RefineState state = start_from_object(info, {object, weight, {1, -1}, probe}, 100);
  EXPECT_EQ(state.origin_px, (std::array<int64_t, 2>{0, 0}));
  ASSERT_EQ(state.object.data.size(), 16u);
  // weighted mean amplitude (2 + 4 + 2*6)/4 = 4.5, phase pi/2
  for (size_t i = 0; i < 16; ++i) {
    const complex64 expected = i == 4   ? complex64(0, 2 / 4.5F)
                               : i == 5 ? complex64(0, 4 / 4.5F)
                               : i == 8 ? complex64(0, 6 / 4.5F)
                                        : complex64(0, 1);
    EXPECT_WITHIN(std::abs(state.object.data[i] - expected), 1e-6);
  }
  // The probe has 9 a pixel, the object |O|^2 = 13 + (4 + 16 + 36) / 4.5^2: together 100.
  EXPECT_WITHIN(std::abs(std::norm(state.probe.data[0]) * (13 + 56 / 20.25F) / 100 - 1), 1e-6);
  EXPECT_EQ(state.mean_counts, 100);
  // An object that explains 25 counts with its probe stays as it is; so does the probe but for the dose.
  const RefineState as_is = start_from_object(info, {object, weight, {1, -1}, probe, 25}, 100);
  for (size_t i = 0; i < 16; ++i) EXPECT_WITHIN(std::abs(as_is.object.data[i] - 4.5F * state.object.data[i]), 1e-5);
  for (const auto& v : as_is.probe.data) EXPECT_EQ(v, complex64(0, 6));
  // without weights what is exactly zero is a gap
  const io::ComplexImage holes{1, 4, 4, {0, 0, 0, 0, 0, 2, 2, 0, 0, 2, 2, 0, 0, 0, 0, 0}};
  for (const auto& v : start_from_object(info, {holes, {}, {0, 0}, probe}, 100).object.data)
    EXPECT_WITHIN(std::abs(v - complex64(1, 0)), 1e-6);
}

TEST(refine, a_run_too_short_to_move_says_so) {
  const SmallScan scan = small_scan(4, small_probe());
  auto reader = scan.open();
  const RefineState flat = flat_start(scan.info, small_probe(), scan.mean_counts(), 0, position_room_px(side));
  const auto notices = [&](const RefineConfig& config, RefineState& state) {
    std::string said;
    RunControl control;
    control.notice = [&](const std::string& line) { said += line + "\n"; };
    state = flat;
    refine(test_device(), *reader, config, state, control);
    return said;
  };
  RefineState state;
  EXPECT_NE(notices({.sweeps = 1, .update_probe = true}, state).find("it moves from sweep 2 on"), std::string::npos);
  EXPECT_NE(notices({.sweeps = 2, .update_positions = true}, state).find("they move from sweep 3 on"),
            std::string::npos);
  EXPECT_TRUE(state.positions_px.empty());
  EXPECT_EQ(notices({.sweeps = 2, .update_probe = true}, state), "");
  EXPECT_NE(notices({.sweeps = 3, .update_positions = true}, state).find("positions moved by"), std::string::npos);
  EXPECT_EQ(state.positions_px.size(), scan.info.positions_px.size());
}

TEST(refine, going_on_begins_where_the_run_before_ended) {
  const SmallScan scan = small_scan(8, small_probe(2));
  auto reader = scan.open();
  const double counts = mean_counts(test_device(), *reader, "");
  for (const bool update_probe : {false, true}) {
    RefineState first = flat_start(scan.info, small_probe(2), counts);
    refine(test_device(), *reader, {.sweeps = 4, .update_probe = update_probe}, first, {});
    io::Reconstruction file;
    file.positions_px = scan.info.positions_px;
    place_refined(first, file);
    const RefineState next = start_from_object(scan.info, start_of(file), counts);
    EXPECT_EQ(next.probe.data, first.probe.data);
    // But for the rounding of the probe's transforms, which the run before had at hand.
    EXPECT_WITHIN(std::abs(residual(test_device(), *reader, {}, next) - first.residual.back()), 1e-6);
    // Of twice the dose the same object and the same probe, but for its power, explain as much.
    SmallScan brighter = scan;
    for (float& a : brighter.amplitude) a *= std::sqrt(2.0F);
    auto other = brighter.open();
    const RefineState scaled = start_from_object(scan.info, start_of(file), mean_counts(test_device(), *other, ""));
    EXPECT_WITHIN(std::abs(residual(test_device(), *other, {}, scaled) - first.residual.back()), 1e-5);
  }
}

TEST(refine, polishing_an_object_beats_a_flat_start) {
  const SmallScan scan = small_scan(8, small_probe());
  auto reader = scan.open();
  io::ComplexImage rough = scan.object;  // as a network's: blurred, another scale and phase
  for (int64_t i = 1; i + 1 < static_cast<int64_t>(rough.data.size()); ++i)
    rough.data[static_cast<size_t>(i)] = complex64(0.2F, 0.4F) * (scan.object.data[static_cast<size_t>(i - 1)] +
                                                                  scan.object.data[static_cast<size_t>(i)] +
                                                                  scan.object.data[static_cast<size_t>(i + 1)]);
  RefineState polished = start_from_object(scan.info, {rough, {}, {-10, 20}, small_probe()}, scan.mean_counts());
  RefineState flat = flat_start(scan.info, small_probe(), scan.mean_counts());
  refine(test_device(), *reader, {.sweeps = 2}, polished, {});
  refine(test_device(), *reader, {.sweeps = 2}, flat, {});
  EXPECT_LT(polished.residual.back(), flat.residual.back());
  EXPECT_GT(contrast(polished, scan, 10), contrast(flat, scan, 10));
  EXPECT_GT(contrast(polished, scan, 10), 0.97);
}

TEST(refine, reports_each_sweep_and_stops_when_asked) {
  const SmallScan scan = small_scan(4, small_probe());
  auto reader = scan.open();
  RefineState state = flat_start(scan.info, small_probe(), scan.mean_counts());
  const RefineState start = state;
  std::vector<std::string> messages;
  RunControl control;
  control.progress = [&](const ProgressEvent& event) {
    EXPECT_EQ(event.task, "refine");
    EXPECT_EQ(event.total, 5);
    messages.push_back(event.message);
  };
  control.cancelled = [&] { return messages.size() == 2; };
  try {
    refine(test_device(), *reader, {.sweeps = 5, .batch = 4}, state, control);
    ADD_FAILURE() << "not stopped";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::cancelled);
    EXPECT_STREQ(e.what(), "refine: stopped after 2 of 5 sweeps") << "no batch of the third was done";
  }
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_NE(messages[1].find("sweep 2/5"), std::string::npos) << messages[1];
  EXPECT_EQ(state.residual.size(), 3u);
  EXPECT_NE(state.object.data, start.object.data);
  EXPECT_WITHIN(std::abs(residual(test_device(), *reader, {}, state) - state.residual.back()), 1e-6);

  // Asked within a sweep: what was done of it is kept.
  int asked = 0;
  control.cancelled = [&] { return messages.size() == 2 && ++asked > 2; };
  messages.clear();
  RefineState within = start;
  try {
    refine(test_device(), *reader, {.sweeps = 5, .batch = 4}, within, control);
    ADD_FAILURE() << "not stopped";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "refine: stopped after 2 of 5 sweeps, within the next");
  }
  ASSERT_EQ(within.residual.size(), 3u);
  EXPECT_EQ(within.residual[1], state.residual[1]);
  EXPECT_GT(within.residual[2], state.residual[2]) << "as the sweep met it, and as it left it";
  EXPECT_NE(within.object.data, state.object.data);
}

TEST(refine, steps_shorten_along_half_a_cosine_in_the_last_sweeps) {
  // Three frames of one place, each a batch: whatever their order, a sweep is three steps with the same frame.
  constexpr int64_t sweeps = 3, batches = 3;
  const SmallScan one = small_scan(1, small_probe());
  SmallScan scan = one;
  scan.info.frames = batches;
  scan.info.positions_px.assign(batches, one.info.positions_px[0]);
  for (int64_t n = 1; n < batches; ++n)
    scan.amplitude.insert(scan.amplitude.end(), one.amplitude.begin(), one.amplitude.end());
  RefineState state = truth_start(scan, small_probe());
  for (auto& v : state.object.data) v = 0.5F * v + complex64(0.4F, 0.1F);
  Field object(state.object.data.begin(), state.object.data.end());
  std::vector<Field> probe{Field(state.probe.data.begin(), state.probe.data.end())};
  constexpr double whole_until = 0.7, last = 1.0 / 3;  // of 1/10, 1/batches, 1/sweeps
  for (int64_t step = 0; step < sweeps * batches; ++step) {
    const double done = static_cast<double>(step) / (sweeps * batches);
    const double falling = std::max(0.0, done - whole_until) / (1 - whole_until);
    const double length = last + (1 - last) * std::pow(std::cos(std::numbers::pi * falling / 2), 2);
    plain_sweep(one, 0.5, step >= batches, {}, object, probe, length);
  }
  auto reader = scan.open();
  refine(test_device(), *reader, {.sweeps = sweeps, .batch = 1, .update_probe = true}, state, {});
  EXPECT_WITHIN(relative_l2(state.object.data.data(), object.data(), static_cast<int64_t>(object.size())), 1e-5);
  EXPECT_WITHIN(relative_l2(state.probe.data.data(), probe[0].data(), side * side), 1e-5);
}

TEST(refine, steps_shorten_so_that_batches_do_not_take_over_their_noise) {
  // Whole steps: each batch of four frames pulls the object to its own noise to the end.
  SmallScan scan = small_scan(8, small_probe());
  Random random(5);
  for (float& a : scan.amplitude) a = std::max(0.0F, a + 0.3F * static_cast<float>(random.normal()));
  auto reader = scan.open();
  RefineState state = flat_start(scan.info, small_probe(), scan.mean_counts());
  RefineState by_whole_steps = state;
  refine(test_device(), *reader, {.sweeps = 20, .batch = 4}, state, {});
  refine(test_device(), *reader, {.sweeps = 20, .batch = 4, .steps = StepRule::whole}, by_whole_steps, {});
  EXPECT_LT(state.residual.back(), 0.99 * by_whole_steps.residual.back());
  // One sweep more, alone, takes whole steps again.
  RefineState onward = state;
  const double at_rest = state.residual.back();
  refine(test_device(), *reader, {.sweeps = 1, .batch = 4}, onward, {});
  EXPECT_EQ(onward.residual.back(), at_rest);
}

// Three frames of one place, of amplitudes a, a and 3a: R is least where the model explains a (2/5), the squared
// differences where it explains 5/3 a (8/15).
SmallScan contradictory() {
  SmallScan scan = small_scan(3, small_probe());
  constexpr size_t pixels = side * side;
  scan.info.frames = 3;
  scan.info.positions_px.assign(3, scan.info.positions_px[0]);
  scan.amplitude.resize(3 * pixels);
  for (size_t i = 0; i < pixels; ++i) {
    scan.amplitude[pixels + i] = scan.amplitude[i];
    scan.amplitude[2 * pixels + i] = 3 * scan.amplitude[i];
  }
  return scan;
}

TEST(refine, never_ends_worse_than_it_starts) {
  const SmallScan scan = contradictory();
  auto reader = scan.open();
  RefineState state = truth_start(scan, small_probe());
  const RefineState start = state;
  std::vector<std::string> said;
  RunControl control;
  control.notice = [&](const std::string& line) { said.push_back(line); };
  refine(test_device(), *reader, {.sweeps = 2, .update_probe = true}, state, control);
  ASSERT_EQ(state.residual.size(), 3u);
  EXPECT_EQ(state.residual[2], state.residual[0]);
  EXPECT_EQ(state.object.data, start.object.data);
  EXPECT_EQ(state.probe.data, start.probe.data);
  ASSERT_FALSE(said.empty());
  EXPECT_NE(said.back().find("stays"), std::string::npos) << said.back();
}

// What the scan's file would say: positions with a normal error of this rms in each coordinate, its mean taken out.
SmallScan misplaced(SmallScan scan, double rms_px) {
  Random random(11);
  std::array<double, 2> mean{0, 0};
  const std::vector<std::array<double, 2>> truth = scan.info.positions_px;
  for (size_t n = 0; n < truth.size(); ++n)
    for (size_t axis = 0; axis < 2; ++axis) {
      scan.info.positions_px[n][axis] += rms_px * random.normal();
      mean[axis] += (scan.info.positions_px[n][axis] - truth[n][axis]) / static_cast<double>(truth.size());
    }
  for (auto& position : scan.info.positions_px)
    for (size_t axis = 0; axis < 2; ++axis) position[axis] -= mean[axis];
  return scan;
}

// Distances, once their mean is taken out.
std::vector<double> distances(const std::vector<std::array<double, 2>>& a,
                              const std::vector<std::array<double, 2>>& b) {
  std::array<double, 2> mean{0, 0};
  for (size_t n = 0; n < a.size(); ++n)
    for (size_t axis = 0; axis < 2; ++axis) mean[axis] += (a[n][axis] - b[n][axis]) / static_cast<double>(a.size());
  std::vector<double> out;
  for (size_t n = 0; n < a.size(); ++n)
    out.push_back(std::hypot(a[n][0] - b[n][0] - mean[0], a[n][1] - b[n][1] - mean[1]));
  return out;
}
double rms(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

RefineState refined(const SmallScan& scan, const RefineConfig& config, const Device& device = test_device(),
                    const RunControl& control = {}) {
  RefineState state = flat_start(scan.info, small_probe(), scan.mean_counts(), 0, position_room_px(side));
  refine(device, *scan.open(), config, state, control);
  return state;
}

TEST(refine_positions, return_where_they_were_disturbed) {
  const SmallScan truth = small_scan(14, small_probe()), scan = misplaced(truth, 0.7);
  const double before = rms(distances(scan.info.positions_px, truth.info.positions_px));
  EXPECT_WITHIN(std::abs(before - 1), 0.1);
  std::vector<std::string> said;
  RunControl control;
  control.notice = [&](const std::string& line) { said.push_back(line); };
  const RefineState fixed = refined(scan, {.sweeps = 30}),
                    found = refined(scan, {.sweeps = 30, .update_positions = true}, test_device(), control);
  EXPECT_TRUE(fixed.positions_px.empty());
  ASSERT_EQ(found.positions_px.size(), truth.info.positions_px.size());
  std::vector<double> left = distances(found.positions_px, truth.info.positions_px);
  std::nth_element(left.begin(), left.begin() + static_cast<int64_t>(left.size() / 2), left.end());
  EXPECT_LT(rms(left), 0.35 * before);
  EXPECT_LT(left[left.size() / 2], 0.2);
  EXPECT_LT(found.residual.back(), 0.5 * fixed.residual.back());
  EXPECT_GT(contrast(found, truth, 10), 0.5 + 0.5 * contrast(fixed, truth, 10));
  ASSERT_FALSE(said.empty());
  EXPECT_NE(said.back().find("px rms"), std::string::npos) << said.back();
  // R of the state is with its positions.
  EXPECT_WITHIN(std::abs(residual(test_device(), *scan.open(), {}, found) - found.residual.back()), 1e-6);
  // Going on begins at them.
  RefineState onward = found;
  refine(test_device(), *scan.open(), {.sweeps = 1}, onward, {});
  EXPECT_EQ(onward.positions_px, found.positions_px);
  EXPECT_WITHIN(std::abs(onward.residual[0] - found.residual.back()), 1e-6);
}

TEST(refine_positions, of_an_exact_scan_nearly_stay) {
  const SmallScan scan = small_scan(12, small_probe());
  const RefineState fixed = refined(scan, {.sweeps = 20}),
                    free = refined(scan, {.sweeps = 20, .update_positions = true});
  EXPECT_LT(rms(distances(free.positions_px, scan.info.positions_px)), 0.1);
  EXPECT_GT(contrast(free, scan, 10), contrast(fixed, scan, 10) - 0.002);
  EXPECT_LT(free.residual.back(), fixed.residual.back() + 0.006);
}

TEST(refine_positions, same_bits_whatever_threads_and_memory_and_with_everything_else) {
  const SmallScan truth = small_scan(6, small_probe(2)), scan = misplaced(truth, 0.5);
  RefineState first;
  for (const int threads : {1, 2, 3}) {
    const RefineState state = refined(scan,
                                      {.sweeps = 5,
                                       .batch = 7,
                                       .update_probe = true,
                                       .update_positions = true,
                                       .modes = 2,
                                       .frames = "1::2",
                                       .host_memory_bytes = threads == 3 ? 7 * 4 * side * side * 4 : int64_t{1} << 30},
                                      test_device(threads));
    if (first.object.empty()) first = state;
    EXPECT_EQ(state.object.data, first.object.data);
    EXPECT_EQ(state.probe.data, first.probe.data);
    EXPECT_EQ(state.residual, first.residual);
    EXPECT_EQ(state.positions_px, first.positions_px);
  }
  EXPECT_EQ(first.positions_px.size(), 18u);
  EXPECT_EQ(first.probe.depth, 2);
}

// On the CPU, whose account is that of any device.
TEST(refine_positions, are_found_from_parts_of_a_batch_too) {
  const SmallScan scan = misplaced(small_scan(6, small_probe()), 0.5);
  const RefineConfig config{.sweeps = 5, .batch = 8, .update_positions = true};
  const Device whole = Device::cpu({.threads = 2});
  const RefineState expected = refined(scan, config, whole);
  std::string notices;
  RunControl control;
  control.notice = [&](const std::string& line) { notices += line; };
  const Device limited = Device::cpu({.threads = 2, .memory_limit_bytes = whole.memory_peak_bytes() * 9 / 10});
  const RefineState parts = refined(scan, config, limited, control);
  EXPECT_NE(notices.find("frames of a batch of 8 at a time"), std::string::npos) << notices;
  EXPECT_WITHIN(rms(distances(parts.positions_px, expected.positions_px)), 1e-3);
  EXPECT_GT(rms(distances(parts.positions_px, scan.info.positions_px)), 0.1);
}

TEST(refine_positions, stay_with_a_start_that_is_kept) {
  const SmallScan scan = contradictory();
  RefineState state = truth_start(scan, small_probe());
  state.positions_px = scan.info.positions_px;
  const RefineState start = state;
  refine(test_device(), *scan.open(), {.sweeps = 4, .update_positions = true}, state, {});
  EXPECT_EQ(state.residual.back(), state.residual.front());
  EXPECT_EQ(state.object.data, start.object.data);
  EXPECT_EQ(state.positions_px, start.positions_px);
}

TEST(refine_positions, must_be_those_of_the_frames_chosen) {
  const SmallScan scan = small_scan(3, small_probe());
  RefineState state = truth_start(scan, small_probe());
  state.positions_px = scan.info.positions_px;
  const std::string message = error_message([&] { refine(test_device(), *scan.open(), {.frames = "0:5"}, state, {}); });
  EXPECT_NE(message.find("9 frames, --frames chooses 5"), std::string::npos) << message;
}

TEST(refine, covers_what_the_sweeps_visited) {
  // A position that rounding left below a whole number belongs to that number, for the weight as for the sweeps.
  RefineState state;
  state.object = {1, 8, 8, std::vector<std::complex<float>>(64, 1.0F)};
  state.probe = {1, 4, 4, std::vector<std::complex<float>>(16, 1.0F)};
  io::Reconstruction exact, rounded;
  exact.positions_px = {{4, 4}};
  rounded.positions_px = {{4 - 1e-9, 4 - 1e-9}};
  place_refined(state, exact);
  place_refined(state, rounded);
  EXPECT_EQ(rounded.weight, exact.weight);
  EXPECT_EQ(exact.weight[2 * 8 + 2], 1.0F);
  EXPECT_EQ(exact.weight[1 * 8 + 2], 0.0F);
}

TEST(refine, errors_say_what_mends_them) {
  const SmallScan scan = small_scan(3, small_probe());
  auto reader = scan.open();
  const RefineState good = flat_start(scan.info, small_probe(), scan.mean_counts());
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos ? testing::AssertionSuccess() : testing::AssertionFailure() << text;
  };
  const auto run = [&](const RefineConfig& config, RefineState state, io::ScanReader& from) {
    return error_message([&] { refine(test_device(), from, config, state, {}); });
  };
  EXPECT_TRUE(has(run({.sweeps = -1}, good, *reader), "--sweeps"));
  EXPECT_TRUE(has(run({.batch = 0}, good, *reader), "--batch"));
  EXPECT_TRUE(has(run({.beta = 2}, good, *reader), "--beta"));
  EXPECT_TRUE(has(run({.modes = -1}, good, *reader), "--modes"));
  EXPECT_TRUE(has(run({.frames = "9:"}, good, *reader), "A:B:STEP"));
  EXPECT_TRUE(has(run({.batch = 9, .host_memory_bytes = 1000}, good, *reader), "--host-memory"));
  RefineState bad = good;
  bad.origin_px[0] += 1;
  EXPECT_TRUE(has(run({}, bad, *reader), "outside the object"));
  bad = good;
  bad.object.data[5] = {NAN, 0};
  EXPECT_TRUE(has(run({}, bad, *reader), "not finite"));
  bad = good;
  bad.probe.data.assign(bad.probe.data.size(), 0);
  EXPECT_TRUE(has(run({}, bad, *reader), "--probe"));
  bad = good;
  bad.probe = {1, 8, 8, std::vector<complex64>(64, 1.0F)};
  EXPECT_TRUE(has(run({}, bad, *reader), "8 x 8"));

  SmallScan two = scan;
  two.info.object_index = {0, 0, 0, 1, 1, 1, 1, 1, 1};
  two.info.object = {2, 30, 30, std::vector<complex64>(1800)};
  auto several = two.open();
  EXPECT_TRUE(has(run({}, good, *several), "--frames"));
  EXPECT_EQ(run({.sweeps = 1, .frames = "3:"}, good, *several), "no error");

  SmallScan dark = scan;
  std::fill(dark.amplitude.begin(), dark.amplitude.end(), 0.0F);
  auto black = dark.open();
  EXPECT_TRUE(has(run({}, good, *black), "zero"));
  EXPECT_TRUE(has(error_message([&] { flat_start(scan.info, small_probe(), 0); }), "counts"));
  EXPECT_TRUE(has(error_message([&] { flat_start(scan.info, {}, 1); }), "--probe"));
  io::ScanInfo far = scan.info;
  far.positions_px[0] = {1e9, 1e9};
  EXPECT_TRUE(has(error_message([&] { flat_start(far, small_probe(), 1); }), "pixels"));
  const io::ComplexImage object{1, 4, 4, std::vector<complex64>(16, 1.0F)};
  EXPECT_TRUE(has(error_message([&] {
                    start_from_object(scan.info, {object, {}, {500, 0}, small_probe()}, 1);
                  }),
                  "covers nothing"));
  EXPECT_TRUE(has(error_message([&] {
                    start_from_object(scan.info, {object, {1.0F}, {0, 20}, small_probe()}, 1);
                  }),
                  "weight"));
}

TEST(refine, a_run_that_leaves_the_finite_numbers_is_refused_and_leaves_the_start) {
  SmallScan scan = small_scan(3, small_probe());
  for (float& a : scan.amplitude) a *= 1e30F;  // finite, but not its square
  auto reader = scan.open();
  RefineState state = flat_start(scan.info, small_probe(), 1e3);
  const RefineState start = state;
  try {
    refine(test_device(), *reader, {.sweeps = 4, .update_probe = true}, state, {});
    ADD_FAILURE() << "no error, R " << state.residual.back();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::numeric);
  }
  EXPECT_EQ(state.object.data, start.object.data);
  EXPECT_EQ(state.probe.data, start.probe.data);
}

}  // namespace
}  // namespace ptyfuse
