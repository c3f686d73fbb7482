#include "engine/pattern_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "engine/random.h"
#include "kernels/device/error.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/limited_device.h"
#include "tests/support/random_data.h"
#include "tests/support/reference_pattern.h"

namespace ptyfuse {
namespace {

using io::ComplexImage;

ComplexImage random_image(int64_t depth, int64_t height, int64_t width, uint64_t seed) {
  Random random(seed);
  ComplexImage image{depth, height, width, {}};
  for (int64_t i = 0; i < depth * height * width; ++i)
    image.data.emplace_back(static_cast<float>(random.normal()), static_cast<float>(random.normal()));
  return image;
}

struct PatternCase {
  int64_t side, modes;
  std::array<double, 2> position;
  int32_t image;
};
constexpr PatternCase pattern_cases[] = {
    {8, 1, {10, 9}, 0},     {8, 1, {10.25, 9}, 1},   {8, 2, {10, 9.75}, 0},
    {8, 3, {9.3, 11.6}, 1}, {9, 1, {10.5, 10.5}, 0}, {8, 1, {0, 0}, 0},
    {8, 1, {-2.5, 3.5}, 0}, {8, 2, {19.5, 24.7}, 1}, {6, 1, {-50.5, 400.25}, 0},
};

TEST(pattern_model, equals_the_definition) {
  const Device device = tests::test_device();
  const ComplexImage objects = random_image(2, 20, 25, 1);
  for (const PatternCase& c : pattern_cases) {
    SCOPED_TRACE(testing::Message() << "N " << c.side << " modes " << c.modes << " at " << c.position[0] << ", "
                                    << c.position[1]);
    const ComplexImage probe = random_image(c.modes, c.side, c.side, 2);
    PatternModel model(device, objects, probe, 1);
    std::vector<float> out(static_cast<size_t>(c.side * c.side));
    model.amplitudes(std::span(&c.position, 1), std::span(&c.image, 1), out);
    const std::vector<double> expected = tests::reference_pattern(objects, c.image, probe, c.position);
    EXPECT_WITHIN(tests::max_difference(out.data(), expected.data(), c.side * c.side), 1e-5);
    double power = 0;
    for (double value : expected) power += value * value;
    EXPECT_WITHIN(std::abs(model.mean_power(std::span(&c.position, 1), std::span(&c.image, 1)) - power), 1e-5 * power);
  }
}

TEST(pattern_model, pieces_and_threads_change_nothing) {
  const ComplexImage objects = random_image(2, 30, 30, 3), probe = random_image(2, 8, 8, 4);
  Random random(5);
  std::vector<std::array<double, 2>> positions;
  std::vector<int32_t> index;
  for (int i = 0; i < 37; ++i) {
    positions.push_back({random.uniform(0, 30), random.uniform(0, 30)});
    index.push_back(i % 2);
  }
  std::vector<float> whole(37 * 64), pieces(37 * 64);
  PatternModel one(tests::test_device(1), objects, probe, 37), two(tests::test_device(2), objects, probe, 5);
  one.amplitudes(positions, index, whole);
  for (size_t first = 0; first < 37; first += 5) {
    const size_t count = std::min<size_t>(5, 37 - first);
    two.amplitudes(std::span(positions).subspan(first, count), std::span(index).subspan(first, count),
                   std::span(pieces).subspan(first * 64, count * 64));
  }
  EXPECT_EQ(whole, pieces);
  EXPECT_EQ(one.mean_power(positions, index), two.mean_power(positions, index));
  EXPECT_EQ(one.mean_power({}, {}), 0);
  std::fill(pieces.begin(), pieces.end(), -1.0F);
  two.amplitudes(positions, index, pieces);
  EXPECT_EQ(whole, pieces);
  EXPECT_THROW(two.amplitudes(positions, std::span(index).first(36), whole), Error);
  one.amplitudes({}, {}, {});
}

TEST(pattern_model, takes_what_memory_there_is) {
  const ComplexImage objects = random_image(1, 30, 30, 3), probe = random_image(2, 8, 8, 4);
  const std::vector<std::array<double, 2>> positions(37, {11.25, 14.5});
  const std::vector<int32_t> index(37);
  std::vector<float> expected(37 * 64), found(37 * 64);
  PatternModel(tests::test_device(), objects, probe, 37).amplitudes(positions, index, expected);
  const Device any = tests::limited_device(0);
  const ops::Fft2 transform(any, 8, 8);
  const int64_t scratch = any.memory_in_use_bytes();
  const Device small = tests::limited_device(scratch + 10 * 64 * 8);
  PatternModel(small, objects, probe, 37).amplitudes(positions, index, found);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(small.memory_peak_bytes(), scratch + 10 * 64 * 8);
  const Device none = tests::limited_device(scratch + 64 * 8 - 1);
  const std::string refused = tests::error_message([&] { PatternModel(none, objects, probe, 37); });
  EXPECT_NE(refused.find("buffer 'exit waves' needs 512 bytes"), std::string::npos) << refused;
}

}  // namespace
}  // namespace ptyfuse
