#include "kernels/ops/normalise_cuda.h"

#include "kernels/device/warp.cuh"
#include "kernels/ops/device_sum_cuda.h"
#include "kernels/ops/host_sum.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int block_threads = 256;
constexpr int fours_per_turn = 4;  // loads in flight

struct SumOfSquaresArgs {
  const float* in;
  Fours fours;
  double* sums;  // of each block
};

__device__ __forceinline__ double square(float x) {
  const double wide = x;
  return wide * wide;
}

// Tiling: the grid strides over runs of 4 * 256 fours; a thread takes four of a run, 256 apart, into four sums.
__global__ void __launch_bounds__(block_threads) sum_of_squares_kernel(SumOfSquaresArgs args) {
  constexpr int64_t run = fours_per_turn * block_threads;
  double sums[4] = {};
  for (int64_t first = blockIdx.x * run + threadIdx.x; first < args.fours.vectors; first += gridDim.x * run) {
    float4 v[fours_per_turn];
#pragma unroll
    for (int u = 0; u < fours_per_turn; ++u) {
      const int64_t at = first + u * block_threads;
      v[u] = at < args.fours.vectors ? four(args.in, args.fours.head + 4 * at) : make_float4(0, 0, 0, 0);
    }
#pragma unroll
    for (int u = 0; u < fours_per_turn; ++u) {
      sums[0] += square(v[u].x);
      sums[1] += square(v[u].y);
      sums[2] += square(v[u].z);
      sums[3] += square(v[u].w);
    }
  }
  const int64_t singles = args.fours.count - 4 * args.fours.vectors;
  if (const int64_t s = thread_in_grid(); s < singles)
    sums[0] += square(args.in[s < args.fours.head ? s : s + 4 * args.fours.vectors]);
  const double sum = block_sum((sums[0] + sums[1]) + (sums[2] + sums[3]), dynamic_smem<double>());
  if (threadIdx.x == 0) args.sums[blockIdx.x] = sum;
}

struct ScaleArgs {
  const float* in;
  float factor;
  float* out;

  using Loaded = float4;
  __device__ Loaded load4(int64_t i) const { return four(in, i); }
  __device__ void store4(int64_t i, const Loaded& l) const {
    four(out, i) = make_float4(factor * l.x, factor * l.y, factor * l.z, factor * l.w);
  }
  __device__ void apply1(int64_t i) const { out[i] = factor * in[i]; }
};

}  // namespace

void sum_of_squares(Stream& stream, TensorView<const float> in, DeviceSum& sum) {
  if (in.empty()) return add_parts(stream, 0, 1, sum);
  // At most three elements before the first boundary and three behind the last: the first block takes them.
  const Fours fours = split_fours(in.elements(), {in.data()});
  const int64_t shared = blocks_for(fours.vectors, fours_per_turn * block_threads), blocks = shared > 0 ? shared : 1;
  launch(sum_of_squares_kernel, dim3(static_cast<unsigned>(blocks)), dim3(block_threads),
         block_threads / 32 * sizeof(double), stream)(SumOfSquaresArgs{in.data(), fours, sum.parts()});
  add_parts(stream, blocks, 1, sum);
}

void scale(Stream& stream, TensorView<const float> in, float factor, TensorView<float> out) {
  launch_elementwise<4>(stream, ScaleArgs{in.data(), factor, out.data()},
                        split_fours(in.elements(), {in.data(), out.data()}));
}

}  // namespace ptyfuse::ops::cuda
