#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/simulator.h"
#include "kernels/device/error.h"
#include "tests/support/compare.h"

namespace ptyfuse {
namespace {

using io::ComplexImage;

TEST(simulate_object, lines_are_those_of_numpy_scipy_and_skimage) {
  // RandomState(7), two images of 24 px from 5 lines each: mean, [0,0], [3,17], [20,5].
  const auto images = lines_images(24, 2, 7, 5);
  const double expected[2][4] = {{0.6665897117710176, 0.4685383098362109, 1.1712052776133233, 0.4598672834417885},
                                 {0.6599988343175305, 0.15082538531685669, 0.9675001620996952, 0.5993714714381166}};
  ASSERT_EQ(images.size(), 2u);
  for (size_t n = 0; n < 2; ++n) {
    double mean = 0;
    for (double value : images[n]) mean += value / 576;
    EXPECT_WITHIN(std::abs(mean - expected[n][0]), 1e-12);
    EXPECT_WITHIN(std::abs(images[n][0] - expected[n][1]), 1e-12);
    EXPECT_WITHIN(std::abs(images[n][3 * 24 + 17] - expected[n][2]), 1e-12);
    EXPECT_WITHIN(std::abs(images[n][20 * 24 + 5] - expected[n][3]), 1e-12);
  }
  EXPECT_TRUE(lines_images(24, 0, 7).empty());
  EXPECT_THROW(lines_images(24, 1, uint64_t{1} << 32), Error);
}

TEST(simulate_object, tanh_phase_by_hand) {
  const std::vector<double> amplitude{0, 2, 4};
  std::vector<double> phase(3);
  tanh_phase(amplitude, phase);  // maximum 4, mean 2
  EXPECT_WITHIN(std::abs(phase[0] + std::numbers::pi * std::tanh(1.0 / 3)), 1e-15);
  EXPECT_EQ(phase[1], 0);
  EXPECT_WITHIN(std::abs(phase[2] - std::numbers::pi * std::tanh(1.0 / 3)), 1e-15);
  std::vector<double> zero(3, 0);
  EXPECT_THROW(tanh_phase(zero, phase), Error);
  EXPECT_THROW(tanh_phase(std::vector<double>{1}, phase), Error);
}

TEST(simulate_object, phase_goes_with_the_amplitude) {
  SimulateConfig config;
  config.size_px = 32;
  config.images = 2;
  const ComplexImage flat = simulate_object(config);
  config.phase = PhaseKind::tanh;
  const ComplexImage curved = simulate_object(config);
  ASSERT_EQ(flat.depth, 2);
  std::vector<double> amplitude, phase(flat.data.size());
  for (const auto& value : flat.data) {
    EXPECT_EQ(value.imag(), 0);
    amplitude.push_back(static_cast<double>(value.real()));
  }
  tanh_phase(amplitude, phase);
  for (size_t i = 0; i < phase.size(); ++i)
    EXPECT_WITHIN(std::abs(std::complex<double>(curved.data[i]) - std::polar(amplitude[i], phase[i])), 2e-6);
}

TEST(simulate_object, random_field_is_smooth_and_seeded) {
  SimulateConfig config;
  config.object = ObjectKind::grf;
  config.size_px = 65;
  config.images = 2;
  const ComplexImage object = simulate_object(config);
  ASSERT_EQ(object.width, 65);
  ASSERT_EQ(object.data.size(), 2u * 65 * 65);
  EXPECT_EQ(simulate_object(config).data, object.data);
  double low = 1, high = 0, mean = 0, square = 0, neighbour = 0;
  for (size_t i = 0; i < 65 * 65; ++i) {
    const auto value = static_cast<double>(object.data[i].real());
    low = std::min(low, value);
    high = std::max(high, value);
    mean += value / (65 * 65);
  }
  for (size_t i = 0; i + 1 < 65 * 65; ++i) {
    if (i % 65 == 64) continue;
    const double here = static_cast<double>(object.data[i].real()) - mean;
    square += here * here;
    neighbour += here * (static_cast<double>(object.data[i + 1].real()) - mean);
  }
  EXPECT_GE(low, 0);
  EXPECT_LE(high, 1);
  EXPECT_GT(high - low, 0.3);
  EXPECT_GT(neighbour / square, 0.7);
  EXPECT_NE(object.data[0], object.data[65 * 65]);
  config.object_seed = 2;
  EXPECT_NE(simulate_object(config).data, object.data);
}

TEST(simulate_object, siemens_star_has_36_spokes) {
  SimulateConfig config;
  config.object = ObjectKind::siemens;
  config.size_px = 200;
  const ComplexImage object = simulate_object(config);
  EXPECT_WITHIN(std::abs(object.data[0] - 0.6f), 1e-6);
  // Along a circle the amplitude is a square wave of 36 periods: no other wave below its third harmonic.
  for (int waves = 1; waves < 100; ++waves) {
    std::complex<double> sum;
    for (int i = 0; i < 4000; ++i) {
      const double angle = 2 * std::numbers::pi * i / 4000;
      const auto y = static_cast<size_t>(100 + 70 * std::sin(angle)),
                 x = static_cast<size_t>(100 + 70 * std::cos(angle));
      const double amplitude = std::abs(std::complex<double>(object.data[y * 200 + x]));
      EXPECT_TRUE(amplitude > 0.599 && amplitude < 1.001);
      sum += amplitude * std::polar(1.0 / 4000, waves * angle);
    }
    // 0.2 * 2 / pi, a little less for the blurred edges.
    if (waves == 36)
      EXPECT_WITHIN(std::abs(std::abs(sum) - 0.115), 0.015);
    else
      EXPECT_WITHIN(std::abs(sum), 0.01);
  }
}

TEST(simulate_object, says_how_far_it_is_and_stops) {
  for (const ObjectKind kind : {ObjectKind::lines, ObjectKind::grf, ObjectKind::siemens}) {
    SCOPED_TRACE(static_cast<int>(kind));
    SimulateConfig config;
    config.object = kind;
    config.size_px = 73;
    config.images = 3;
    double last = 0;
    RunControl watch;
    watch.progress = [&](const ProgressEvent& event) {
      EXPECT_EQ(event.task, "simulate");
      EXPECT_EQ(event.unit, "% of the objects");
      EXPECT_EQ(event.total, 100);
      EXPECT_GT(event.done, last);
      EXPECT_LT(event.done, last + 20);
      last = event.done;
    };
    const ComplexImage whole = simulate_object(config, watch);
    EXPECT_NEAR(last, 100, kind == ObjectKind::grf ? 2 : 1e-9);  // half of 73 rows is 37

    int looks = 0;
    RunControl stop;
    stop.cancelled = [&] { return ++looks == 4; };
    try {
      simulate_object(config, stop);
      ADD_FAILURE() << "was not stopped";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::cancelled);
    }
    EXPECT_EQ(looks, 4);
  }
}

}  // namespace
}  // namespace ptyfuse
