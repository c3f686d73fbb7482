#include "kernels/ops/total_variation_cuda.h"

#include "kernels/device/warp.cuh"
#include "kernels/ops/device_sum_cuda.h"
#include "kernels/ops/host_sum.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int block_threads = 256;
constexpr int pixels_per_turn = 2;  // of a thread: ten loads in flight

struct TotalVariationArgs {
  const float2* fields;
  float2* grad;  // null: the sum alone
  float slope;   // 2 * weight
  int64_t pixels, height, width;
  double* sums;  // of each block
};

__device__ __forceinline__ float2 difference(float2 a, float2 b) {
  return make_float2(a.x - b.x, a.y - b.y);
}
__device__ __forceinline__ double norm(float2 a) {
  return static_cast<double>(a.x * a.x + a.y * a.y);
}

// Tiling: the grid strides over runs of 2 * 256 pixels of all images; a thread takes two of a run, 256 apart, each with
// its four neighbours.
__global__ void __launch_bounds__(block_threads) total_variation_kernel(TotalVariationArgs args) {
  constexpr int64_t run = pixels_per_turn * block_threads;
  double sum = 0;
  for (int64_t first = blockIdx.x * run + threadIdx.x; first < args.pixels; first += gridDim.x * run) {
#pragma unroll
    for (int u = 0; u < pixels_per_turn; ++u) {
      const int64_t at = first + u * block_threads;
      if (at >= args.pixels) continue;
      const int64_t row = quotient(at, args.width), x = at - row * args.width,
                    y = row - quotient(row, args.height) * args.height;
      const float2* const f = args.fields + at;
      // A neighbour outside of the image stands for the pixel itself: no difference.
      const float2 here = f[0], below = y + 1 < args.height ? f[args.width] : here,
                   beside = x + 1 < args.width ? f[1] : here;
      const float2 down = difference(below, here), right = difference(beside, here);
      sum += norm(down) + norm(right);
      if (args.grad == nullptr) continue;
      const float2 up = difference(here, y > 0 ? f[-args.width] : here), left = difference(here, x > 0 ? f[-1] : here);
      args.grad[at] = make_float2(args.slope * ((up.x - down.x) + (left.x - right.x)),
                                  args.slope * ((up.y - down.y) + (left.y - right.y)));
    }
  }
  sum = block_sum(sum, dynamic_smem<double>());
  if (threadIdx.x == 0) args.sums[blockIdx.x] = sum;
}

}  // namespace

void total_variation(Stream& stream, TensorView<const complex64> fields, double weight,
                     TensorView<complex64> grad_fields, DeviceSum& sum) {
  if (fields.empty()) return add_parts(stream, 0, 1, sum);
  const int64_t blocks = blocks_for(fields.elements(), pixels_per_turn * block_threads);
  launch(total_variation_kernel, dim3(static_cast<unsigned>(blocks)), dim3(block_threads),
         block_threads / 32 * sizeof(double), stream)(TotalVariationArgs{
      reinterpret_cast<const float2*>(fields.data()), reinterpret_cast<float2*>(grad_fields.data()),
      static_cast<float>(2 * weight), fields.elements(), fields.extent(1), fields.extent(2), sum.parts()});
  add_parts(stream, blocks, 1, sum);
}

}  // namespace ptyfuse::ops::cuda
