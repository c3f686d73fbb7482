#include "engine/overlap.h"

#include <nlohmann/json.hpp>
#include <numbers>

#include "engine/random.h"
#include "kernels/device/error.h"
#include "tests/support/compare.h"

namespace ptyfuse::tests {
namespace {

using Positions = std::vector<std::array<double, 2>>;

Positions random_positions(int64_t n, double extent, uint64_t seed) {
  Random random(seed);
  Positions out(static_cast<size_t>(n));
  for (auto& position : out) position = {random.uniform(0, extent), random.uniform(0, extent)};
  return out;
}

TEST(overlap, fraction_by_hand) {
  EXPECT_EQ(disc_overlap_fraction(0, 3), 1);
  EXPECT_EQ(disc_overlap_fraction(3, 3), 0);
  EXPECT_EQ(disc_overlap_fraction(4, 3), 0);
  EXPECT_WITHIN(std::abs(disc_overlap_fraction(1.5, 3) - (2.0 / 3 - std::sqrt(3.0) / (2 * std::numbers::pi))), 1e-14);
  EXPECT_WITHIN(std::abs(disc_overlap_fraction(10, 20) - 0.3910), 5e-5);
}

TEST(overlap, square_of_four_by_hand) {
  const Positions square{{0, 0}, {0, 10}, {10, 0}, {10, 10}};
  const std::vector<int64_t> group{0, 1, 2, 3};
  const double side = disc_overlap_fraction(10, 20), diagonal = disc_overlap_fraction(10 * std::sqrt(2.0), 20);
  OverlapConfig config{.gridsize = 2, .probe_diameter_px = 20};
  io::OverlapReport got = overlap_metrics(square, group, config);
  EXPECT_WITHIN(std::abs(*got.metric_1.value - (2 * side + diagonal) / 3), 1e-14);
  EXPECT_WITHIN(std::abs(got.metric_2 - (2 * side + diagonal) / 3), 1e-14);
  EXPECT_EQ(got.metric_3, 0) << "one group has no neighbours";
  EXPECT_WITHIN(std::abs(got.geometry_acceptance_bound - 100 / (4 * std::numbers::pi * 100)), 1e-14);
  config.neighbor_count = 2;
  got = overlap_metrics(square, group, config);
  EXPECT_WITHIN(std::abs(*got.metric_1.value - side), 1e-14);
  EXPECT_WITHIN(std::abs(got.metric_2 - side), 1e-14);
  // Groups of one: metric 3 takes every neighbour within D, metric 1 does not exist.
  config.gridsize = 1;
  got = overlap_metrics(square, group, config);
  EXPECT_FALSE(got.metric_1.value);
  EXPECT_WITHIN(std::abs(got.metric_3 - (2 * side + diagonal) / 3), 1e-14);
}

TEST(overlap, duplicates_count_once_in_metric_2) {
  Positions positions = random_positions(40, 60, 1);
  const OverlapConfig config{.probe_diameter_px = 25};
  const double once = overlap_metrics(positions, {}, config).metric_2;
  positions.insert(positions.end(), positions.begin(), positions.begin() + 15);
  const io::OverlapReport got = overlap_metrics(positions, {}, config);
  EXPECT_EQ(got.metric_2, once);
  EXPECT_EQ(got.images_unique, 40);
  EXPECT_EQ(got.images_total, 55);
}

TEST(overlap, strips_find_the_same_neighbours_as_all_pairs) {
  const Positions positions = random_positions(300, 200, 2);
  const double diameter = 30;
  double second = 0, third = 0;
  for (size_t i = 0; i < positions.size(); ++i) {
    std::vector<double> distances;
    for (size_t j = 0; j < positions.size(); ++j) {
      if (j != i) distances.push_back(std::hypot(positions[i][0] - positions[j][0], positions[i][1] - positions[j][1]));
    }
    std::sort(distances.begin(), distances.end());
    double near = 0, all = 0, count = 0;
    for (size_t k = 0; k < distances.size(); ++k) {
      const double f = disc_overlap_fraction(distances[k], diameter);
      if (k < 6) near += f / 6;
      if (distances[k] < diameter) all += f, ++count;
    }
    second += near / 300;
    if (count > 0) third += all / count / 300;
  }
  std::vector<int64_t> singles(300);
  for (int64_t i = 0; i < 300; ++i) singles[i] = i;
  const io::OverlapReport got = overlap_metrics(positions, singles, {.probe_diameter_px = diameter});
  EXPECT_WITHIN(std::abs(got.metric_2 - second), 1e-12);
  EXPECT_WITHIN(std::abs(got.metric_3 - third), 1e-12);
}

TEST(overlap, of_a_scan) {
  const Positions positions = random_positions(101, 100, 3);
  OverlapConfig config{.gridsize = 2, .image_fraction = 0.5, .groups = 80, .probe_diameter_px = 30, .seed = 7};
  const io::OverlapReport got = overlap_metrics_of_scan(positions, config);
  EXPECT_EQ(got.images_total, 101);
  EXPECT_EQ(got.images_used, 50);
  EXPECT_EQ(got.groups, 80);
  EXPECT_GT(*got.metric_1.value, 0);
  EXPECT_LT(*got.metric_1.value, 1);
  EXPECT_GT(got.metric_3, 0);
  EXPECT_EQ(io::overlap_json(overlap_metrics_of_scan(positions, config)), io::overlap_json(got)) << "same seed";
  config.seed = 8;
  EXPECT_NE(overlap_metrics_of_scan(positions, config).metric_2, got.metric_2);
  config = {.gridsize = 1, .groups = 500, .probe_diameter_px = 30};
  EXPECT_EQ(overlap_metrics_of_scan(positions, config).groups, 101);
}

TEST(overlap, report_as_json) {
  const io::OverlapReport report = overlap_metrics(random_positions(10, 30, 4), {}, {.probe_diameter_px = 12});
  const auto json = nlohmann::json::parse(io::overlap_json(report));
  EXPECT_TRUE(json.at("metric_1_group_based_avg").is_null());
  EXPECT_FALSE(json.at("why").at("metric_1_group_based_avg").get<std::string>().empty());
  EXPECT_EQ(json.at("metric_2_image_based_avg").get<double>(), report.metric_2);
  EXPECT_EQ(json.at("n_images_subsampled").get<int>(), 10);
  EXPECT_EQ(json.at("effective_min_acceptance").get<double>(), report.effective_min_acceptance);
}

TEST(overlap, a_line_of_positions_keeps_a_positive_floor) {
  const io::OverlapReport got = overlap_metrics(Positions{{0, 0}, {0, 5}}, {}, {.probe_diameter_px = 12});
  EXPECT_EQ(got.geometry_acceptance_bound, 0);
  EXPECT_EQ(got.effective_min_acceptance, 1e-6);
}

TEST(overlap, stops_when_asked) {
  int asked = 0;
  RunControl control;
  control.cancelled = [&] { return ++asked == 7; };
  try {
    overlap_metrics(random_positions(10, 30, 4), {}, {.probe_diameter_px = 12}, control);
    ADD_FAILURE() << "not stopped";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::cancelled);
  }
  EXPECT_EQ(asked, 7);
}

TEST(overlap, refuses_what_it_cannot_measure) {
  const Positions positions = random_positions(10, 30, 5);
  const std::vector<int64_t> outside{0, 1, 2, 10}, broken{0, 1, 2};
  const auto message = [](auto&& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const OverlapConfig good{.gridsize = 2, .probe_diameter_px = 12};
  EXPECT_NE(message([&] { overlap_metrics(positions, outside, good); }).find("index 10"), std::string::npos);
  EXPECT_NE(message([&] { overlap_metrics(positions, broken, good); }).find("groups of 4"), std::string::npos);
  EXPECT_NE(message([&] { overlap_metrics({}, {}, good); }).find("no positions"), std::string::npos);
  EXPECT_NE(message([&] { overlap_metrics(Positions{{0, NAN}}, {}, good); }).find("position 0"), std::string::npos);
  OverlapConfig bad = good;
  bad.image_fraction = 0.05;
  EXPECT_NE(message([&] { overlap_metrics_of_scan(positions, bad); }).find("0.05 leaves none of 10"),
            std::string::npos);
  bad = good;
  bad.gridsize = 3;
  EXPECT_NE(message([&] { overlap_metrics(positions, {}, bad); }).find("gridsize"), std::string::npos);
  bad = good;
  bad.probe_diameter_px = 0;
  EXPECT_NE(message([&] { overlap_metrics(positions, {}, bad); }).find("diameter"), std::string::npos);
}

}  // namespace
}  // namespace ptyfuse::tests
