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

struct LimitNormArgs {
  double factor;
  const double* weight_squares;  // null: the factor is the limit
  const double* squares;
  float* gradient;

  // 1 where nothing is to be done, as where the norm is not a number.
  __device__ float by() const {
    double limit = factor;
    if (weight_squares != nullptr) {
      const double norm = sqrt(*weight_squares);
      limit *= norm < least_weight_norm ? least_weight_norm : norm;
    }
    const double norm = sqrt(*squares);
    return norm > limit ? static_cast<float>(limit / norm) : 1.0F;
  }

  struct Loaded {
    float4 gradient;
    float by;
  };
  __device__ Loaded load4(int64_t i) const {
    const float factor_of_all = by();
    return {factor_of_all < 1.0F ? four(gradient, i) : float4{}, factor_of_all};
  }
  __device__ void store4(int64_t i, const Loaded& l) const {
    if (l.by < 1.0F)
      four(gradient, i) =
          make_float4(l.by * l.gradient.x, l.by * l.gradient.y, l.by * l.gradient.z, l.by * l.gradient.w);
  }
  __device__ void apply1(int64_t i) const { gradient[i] = by() * gradient[i]; }
};

}  // namespace

void clip_by_value(Stream& stream, float limit, TensorView<float> gradient) {
  launch_elementwise<4>(stream, ClipArgs{limit, gradient.data()}, split_fours(gradient.elements(), {gradient.data()}));
}

void limit_norm(Stream& stream, double factor, const double* weight_squares, const double* squares,
                TensorView<float> gradient) {
  launch_elementwise<4>(stream, LimitNormArgs{factor, weight_squares, squares, gradient.data()},
                        split_fours(gradient.elements(), {gradient.data()}));
}

}  // namespace ptyfuse::ops::cuda
