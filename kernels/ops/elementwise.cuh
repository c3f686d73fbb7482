#pragma once
// Kernels that walk flat buffers, four elements (16 bytes of float32) of every buffer at a time.
#include <initializer_list>

#include "kernels/device/launch.cuh"

namespace ptyfuse::ops::cuda {

/// a / b for 0 <= a, 0 < b; short of 2^32 at the price of a 32-bit division.
__device__ __forceinline__ int64_t quotient(int64_t a, int64_t b) {
  if (((a | b) >> 32) == 0) return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
  return a / b;
}

inline int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

inline dim3 grid_of(int64_t threads, int block) {
  return dim3(static_cast<unsigned>(divide_up(threads, block)));
}

/// Number of this thread in a grid of one dimension.
__device__ __forceinline__ int64_t thread_in_grid() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

inline bool aligned16(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % 16 == 0;
}

/// How [0, count) falls into aligned runs of four: [0, head) singly, then `vectors` fours, then the rest singly.
struct Fours {
  int64_t count, head, vectors;
};

/// For buffers of 4-byte elements: what precedes the first 16-byte boundary is the head. Buffers that do not reach one
/// together are walked singly.
inline Fours split_fours(int64_t count, std::initializer_list<const void*> buffers) {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(*buffers.begin()) % 16;
  for (const void* b : buffers)
    if (reinterpret_cast<uintptr_t>(b) % 16 != offset) return {count, count, 0};
  const int64_t before = static_cast<int64_t>((16 - offset) % 16 / 4), head = before < count ? before : count;
  return {count, head, (count - head) / 4};
}

constexpr int elementwise_block = 256;

/// Op, a kernel's parameters, has Loaded load4(i) and store4(i, Loaded) for elements [i, i + 4), and apply1(i).
/// Tiling: block b owns kUnroll * 256 consecutive fours; each thread loads kUnroll of them, 256 apart, before it stores
/// the first. Single elements are spread over the whole grid.
template <int kUnroll, class Op>
__global__ void __launch_bounds__(elementwise_block) elementwise(Op op, Fours fours) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * (kUnroll * elementwise_block) + threadIdx.x;
  typename Op::Loaded loaded[kUnroll] = {};
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const int64_t v = first + u * elementwise_block;
    if (v < fours.vectors) loaded[u] = op.load4(fours.head + 4 * v);
  }
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const int64_t v = first + u * elementwise_block;
    if (v < fours.vectors) op.store4(fours.head + 4 * v, loaded[u]);
  }
  const int64_t singles = fours.count - 4 * fours.vectors, threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t s = thread_in_grid(); s < singles; s += threads) op.apply1(s < fours.head ? s : s + 4 * fours.vectors);
}

template <int kUnroll, class Op>
void launch_elementwise(Stream& stream, const Op& op, const Fours& fours) {
  if (fours.count == 0) return;
  constexpr int64_t most_blocks_of_singles = 4096;
  const int64_t singles = fours.count - 4 * fours.vectors,
                for_singles = divide_up(singles, elementwise_block) < most_blocks_of_singles
                                  ? divide_up(singles, elementwise_block)
                                  : most_blocks_of_singles,
                for_fours = divide_up(fours.vectors, kUnroll * elementwise_block),
                blocks = for_fours > for_singles ? for_fours : for_singles;
  launch(elementwise<kUnroll, Op>, dim3(static_cast<unsigned>(blocks)), dim3(elementwise_block), 0, stream)(op, fours);
}

__device__ __forceinline__ float4& four(float* p, int64_t i) {
  return *reinterpret_cast<float4*>(p + i);
}
__device__ __forceinline__ const float4& four(const float* p, int64_t i) {
  return *reinterpret_cast<const float4*>(p + i);
}

}  // namespace ptyfuse::ops::cuda
