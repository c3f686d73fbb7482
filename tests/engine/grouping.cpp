#include "engine/grouping.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string>

#include "kernels/device/error.h"
#include "tests/support/compare.h"

namespace ptyfuse {
namespace {

using Index = std::vector<int64_t>;

std::vector<PositionPx> random_positions(int64_t count, uint64_t seed, double extent = 100) {
  Random random(seed);
  std::vector<PositionPx> out(static_cast<size_t>(count));
  for (PositionPx& p : out) p = {random.uniform(0, extent), random.uniform(0, extent)};
  return out;
}
std::vector<PositionPx> grid_positions(int64_t rows, int64_t columns, double step) {
  std::vector<PositionPx> out;
  for (int64_t y = 0; y < rows; ++y)
    for (int64_t x = 0; x < columns; ++x) out.push_back({static_cast<double>(y) * step, static_cast<double>(x) * step});
  return out;
}

// All others sorted by (distance, index).
Index brute_neighbors(const std::vector<PositionPx>& positions, int64_t self, int64_t k) {
  std::vector<std::pair<double, int64_t>> all;
  for (int64_t j = 0; j < static_cast<int64_t>(positions.size()); ++j) {
    const double dy = positions[static_cast<size_t>(j)][0] - positions[static_cast<size_t>(self)][0];
    const double dx = positions[static_cast<size_t>(j)][1] - positions[static_cast<size_t>(self)][1];
    if (j != self) all.emplace_back(dy * dy + dx * dx, j);
  }
  std::sort(all.begin(), all.end());
  Index out;
  for (int64_t i = 0; i < k; ++i) out.push_back(all[static_cast<size_t>(i)].second);
  return out;
}

std::set<int64_t> members_of(const Groups& groups, int64_t g) {
  const auto first = groups.index.begin() + g * groups.members;
  return {first, first + groups.members};
}

std::string message_of(std::span<const PositionPx> positions, const GroupingConfig& config) {
  try {
    make_groups(positions, config);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::shape);
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(grouping, a_square_by_hand) {
  // [y,x]: clockwise on the screen (y down) from the left, as atan2(dy, dx) runs from -pi.
  const std::vector<PositionPx> positions{{2, 2}, {0, 0}, {0, 2}, {2, 0}};
  const Groups groups = make_groups(positions, {.members = 4});
  ASSERT_EQ(groups.count(), 4);
  for (int64_t g = 0; g < 4; ++g) {
    EXPECT_EQ(Index(groups.index.begin() + g * 4, groups.index.begin() + g * 4 + 4), (Index{1, 2, 0, 3}));
    EXPECT_EQ(groups.centre_px[static_cast<size_t>(g)], (PositionPx{1, 1}));
  }
  // o_c = mean - r_c
  EXPECT_EQ(std::vector<float>(groups.offsets_px.begin(), groups.offsets_px.begin() + 8),
            (std::vector<float>{1, 1, 1, -1, -1, -1, -1, 1}));
  EXPECT_EQ(groups.reach_px(), 1);
  EXPECT_EQ(groups.canvas(64), 64 + 2 * 2);
}

TEST(grouping, the_canvas_holds_every_offset) {
  Groups groups;
  groups.members = 4;
  groups.offsets_px = {-2.5f, 1, 2, 0};
  EXPECT_EQ(groups.canvas(64), 64 + 2 * 4);
  groups.members = 1;
  EXPECT_EQ(groups.canvas(64), 64);
}

TEST(grouping, members_too_far_apart_for_any_canvas_are_refused) {
  Groups groups;
  groups.members = 4;
  groups.offsets_px = {-1024, 0, 1024, 0};
  EXPECT_EQ(groups.canvas(64), 64 + 2 * 1025);
  groups.offsets_px[0] = -2e9f;
  try {
    groups.canvas(64);
    ADD_FAILURE() << "a canvas of 4e9 pixels a side was accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("2e+09 px"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("--gridsize 1"), std::string::npos) << e.what();
  }
}

TEST(grouping, positions_whose_distances_overflow_are_refused) {
  std::vector<PositionPx> positions;
  for (int i = 0; i < 40; ++i) positions.push_back({i * 1e300, i * 1e299});
  EXPECT_THROW(nearest_neighbors(positions, 1), Error);
}

TEST(grouping, neighbors_are_those_of_an_exhaustive_search) {
  struct Case {
    std::vector<PositionPx> positions;
    int64_t k;
  };
  std::vector<PositionPx> twice = random_positions(60, 5);
  twice.insert(twice.end(), twice.begin(), twice.begin() + 60);
  const Case cases[] = {
      {random_positions(300, 1), 4},
      {random_positions(300, 2), 7},
      {grid_positions(17, 13, 4), 4},
      {grid_positions(9, 9, 0.75), 6},  // nearly all distances tie
      {twice, 3},
      {std::vector<PositionPx>(50, {3.25, -1}), 5},
      {grid_positions(1, 40, 1), 3},
      {{{0, 0}, {5, 5}}, 1},
      {{{7, 7}}, 0},
      {random_positions(20, 3, 1e-6), 19},
  };
  for (const Case& c : cases) {
    const Index found = nearest_neighbors(c.positions, c.k);
    ASSERT_EQ(found.size(), c.positions.size() * static_cast<size_t>(c.k));
    for (int64_t s = 0; s < static_cast<int64_t>(c.positions.size()); ++s)
      EXPECT_EQ(Index(found.begin() + s * c.k, found.begin() + (s + 1) * c.k), brute_neighbors(c.positions, s, c.k));
  }
}

TEST(grouping, a_group_is_its_seed_and_neighbors_of_it) {
  const auto positions = random_positions(200, 4);
  for (int64_t k : {4, 7}) {
    const Groups groups = make_groups(positions, {.members = 4, .neighbors = k, .seed = 3});
    ASSERT_EQ(groups.count(), 200);
    std::set<std::set<int64_t>> distinct;
    for (int64_t g = 0; g < 200; ++g) {
      const auto members = members_of(groups, g);
      EXPECT_EQ(members.size(), 4u);
      EXPECT_TRUE(members.count(g));
      Index pool = brute_neighbors(positions, g, k);
      pool.push_back(g);
      for (int64_t m : members) EXPECT_TRUE(std::count(pool.begin(), pool.end(), m)) << m;
      distinct.insert(members);
    }
    EXPECT_GT(distinct.size(), 100u);
  }
}

TEST(grouping, the_seed_can_be_left_out) {
  const auto positions = random_positions(200, 4);
  const Groups groups = make_groups(positions, {.members = 4, .neighbors = 6, .exclude_seed = true, .seed = 3});
  for (int64_t g = 0; g < 200; ++g) {
    const Index pool = brute_neighbors(positions, g, 6);
    const auto members = members_of(groups, g);
    EXPECT_EQ(members.size(), 4u);
    EXPECT_FALSE(members.count(g));
    for (int64_t m : members) EXPECT_TRUE(std::count(pool.begin(), pool.end(), m));
  }
  // fewer than C others: the seed is needed
  const auto four = random_positions(4, 1);
  EXPECT_EQ(members_of(make_groups(four, {.members = 4, .exclude_seed = true}), 0), (std::set<int64_t>{0, 1, 2, 3}));
}

TEST(grouping, members_are_ordered_by_angle_and_offsets_sum_to_zero) {
  const auto positions = random_positions(300, 9);
  const Groups groups = make_groups(positions, {.members = 4, .neighbors = 8});
  for (int64_t g = 0; g < groups.count(); ++g) {
    double before = -10, sum_y = 0, sum_x = 0;
    for (int64_t c = 0; c < 4; ++c) {
      const float* o = groups.offsets_px.data() + (g * 4 + c) * 2;
      const double angle = std::atan2(-o[0], -o[1]);
      EXPECT_GE(angle, before);
      before = angle;
      sum_y += o[0];
      sum_x += o[1];
      const PositionPx& r = positions[static_cast<size_t>(groups.index[static_cast<size_t>(g * 4 + c)])];
      EXPECT_WITHIN(std::abs(groups.centre_px[static_cast<size_t>(g)][0] - r[0] - o[0]), 1e-5);
      EXPECT_WITHIN(std::abs(groups.centre_px[static_cast<size_t>(g)][1] - r[1] - o[1]), 1e-5);
    }
    EXPECT_WITHIN(std::abs(sum_y), 1e-5);
    EXPECT_WITHIN(std::abs(sum_x), 1e-5);
  }
}

TEST(grouping, rounding_does_not_turn_left_into_right) {
  // A row of three whose mean's y rounds off the row: the left one has angle pi, so it comes last, whatever the row.
  for (int row = 0; row < 50; ++row) {
    const double y = 0.1 * row;
    const Groups groups = groups_from_index(std::vector<PositionPx>{{y, 0}, {y, 1}, {y, 5}}, {0, 1, 2}, 3);
    EXPECT_EQ(groups.count(), 1);
    const Groups made = make_groups(std::vector<PositionPx>{{y, 0}, {y, 1}, {y, 5}}, {.members = 3, .neighbors = 3});
    EXPECT_EQ(Index(made.index.begin(), made.index.begin() + 3), (Index{2, 0, 1})) << y;
  }
}

TEST(grouping, single_members_are_positions_in_scan_order) {
  const auto positions = random_positions(50, 1);
  Index all(50);
  std::iota(all.begin(), all.end(), int64_t{0});
  EXPECT_EQ(make_groups(positions, {.members = 1}).index, all);
  EXPECT_EQ(make_groups(positions, {.members = 1, .groups = 80}).index, all);
  const Groups some = make_groups(positions, {.members = 1, .groups = 20, .seed = 2});
  EXPECT_EQ(some.index.size(), 20u);
  EXPECT_TRUE(std::is_sorted(some.index.begin(), some.index.end()));
  EXPECT_EQ(std::set<int64_t>(some.index.begin(), some.index.end()).size(), 20u);
  EXPECT_EQ(some.centre_px[3], positions[static_cast<size_t>(some.index[3])]);
  EXPECT_EQ(some.reach_px(), 0);
  EXPECT_NE(make_groups(positions, {.members = 1, .groups = 20, .seed = 3}).index, some.index);
}

TEST(grouping, oversampling_draws_different_combinations) {
  const auto positions = random_positions(300, 6);
  for (bool exclude : {false, true}) {
    const GroupingConfig config{
        .members = 4, .groups = 900, .neighbors = 7, .oversample = true, .exclude_seed = exclude};
    const Groups groups = make_groups(positions, config);
    ASSERT_EQ(groups.count(), 900);
    std::set<std::set<int64_t>> distinct;
    for (int64_t g = 0; g < 900; ++g) {
      distinct.insert(members_of(groups, g));
      EXPECT_EQ(members_of(groups, g).size(), 4u);
    }
    EXPECT_GT(distinct.size(), 820u);
    EXPECT_EQ(make_groups(positions, config).index, groups.index);
  }
}

TEST(grouping, a_pool_that_is_too_small_is_drawn_from_with_replacement) {
  // 5 positions with K 4 have 5 * binom(4, 3) = 20 combinations.
  const auto positions = random_positions(5, 6);
  const Groups groups = make_groups(positions, {.members = 4, .groups = 200, .neighbors = 4, .oversample = true});
  ASSERT_EQ(groups.count(), 200);
  std::set<std::set<int64_t>> distinct;
  for (int64_t g = 0; g < 200; ++g) distinct.insert(members_of(groups, g));
  EXPECT_EQ(distinct.size(), 5u);  // all 4-subsets of 5
}

TEST(grouping, same_seed_same_groups) {
  const auto positions = random_positions(400, 8);
  for (int64_t wanted : {0, 100, 1000}) {
    GroupingConfig config{.members = 4, .groups = wanted, .neighbors = 6, .oversample = true, .seed = 5};
    const Groups a = make_groups(positions, config), b = make_groups(positions, config);
    EXPECT_EQ(a.index, b.index);
    EXPECT_EQ(a.offsets_px, b.offsets_px);
    config.seed = 6;
    EXPECT_NE(make_groups(positions, config).index, a.index);
  }
}

TEST(grouping, errors_name_the_option_that_mends_them) {
  const auto positions = random_positions(10, 1);
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  const std::span<const PositionPx> three(positions.data(), 3);
  EXPECT_TRUE(has(message_of(three, {.members = 4}), "--gridsize"));
  EXPECT_TRUE(has(message_of(positions, {.members = 4, .neighbors = 3}), "--neighbors"));
  EXPECT_TRUE(has(message_of(positions, {.members = 4, .groups = 11}), "--oversample"));
  EXPECT_TRUE(
      has(message_of(positions, {.members = 4, .groups = 11, .neighbors = 3, .oversample = true}), "--neighbors"));
  EXPECT_TRUE(has(message_of(positions, {.members = 4, .groups = -1}), "--groups"));
  EXPECT_TRUE(has(message_of(positions, {.members = 0}), "member"));
  auto bad = positions;
  bad[7][1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(has(message_of(bad, {.members = 4}), "position 7"));
  EXPECT_THROW(nearest_neighbors(positions, 10), Error);
  EXPECT_THROW(groups_from_index(positions, {0, 1, 2, 10}, 4), Error);
  EXPECT_THROW(groups_from_index(positions, {0, 1, -1, 2}, 4), Error);
  EXPECT_THROW(groups_from_index(positions, {0, 1, 2}, 4), Error);
}

TEST(grouping, a_given_grouping_keeps_its_order) {
  const std::vector<PositionPx> positions{{2, 2}, {0, 0}, {0, 2}, {2, 0}};
  const Groups groups = groups_from_index(positions, {0, 3, 2, 1}, 2);
  EXPECT_EQ(groups.index, (Index{0, 3, 2, 1}));
  EXPECT_EQ(groups.centre_px, (std::vector<PositionPx>{{2, 1}, {0, 1}}));
  EXPECT_EQ(groups.offsets_px, (std::vector<float>{0, -1, 0, 1, 0, -1, 0, 1}));
}

TEST(grouping, many_positions) {
  const auto positions = random_positions(100000, 2, 3000);
  const Groups groups = make_groups(positions, {.members = 4, .neighbors = 6});
  EXPECT_EQ(groups.count(), 100000);
  EXPECT_LT(groups.reach_px(), 100);
}

}  // namespace
}  // namespace ptyfuse
