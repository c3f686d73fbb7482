#include "engine/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ptyfuse {
namespace {

TEST(learning_rate, plateau_halves_after_two_epochs_without_a_drop_and_keeps_its_floor) {
  LearningRate rate(Schedule::plateau, 1e-3, 50, 10);
  rate.epoch_ended(5);
  EXPECT_EQ(rate.at(10, 1), 1e-3);
  rate.epoch_ended(5 - 5e-5);  // less than 1e-4: no drop
  EXPECT_EQ(rate.at(20, 2), 1e-3);
  rate.epoch_ended(5);
  EXPECT_EQ(rate.at(30, 3), 5e-4);
  rate.epoch_ended(4);  // a drop
  rate.epoch_ended(4);
  EXPECT_EQ(rate.at(50, 5), 5e-4);
  for (int i = 0; i < 20; ++i) rate.epoch_ended(4);
  EXPECT_EQ(rate.at(250, 25), 1e-4);
  LearningRate low(Schedule::plateau, 5e-5, 50, 10);
  for (int i = 0; i < 20; ++i) low.epoch_ended(1);
  EXPECT_EQ(low.at(200, 20), 5e-5);
}

TEST(learning_rate, cosine_warms_up_and_ends_at_a_twentieth) {
  const LearningRate rate(Schedule::cosine, 1.0, 10, 100);  // 1000 steps, 20 of them warm-up
  EXPECT_NEAR(rate.at(0, 0), 1.0 / 20, 1e-12);
  EXPECT_NEAR(rate.at(19, 0), 0.05 + 0.95 * 0.5 * (1 + std::cos(M_PI * 0.019)), 1e-12);
  EXPECT_NEAR(rate.at(500, 5), 0.05 + 0.95 * 0.5, 1e-12);
  EXPECT_NEAR(rate.at(1000, 10), 0.05, 1e-12);
}

TEST(learning_rate, exponential_and_constant) {
  EXPECT_NEAR(LearningRate(Schedule::exponential, 2.0, 10, 5).at(15, 3), 2 * 0.95 * 0.95 * 0.95, 1e-12);
  EXPECT_EQ(LearningRate(Schedule::constant, 2.0, 10, 5).at(15, 3), 2.0);
}

TEST(learning_rate, state_goes_on_where_it_was) {
  LearningRate a(Schedule::plateau, 1e-3, 50, 10), b(Schedule::plateau, 1e-3, 50, 10);
  a.epoch_ended(2);
  a.epoch_ended(3);
  b.set_state(a.state());
  b.epoch_ended(3);
  EXPECT_EQ(b.at(0, 0), 5e-4);
}

TEST(early_stopping, stops_after_three_epochs_without_improvement) {
  EarlyStopping stop;
  EXPECT_FALSE(stop.epoch_ended(2));
  EXPECT_FALSE(stop.epoch_ended(2));
  EXPECT_FALSE(stop.epoch_ended(2.5));
  EarlyStopping resumed;
  resumed.set_state(stop.state());
  EXPECT_TRUE(resumed.epoch_ended(2));
  EXPECT_FALSE(stop.epoch_ended(1.9));
}

}  // namespace
}  // namespace ptyfuse
