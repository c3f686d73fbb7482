#include "autodiff/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace ptyfuse::autodiff {
namespace {

bool alive(const Lifetime& life, int64_t step) {
  return (life.begin <= step && step <= life.end) ||
         (life.begin_again >= 0 && life.begin_again <= step && step <= life.end_again);
}

void expect_sound(const std::vector<Lifetime>& lives, const MemoryPlan& plan) {
  ASSERT_EQ(plan.offset_bytes.size(), lives.size());
  for (size_t i = 0; i < lives.size(); ++i) {
    EXPECT_GE(plan.offset_bytes[i], 0);
    EXPECT_EQ(plan.offset_bytes[i] % plan_alignment_bytes, 0);
    EXPECT_LE(plan.offset_bytes[i] + lives[i].bytes, plan.total_bytes);
    for (size_t j = 0; j < i; ++j) {
      bool together = false;
      for (int64_t step = 0; step < 64; ++step) together = together || (alive(lives[i], step) && alive(lives[j], step));
      const bool overlap = plan.offset_bytes[i] < plan.offset_bytes[j] + lives[j].bytes &&
                           plan.offset_bytes[j] < plan.offset_bytes[i] + lives[i].bytes;
      EXPECT_FALSE(together && overlap) << "lifetimes " << j << " and " << i;
    }
  }
}

/// Most bytes that are needed at one step: no plan can be smaller.
int64_t needed_bytes(const std::vector<Lifetime>& lives, int64_t steps) {
  int64_t most = 0;
  for (int64_t step = 0; step < steps; ++step) {
    int64_t sum = 0;
    for (const Lifetime& life : lives)
      if (alive(life, step)) sum += life.bytes;
    most = std::max(most, sum);
  }
  return most;
}

TEST(memory_plan, chain_needs_two_slots) {
  std::vector<Lifetime> lives;
  for (int64_t i = 0; i < 10; ++i) lives.push_back({640, i, i + 1});
  const MemoryPlan plan = plan_memory(lives);
  expect_sound(lives, plan);
  EXPECT_EQ(plan.total_bytes, 1280);
}

TEST(memory_plan, smallest_gap_that_fits_is_taken) {
  // At step 1 the buffer holds 256 | 128 | 256 | 64 | 256, and 128 and 64 end there: what comes next fits exactly.
  const std::vector<Lifetime> lives = {{256, 0, 3}, {256, 0, 3}, {256, 0, 3}, {128, 0, 1},
                                       {64, 0, 1},  {64, 2, 3},  {128, 2, 3}};
  const MemoryPlan plan = plan_memory(lives);
  expect_sound(lives, plan);
  EXPECT_EQ(plan.total_bytes, 3 * 256 + 128 + 64);
}

TEST(memory_plan, what_is_needed_twice_lends_its_place_in_between) {
  const std::vector<Lifetime> lives = {{256, 0, 1, 6, 7}, {256, 2, 5}, {128, 3, 4}, {256, 5, 6}};
  const MemoryPlan plan = plan_memory(lives);
  expect_sound(lives, plan);
  EXPECT_EQ(plan.offset_bytes[1], plan.offset_bytes[0]);
  EXPECT_NE(plan.offset_bytes[3], plan.offset_bytes[0]);
  EXPECT_EQ(plan.total_bytes, 512);
}

TEST(memory_plan, sizes_that_are_no_multiple_of_the_alignment) {
  const std::vector<Lifetime> lives = {{1, 0, 1}, {65, 0, 1}, {0, 0, 1}, {63, 1, 2}};
  const MemoryPlan plan = plan_memory(lives);
  expect_sound(lives, plan);
  EXPECT_EQ(plan.total_bytes, 64 + 128 + 64);
}

TEST(memory_plan, nothing_to_place) {
  EXPECT_EQ(plan_memory({}).total_bytes, 0);
}

TEST(memory_plan, random_lifetimes_never_overlap) {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 60; ++trial) {
    const int64_t steps = 40;
    std::vector<Lifetime> lives(1 + random() % 70);
    for (Lifetime& life : lives) {
      life.bytes = 64 * static_cast<int64_t>(random() % 50);
      life.begin = static_cast<int64_t>(random() % steps);
      life.end = std::min<int64_t>(steps - 1, life.begin + static_cast<int64_t>(random() % 12));
    }
    const MemoryPlan plan = plan_memory(lives);
    expect_sound(lives, plan);
    const int64_t needed = needed_bytes(lives, steps);
    EXPECT_GE(plan.total_bytes, needed);
    EXPECT_LE(plan.total_bytes, needed * 3 / 2) << "trial " << trial;
    EXPECT_EQ(plan_memory(lives).offset_bytes, plan.offset_bytes);
  }
}

}  // namespace
}  // namespace ptyfuse::autodiff
