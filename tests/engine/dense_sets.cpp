// Thousands of groups over few pixels, as dense scans have: every one of them counts, as in sums written out in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/grouping.h"
#include "engine/reconstructor.h"
#include "engine/stitch.h"
#include "engine/trainer.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"
#include "tests/support/scans.h"

namespace ptyfuse {
namespace {

/// sum T(weight * patch) and sum T(weight), patch by patch and pixel by pixel: each goes to the four pixels round it.
struct PlainSums {
  int64_t height, width;
  std::vector<std::complex<double>> weighted;
  std::vector<double> weight;

  explicit PlainSums(const io::Reconstruction& of)
      : height(of.object.height),
        width(of.object.width),
        weighted(static_cast<size_t>(height * width)),
        weight(static_cast<size_t>(height * width)) {}

  void add(const complex64* patch, const std::vector<float>& patch_weight, int64_t side, double top, double left) {
    const auto y0 = static_cast<int64_t>(std::floor(top)), x0 = static_cast<int64_t>(std::floor(left));
    const double below = top - static_cast<double>(y0), right = left - static_cast<double>(x0);
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x) {
        const double w = static_cast<double>(patch_weight[static_cast<size_t>(y * side + x)]);
        if (w == 0) continue;
        for (int64_t dy = 0; dy < 2; ++dy)
          for (int64_t dx = 0; dx < 2; ++dx) {
            const double share = w * (dy == 1 ? below : 1 - below) * (dx == 1 ? right : 1 - right);
            if (share == 0) continue;
            const auto at = static_cast<size_t>((y0 + y + dy) * width + x0 + x + dx);
            weighted[at] += share * std::complex<double>(patch[y * side + x]);
            weight[at] += share;
          }
      }
  }
};

void expect_sums(const io::Reconstruction& found, const PlainSums& expected) {
  const auto n = static_cast<int64_t>(expected.weight.size());
  ASSERT_EQ(static_cast<int64_t>(found.weight.size()), n);
  // A float32 sum of a thousand terms, as the best covered pixels have, is good to about sqrt(1000) roundings.
  constexpr double rounding = 5e-6;
  EXPECT_WITHIN(tests::relative_l2(found.weight.data(), expected.weight.data(), n), rounding);
  // Where little weight lies the quotient's rounding is large: the sums are compared everywhere, the object where it
  // is well covered.
  const double most = *std::max_element(expected.weight.begin(), expected.weight.end());
  std::vector<std::complex<double>> sums, object, expected_object;
  for (size_t i = 0; i < expected.weight.size(); ++i) {
    const std::complex<double> value(found.object.data[i]);
    sums.push_back(value * (static_cast<double>(found.weight[i]) + 1e-9));
    if (expected.weight[i] < 1e-3 * most) continue;
    object.push_back(value);
    expected_object.push_back(expected.weighted[i] / (expected.weight[i] + 1e-9));
  }
  EXPECT_WITHIN(tests::relative_l2(sums.data(), expected.weighted.data(), n), rounding);
  ASSERT_GT(object.size(), 100U);
  EXPECT_WITHIN(tests::max_difference(object.data(), expected_object.data(), static_cast<int64_t>(object.size())),
                1e-4);
}

TEST(dense_sets, five_thousand_groups_reconstructed_and_stitched) {
  constexpr int64_t groups = 5216, columns = 8, side = 64;
  io::ScanInfo info = tests::small_scan(columns * columns, side, 3)->info();
  std::vector<float> amplitude(static_cast<size_t>(info.frames * side * side));
  tests::small_scan(columns * columns, side, 3)->read_amplitude(0, info.frames, amplitude);
  Random random(4);
  for (auto& position : info.positions_px)
    for (double& p : position) p += random.uniform(-1, 1);
  // Four of nine neighbours, each group another draw.
  info.group_members = 4;
  for (int64_t g = 0; g < groups; ++g) {
    const auto row = static_cast<int64_t>(random.below(columns - 2)),
               column = static_cast<int64_t>(random.below(columns - 2));
    for (const int64_t k : random.choose(9, 4)) info.groups.push_back((row + k / 3) * columns + column + k % 3);
  }

  TrainConfig training;
  training.gridsize = 2;
  training.filters_scale = 0.25;
  const io::Checkpoint model = Trainer(tests::test_device(), training, tests::small_scan(9, side, 1), {}).checkpoint();
  ReconstructConfig config;
  config.patches = true;
  config.report_residual = false;
  Reconstructor reconstructor(tests::test_device(), model, config);
  const io::Reconstruction found = reconstructor.run([&] { return io::scan_from_memory(info, amplitude); }, {});
  ASSERT_EQ(found.patches.depth, groups);
  ASSERT_EQ(found.positions_px.size(), static_cast<size_t>(groups));

  const std::vector<float> weight = stitch_weight(config.stitch, 0, model.probe, reconstructor.network().pad_object);
  PlainSums expected(found);
  for (int64_t g = 0; g < groups; ++g) {
    PositionPx centre{0, 0};
    for (int64_t m = 0; m < 4; ++m)
      for (size_t a = 0; a < 2; ++a)
        centre[a] += info.positions_px[static_cast<size_t>(info.groups[static_cast<size_t>(4 * g + m)])][a] / 4;
    expected.add(found.patches.data.data() + g * side * side, weight, side,
                 centre[0] - side / 2 - static_cast<double>(found.origin_px[0]),
                 centre[1] - side / 2 - static_cast<double>(found.origin_px[1]));
  }
  expect_sums(found, expected);
}

TEST(dense_sets, twenty_thousand_patches_stitched_in_uneven_batches) {
  constexpr int64_t patches = 20864, side = 16, distinct = 163;
  Random random(5);
  std::vector<PositionPx> centres(static_cast<size_t>(patches));
  for (auto& c : centres) c = {random.uniform(20, 60), random.uniform(20, 70)};
  const std::vector<complex64> values = tests::random_complex(distinct * side * side, 6);
  std::vector<float> weight(side * side);
  for (float& w : weight) w = static_cast<float>(random.uniform(0.1, 1));
  Stream stream(tests::test_device());
  Stitcher stitcher(tests::test_device(), centres, side, weight, 0);
  stitcher.begin(stream);
  const auto tensor = tests::upload<complex64>(stream, {distinct, side, side}, values);
  for (int64_t first = 0; first < patches; first += distinct) {
    const int64_t count = std::min(distinct, patches - first);
    stitcher.add(stream, tensor.view().slice(0, 0, count),
                 std::span(centres).subspan(static_cast<size_t>(first), static_cast<size_t>(count)));
  }
  io::Reconstruction found;
  stitcher.finish(stream, found);
  PlainSums expected(found);
  for (int64_t s = 0; s < patches; ++s)
    expected.add(values.data() + s % distinct * side * side, weight, side,
                 centres[static_cast<size_t>(s)][0] - side / 2 - static_cast<double>(found.origin_px[0]),
                 centres[static_cast<size_t>(s)][1] - side / 2 - static_cast<double>(found.origin_px[1]));
  expect_sums(found, expected);
}

}  // namespace
}  // namespace ptyfuse
