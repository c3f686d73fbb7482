#include "kernels/ops/clip_cuda.h"

#include "kernels/ops/elementwise.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct ClipArgs {
  float limit;
  float* gradient;

  // Comparisons with NaN are false: it passes both.
  __device__ float clipped(float g) const {
    const float below = g > limit ? limit : g;
    return below < -limit ? -limit : below;
  }

  using Loaded = float4;
  __device__ Loaded load4(int64_t i) const { return four(gradient, i); }
  __device__ void store4(int64_t i, const Loaded& l) const {
    four(gradient, i) = make_float4(clipped(l.x), clipped(l.y), clipped(l.z), clipped(l.w));
  }
  __device__ void apply1(int64_t i) const { gradient[i] = clipped(gradient[i]); }
};

}  // namespace

void clip_by_value(Stream& stream, float limit, TensorView<float> gradient) {
  launch_elementwise<4>(stream, ClipArgs{limit, gradient.data()}, split_fours(gradient.elements(), {gradient.data()}));
}

}  // namespace ptyfuse::ops::cuda
