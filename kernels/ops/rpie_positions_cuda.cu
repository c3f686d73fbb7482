#include "kernels/ops/rpie_positions_cuda.h"

#include "kernels/device/warp.cuh"
#include "kernels/ops/position_sums.h"
#include "kernels/ops/rpie_frames.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int block_threads = 256;

struct PositionArgs {
  const float2* object;
  RpieFrames frames;
  const float2 *probes, *differences;  // [S,K,N,N], [b,K,N,N]
  double* steps;                       // [b,2]
  int64_t modes;
};

/// Re(conj(a) b)
__device__ __forceinline__ double real_product(float2 a, float2 b) {
  return static_cast<double>(multiply_conjugate(a, b).x);
}

// Tiling: a block owns a frame, its threads stride over the pixels and walk the modes. kExact: PositionGradient.
template <bool kExact>
__global__ void __launch_bounds__(block_threads) position_steps_kernel(PositionArgs args) {
  double* const scratch = dynamic_smem<double>();
  const RpieFrames& f = args.frames;
  const int64_t n = blockIdx.x, window = f.window(n), probe = f.probe(n), pixels = f.side * f.side, last = f.side - 1;
  PositionSums sums;
  if (window >= 0 && probe >= 0) {
    const float2* const object = args.object + window;
    const float2* p = args.probes + probe * args.modes * pixels;
    const float2* d = args.differences + n * args.modes * pixels;
    for (int64_t pixel = threadIdx.x; pixel < pixels; pixel += block_threads) {
      const int64_t y = quotient(pixel, f.side), x = pixel - y * f.side;
      // A neighbour beyond the rim is the pixel itself: no difference.
      const int64_t below = y < last ? 1 : 0, above = y > 0 ? 1 : 0, right = x < last ? 1 : 0, left = x > 0 ? 1 : 0;
      const float2* const o = object + y * f.width + x;
      const float2 own = *o, to_below = subtract(o[below * f.width], own),
                   to_above = subtract(own, o[-above * f.width]), to_right = subtract(o[right], own),
                   to_left = subtract(own, o[-left]);
      for (int64_t k = 0; k < args.modes; ++k) {
        const float2* const at = p + k * pixels + pixel;
        float2 gy, gx;
        if (kExact) {
          gy = add(multiply(at[below * f.side], to_below), multiply(at[-above * f.side], to_above));
          gx = add(multiply(at[right], to_right), multiply(at[-left], to_left));
        } else {
          const float2 here = *at;
          gy = multiply(here, add(to_below, to_above));
          gx = multiply(here, add(to_right, to_left));
        }
        gy = scale(0.5F, gy);
        gx = scale(0.5F, gx);
        const float2 difference = d[k * pixels + pixel];
        sums.yy += real_product(gy, gy);
        sums.yx += real_product(gy, gx);
        sums.xx += real_product(gx, gx);
        sums.y += real_product(gy, difference);
        sums.x += real_product(gx, difference);
      }
    }
  }
  sums.yy = block_sum(sums.yy, scratch);
  sums.yx = block_sum(sums.yx, scratch);
  sums.xx = block_sum(sums.xx, scratch);
  sums.y = block_sum(sums.y, scratch);
  sums.x = block_sum(sums.x, scratch);
  if (threadIdx.x != 0) return;
  const PositionStep step = solve(sums);
  args.steps[2 * n] = step.y;
  args.steps[2 * n + 1] = step.x;
}

}  // namespace

void position_steps(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                    TensorView<const complex64> probes, TensorView<const complex64> differences,
                    PositionGradient gradient, TensorView<double> steps) {
  const PositionArgs args{device_pointer(object.data()),
                          RpieFrames(batch, object.shape(), probes.extent(0), differences.extent(2)),
                          device_pointer(probes.data()),
                          device_pointer(differences.data()),
                          steps.data(),
                          differences.extent(1)};
  const auto kernel = gradient == PositionGradient::exact ? position_steps_kernel<true> : position_steps_kernel<false>;
  launch(kernel, dim3(static_cast<unsigned>(batch.count())), dim3(block_threads), block_threads / 32 * sizeof(double),
         stream)(args);
}

}  // namespace ptyfuse::ops::cuda
