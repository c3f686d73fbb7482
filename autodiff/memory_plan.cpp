#include "autodiff/memory_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace ptyfuse::autodiff {
namespace {

int64_t aligned(int64_t bytes) {
  return (bytes + plan_alignment_bytes - 1) / plan_alignment_bytes * plan_alignment_bytes;
}

struct Block {
  int64_t begin = 0, end = 0;  // bytes
};

bool share_a_step(const Lifetime& a, const Lifetime& b) {
  const auto meet = [](int64_t a_begin, int64_t a_end, int64_t b_begin, int64_t b_end) {
    return a_begin >= 0 && b_begin >= 0 && a_begin <= b_end && b_begin <= a_end;
  };
  return meet(a.begin, a.end, b.begin, b.end) || meet(a.begin_again, a.end_again, b.begin, b.end) ||
         meet(a.begin, a.end, b.begin_again, b.end_again) ||
         meet(a.begin_again, a.end_again, b.begin_again, b.end_again);
}

/// The offset of the smallest gap between occupied blocks (sorted by begin) that holds `bytes`, else their end.
int64_t best_gap(const std::vector<Block>& occupied, int64_t bytes) {
  int64_t best = -1, best_size = std::numeric_limits<int64_t>::max(), reached = 0;
  for (const Block& block : occupied) {
    const int64_t gap = block.begin - reached;
    if (gap >= bytes && gap < best_size) {
      best = reached;
      best_size = gap;
    }
    reached = std::max(reached, block.end);
  }
  return best >= 0 ? best : reached;
}

}  // namespace

MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes) {
  MemoryPlan plan;
  plan.offset_bytes.assign(lifetimes.size(), 0);
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
  std::vector<size_t> placed;
  for (const size_t i : order) {
    const Lifetime& life = lifetimes[i];
    std::vector<Block> occupied;
    for (const size_t j : placed)
      if (share_a_step(lifetimes[j], life))
        occupied.push_back({plan.offset_bytes[j], plan.offset_bytes[j] + aligned(lifetimes[j].bytes)});
    std::sort(occupied.begin(), occupied.end(), [](const Block& a, const Block& b) { return a.begin < b.begin; });
    plan.offset_bytes[i] = best_gap(occupied, aligned(life.bytes));
    plan.total_bytes = std::max(plan.total_bytes, plan.offset_bytes[i] + aligned(life.bytes));
    placed.push_back(i);
  }
  return plan;
}

}  // namespace ptyfuse::autodiff
