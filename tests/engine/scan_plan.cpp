#include "engine/scan_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "tests/support/compare.h"

namespace ptyfuse {
namespace {

using io::ComplexImage;

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

TEST(scan_plan, grid_of_groups_by_hand) {
  SimulateConfig config;
  config.side_px = 8;
  config.gridsize = 2;
  config.step_px = 3;
  ComplexImage objects{2, 16, 15, std::vector<std::complex<float>>(2 * 16 * 15, 1)};
  // Regions of 12 px at rows 0 and 3, columns 0 and 3.
  objects.data[0] = 3;                             // image 0, region (0,0) alone
  objects.data[5 * 15 + 5] = {0, 2};               // image 0, all four regions
  objects.data[16 * 15 + 14 * 15 + 14] = {-9, 0};  // image 1, region (3,3) alone
  objects.data[16 * 15 + 15 * 15 + 5] = {100, 0};  // image 1, in no region
  const ScanPlan plan = plan_scan(config, objects);
  ASSERT_EQ(plan.positions_px.size(), 2u * 4 * 4);
  EXPECT_EQ(plan.group_members, 4);
  EXPECT_WITHIN(std::abs(plan.norm - (3 + 2 + 2 + 2 + 1 + 1 + 1 + 9) / 8.0), 1e-12);
  // The first region's members, [y,x] of index 4.
  EXPECT_EQ(plan.positions_px[0], (std::array<double, 2>{4, 4}));
  EXPECT_EQ(plan.positions_px[1], (std::array<double, 2>{4, 8}));
  EXPECT_EQ(plan.positions_px[2], (std::array<double, 2>{8, 4}));
  EXPECT_EQ(plan.positions_px[3], (std::array<double, 2>{8, 8}));
  EXPECT_EQ(plan.positions_px[4], (std::array<double, 2>{4, 7}));
  EXPECT_EQ(plan.positions_px[8], (std::array<double, 2>{7, 4}));
  EXPECT_EQ(plan.positions_px[16], (std::array<double, 2>{4, 4}));
  EXPECT_EQ(plan.object_index[15], 0);
  EXPECT_EQ(plan.object_index[16], 1);
}

TEST(scan_plan, grid_counts_of_the_method) {
  SimulateConfig config;
  const ComplexImage objects{2, 392, 392, std::vector<std::complex<float>>(2 * 392 * 392, 1)};
  EXPECT_EQ(plan_scan(config, objects).positions_px.size(), 13778u);
  config.step_px = 10;
  EXPECT_EQ(plan_scan(config, objects).positions_px.size(), 2178u);
  config.gridsize = 2;
  config.step_px = 0;
  EXPECT_EQ(plan_scan(config, objects).positions_px.size(), 13448u * 4);
}

TEST(scan_plan, random_positions_keep_the_margin) {
  SimulateConfig config;
  config.scan = ScanKind::random;
  config.side_px = 16;
  config.patterns = 1001;
  ComplexImage objects{3, 40, 60, std::vector<std::complex<float>>(3 * 40 * 60, 1)};
  for (const auto& [asked, margin] : {std::pair{-1.0, 14.0}, {5.5, 5.5}, {1000.0, 19.0}}) {
    config.margin_px = asked;
    const ScanPlan plan = plan_scan(config, objects);
    ASSERT_EQ(plan.positions_px.size(), 1001u);
    EXPECT_EQ(plan.group_members, 0);
    EXPECT_EQ(plan.norm, 1);
    double low_x = 1e9, high_x = 0;
    for (const auto& [y, x] : plan.positions_px) {
      EXPECT_TRUE(y >= margin && y <= 40 - margin && x >= margin && x <= 60 - margin) << y << " " << x;
      low_x = std::min(low_x, x);
      high_x = std::max(high_x, x);
    }
    EXPECT_LT(low_x, margin + 1);
    EXPECT_GT(high_x, 59 - margin);
    EXPECT_EQ(std::count(plan.object_index.begin(), plan.object_index.end(), 0), 334);
    EXPECT_EQ(std::count(plan.object_index.begin(), plan.object_index.end(), 2), 333);
    EXPECT_EQ(plan_scan(config, objects).positions_px, plan.positions_px);
  }
  const ScanPlan plan = plan_scan(config, objects);
  config.seed = 9;
  EXPECT_NE(plan_scan(config, objects).positions_px, plan.positions_px);
}

TEST(scan_plan, faults_name_the_option) {
  SimulateConfig config;
  const ComplexImage objects{1, 64, 67, std::vector<std::complex<float>>(64 * 67, 1)};
  const auto fault = [&](const std::function<void(SimulateConfig&)>& change) {
    SimulateConfig changed = config;
    change(changed);
    return message_of([&] { plan_scan(changed, objects); });
  };
  EXPECT_EQ(fault([](SimulateConfig&) {}), "no error");
  EXPECT_NE(fault([](SimulateConfig& c) { c.gridsize = 2; }).find("--size"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.gridsize = 3; }).find("--gridsize 3"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.side_px = 2; }).find("--N 2"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.side_px = 65; }).find("smaller"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.step_px = 2.5; }).find("--step-px"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.step_px = -1; }).find("--step-px"), std::string::npos);
  config.scan = ScanKind::random;
  EXPECT_NE(fault([](SimulateConfig& c) { c.side_px = 65; }).find("smaller"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.patterns = 0; }).find("--patterns 0"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.patterns = most_patterns + 1; }).find("--patterns 10000001"),
            std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.margin_px = NAN; }).find("margin"), std::string::npos);
}

TEST(scan_plan, a_grid_of_too_many_patterns_is_refused_before_it_is_laid_out) {
  SimulateConfig config;
  config.side_px = 4;
  config.gridsize = 2;
  config.step_px = 1;
  const int64_t side = 1600;
  const ComplexImage objects{1, side, side, std::vector<std::complex<float>>(side * side, 1)};
  const std::string said = message_of([&] { plan_scan(config, objects); });
  EXPECT_NE(said.find("the grid has 10150596 patterns, at most 10000000 are simulated"), std::string::npos) << said;
  EXPECT_NE(said.find("--step-px"), std::string::npos) << said;
}

TEST(scan_plan, stops_where_it_is_asked_to) {
  SimulateConfig config;
  config.side_px = 16;
  config.patterns = 200000;
  const ComplexImage objects{2, 100, 100, std::vector<std::complex<float>>(2 * 100 * 100, 1)};
  for (const ScanKind kind : {ScanKind::grid, ScanKind::random}) {
    config.scan = kind;
    int looks = 0;
    RunControl control;
    control.cancelled = [&] { return ++looks == 3; };
    try {
      plan_scan(config, objects, control);
      ADD_FAILURE() << "was not stopped";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::cancelled);
    }
    EXPECT_EQ(looks, 3);
  }
}

}  // namespace
}  // namespace ptyfuse
