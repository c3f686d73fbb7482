#include "engine/frame_positions.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/compare.h"

namespace ptyfuse {
namespace {

using Positions = std::vector<std::array<double, 2>>;

// Patches of 16 px: they may move by 4. The canvas leaves them 6.
FramePositions frames_of(const Positions& scan) {
  return {scan, scan, 16, {{-6, -6}, {60, 60}}};
}

TEST(frame_positions, move_together_nowhere) {
  FramePositions frames = frames_of({{8.5, 9}, {20, 30}, {12, 9}});
  const Positions steps(3, {0.3, -0.2});
  frames.move(steps, 1, 10);
  for (size_t n = 0; n < 3; ++n)
    for (size_t axis = 0; axis < 2; ++axis)
      EXPECT_WITHIN(
          std::abs(frames.positions_px()[n][axis] - frames_of({{8.5, 9}, {20, 30}, {12, 9}}).positions_px()[n][axis]),
          1e-12);
  EXPECT_WITHIN(frames.moved().rms_px, 1e-12);
}

TEST(frame_positions, steps_are_scaled_and_limited_and_their_mean_taken_out) {
  FramePositions frames = frames_of({{8, 8}, {20, 20}, {20, 8}});
  // Twice: (0.6, 0.8) is 1 long, (0, -6) is cut to 1. Mean (0.2, -0.2 / 3).
  frames.move(Positions{{0.3, 0.4}, {0, -3}, {0, 0}}, 2, 1);
  const Positions expected{{8 + 0.6 - 0.2, 8 + 0.8 + 0.2 / 3}, {20 - 0.2, 20 - 1 + 0.2 / 3}, {20 - 0.2, 8 + 0.2 / 3}};
  double square = 0, most = 0;
  for (size_t n = 0; n < 3; ++n) {
    double distance = 0;
    for (size_t axis = 0; axis < 2; ++axis) {
      const double position = frames.positions_px()[n][axis];
      EXPECT_WITHIN(std::abs(position - expected[n][axis]), 1e-12);
      const auto& corner = frames.corners()[n];
      EXPECT_WITHIN(std::abs(static_cast<double>(corner.whole[axis]) + static_cast<double>(corner.fraction[axis]) -
                             (position - 8 + 6)),
                    1e-6);
      distance += std::pow(position - (n == 0 || (n == 2 && axis == 1) ? 8 : 20), 2);
    }
    square += distance / 3;
    most = std::max(most, std::sqrt(distance));
  }
  EXPECT_WITHIN(std::abs(frames.moved().rms_px - std::sqrt(square)), 1e-12);
  EXPECT_WITHIN(std::abs(frames.moved().most_px - most), 1e-12);
}

TEST(frame_positions, none_goes_farther_than_a_quarter_of_its_side) {
  FramePositions frames = frames_of({{20, 20}, {20, 30}});
  for (int i = 0; i < 30; ++i) frames.move(Positions{{1, 0}, {-1, 0}}, 1, 0.5);
  EXPECT_EQ(position_room_px(16), 4);
  EXPECT_WITHIN(std::abs(frames.positions_px()[0][0] - 24), 1e-12);
  EXPECT_WITHIN(std::abs(frames.positions_px()[1][0] - 16), 1e-12);
  EXPECT_EQ(position_room_px(2), 1);
}

TEST(frame_positions, none_leaves_its_canvas) {
  // No room at the upper and left rim and half a pixel at the lower.
  const Positions scan{{8, 8}, {14.5, 12}};
  FramePositions frames(scan, scan, 16, {{0, 0}, {23, 30}});
  EXPECT_FALSE(frames.outside(0) || frames.outside(1));
  frames.move(Positions{{-0.4, 0.2}, {0.8, -0.2}}, 1, 2);
  EXPECT_EQ(frames.positions_px()[0][0], 8);
  EXPECT_WITHIN(std::abs(frames.positions_px()[0][1] - 8.2), 1e-12);
  EXPECT_WITHIN(std::abs(frames.positions_px()[1][0] - 15.1), 1e-12);
  EXPECT_EQ(frames.corners()[1].whole[0], 7);
  frames.move(Positions{{-2, 0}, {2, 0}}, 1, 2);
  EXPECT_WITHIN(std::abs(frames.positions_px()[1][0] - 15.1), 1e-12);  // rows 8 to 24 of 23
  EXPECT_FALSE(frames.outside(0) || frames.outside(1));
  EXPECT_TRUE(FramePositions(scan, {{7.9, 8}, {16.1, 12}}, 16, {{0, 0}, {23, 30}}).outside(0));
  EXPECT_TRUE(FramePositions(scan, {{7.9, 8}, {16.1, 12}}, 16, {{0, 0}, {23, 30}}).outside(1));
}

}  // namespace
}  // namespace ptyfuse
