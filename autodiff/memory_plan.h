#pragma once
#include <cstdint>
#include <vector>

namespace ptyfuse::autodiff {

/// A piece of memory that is needed from step `begin` to step `end` of a schedule, both included; and where
/// `begin_again` is not negative, again from there to `end_again`, behind `end`, with other pieces in the same place in
/// between.
struct Lifetime {
  int64_t bytes = 0;
  int64_t begin = 0, end = 0;
  int64_t begin_again = -1, end_again = -1;
};

struct MemoryPlan {
  std::vector<int64_t> offset_bytes;  ///< of each lifetime, multiples of plan_alignment_bytes
  int64_t total_bytes = 0;
};

inline constexpr int64_t plan_alignment_bytes = 64;

/// Places every lifetime in one buffer so that no two that share a step overlap: largest first, each into the smallest
/// gap that fits among those it meets, else behind them. The result depends on the arguments alone.
MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes);

}  // namespace ptyfuse::autodiff
