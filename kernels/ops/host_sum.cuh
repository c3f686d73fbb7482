#pragma once
// Sums and maxima over whole buffers that the host asks for: each block of a grid whose size depends on the buffer
// alone (its extents and how it is aligned) leaves its part, and the host combines the parts in their order, so that
// results repeat bit for bit.
#include <vector>

#include "kernels/device/buffer.h"
#include "kernels/device/scratch.h"
#include "kernels/ops/elementwise.cuh"

namespace ptyfuse::ops::cuda {

/// Blocks that share `work` units, `units_per_block` each, and no more than fill the largest GPU some times over.
inline int64_t blocks_for(int64_t work, int64_t units_per_block) {
  constexpr int64_t most = 1056;
  const int64_t blocks = divide_up(work, units_per_block);
  return blocks < most ? blocks : most;
}

/// The parts' combination, waited for: fill(parts) queues the kernel that writes `count` of them.
template <class T, class Fill, class Combine>
T combine_parts(Stream& stream, int64_t count, T start, const Fill& fill, const Combine& combine) {
  const Scratch<T> parts(stream, count, "partial results");
  fill(parts.data());
  std::vector<T> host(static_cast<size_t>(count));
  copy_bytes_to_host(stream, host.data(), parts.data(), count * static_cast<int64_t>(sizeof(T)));
  T total = start;
  for (const T& part : host) total = combine(total, part);
  return total;
}

}  // namespace ptyfuse::ops::cuda
