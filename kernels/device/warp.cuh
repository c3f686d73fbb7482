#pragma once
// Sums and maxima over a warp by shuffles. All 32 lanes must call; every lane gets the result.
#include "kernels/device/host_device.h"
#include "kernels/device/launch.cuh"

namespace ptyfuse {

inline constexpr unsigned all_lanes = 0xffffffffU;

__device__ __forceinline__ int lane_in_warp() {
  return static_cast<int>((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32U);
}
__device__ __forceinline__ int warp_in_block() {
  return static_cast<int>((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) / 32U);
}

/// The larger of two, NaN if either is: fmaxf would drop it.
template <class T>
PTYFUSE_HOST_DEVICE inline T larger(T a, T b) {
  return b <= a || a != a ? a : b;
}

/// combine(a, b) over all lanes, in the same tree on every device: commutative `combine` gives every lane the same
/// bits.
template <class T, class Combine>
__device__ __forceinline__ T warp_reduce(T value, Combine combine PTYFUSE_CALLER) {
  for (int step = 16; step > 0; step /= 2)
    value = combine(value, __shfl_xor_sync(all_lanes, value, step, 32 PTYFUSE_PASS_CALLER));
  return value;
}
template <class T>
__device__ __forceinline__ T warp_sum(T value PTYFUSE_CALLER) {
  return warp_reduce(value, [](T a, T b) { return a + b; } PTYFUSE_PASS_CALLER);
}
/// NaN where any is.
template <class T>
__device__ __forceinline__ T warp_max(T value PTYFUSE_CALLER) {
  return warp_reduce(value, [](T a, T b) { return larger(a, b); } PTYFUSE_PASS_CALLER);
}
template <class T>
__device__ __forceinline__ T warp_min(T value PTYFUSE_CALLER) {
  return warp_reduce(value, [](T a, T b) { return b < a ? b : a; } PTYFUSE_PASS_CALLER);
}

/// Sum over all threads of a block whose size is a multiple of 32; every thread gets it. `scratch`: shared memory, an
/// element for each warp, free before and after. A barrier before, one behind: all threads must call. The sum of the
/// warps is added in their order.
template <class T>
__device__ __forceinline__ T block_sum(T value, T* scratch PTYFUSE_CALLER) {
  value = warp_sum(value PTYFUSE_PASS_CALLER);
  __syncthreads();
  if (lane_in_warp() == 0) scratch[warp_in_block()] = value;
  __syncthreads();
  const int warps = static_cast<int>(blockDim.x * blockDim.y * blockDim.z / 32);
  T sum = scratch[0];
  for (int w = 1; w < warps; ++w) sum += scratch[w];
  return sum;
}

}  // namespace ptyfuse
