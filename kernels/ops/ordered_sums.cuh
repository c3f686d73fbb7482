#pragma once
// Sums in double that repeat bit for bit: each block adds its own part, the host adds the parts in order. How elements
// are shared out depends on their number alone.
#include <algorithm>

#include "kernels/device/warp.cuh"
#include "kernels/ops/host_sum.cuh"

namespace ptyfuse::ops::cuda {

inline constexpr int sum_threads = 256;
inline constexpr int64_t sum_shared_bytes = 8 * sum_threads / 32;

/// Blocks for a sum over many elements: each takes every elements_step()-th from elements_begin() on.
inline int64_t sum_blocks(int64_t elements) {
  constexpr int64_t elements_of_block = 8 * sum_threads, most = 2048;
  return std::min((elements + elements_of_block - 1) / elements_of_block, most);
}
__device__ __forceinline__ int64_t elements_begin() {
  return static_cast<int64_t>(blockIdx.x) * sum_threads + threadIdx.x;
}
__device__ __forceinline__ int64_t elements_step() {
  return static_cast<int64_t>(gridDim.x) * sum_threads;
}

/// The block's part of the sum, put into parts[block].
__device__ __forceinline__ void store_part(double thread_sum, double* parts) {
  const double sum = block_sum(thread_sum, dynamic_smem<double>());
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

/// The sum of what `fill(parts)` queues a kernel to write into `blocks` parts; waits for the stream.
template <class Fill>
double ordered_sum(Stream& stream, int64_t blocks, const Fill& fill) {
  return combine_parts(stream, blocks, 0.0, fill, [](double a, double b) { return a + b; });
}

}  // namespace ptyfuse::ops::cuda
