#pragma once
#include <span>

#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"
#include "kernels/ops/device_sum.h"

namespace ptyfuse::ops {

/// A run [begin, end) of the flat buffers that is one tensor.
struct ParameterRange {
  int64_t begin = 0, end = 0;
};

/// Global L2 norm of a gradient, accumulated in double; NaN or infinity where an element is. Host result. Training
/// takes sum_of_squares, which need not be waited for.
double gradient_norm(Stream& stream, TensorView<const float> gradient);
Cost gradient_norm_cost(int64_t parameters);

/// norm: gradient *= limit / |g| where the global L2 norm |g| > limit; `squares` [1] is |g|^2, as sum_of_squares leaves
/// it in the device's memory. A norm that is not a number clips nothing. Does not
/// wait, nor do the others below.
void clip_by_norm(Stream& stream, double limit, TensorView<const double> squares, TensorView<float> gradient);

/// value: each element to [-limit, limit]. NaN stays NaN.
void clip_by_value(Stream& stream, double limit, TensorView<float> gradient);

/// Working memory of clip_adaptive.
struct AdaptiveClipSums {
  explicit AdaptiveClipSums(const Device& device)
      : weights(device, "a tensor's squared weights"), gradient(device, "a tensor's squared gradient") {}
  DeviceSum weights, gradient;
};

/// A tensor whose norm is smaller counts as so large: one of zeros may grow, too.
inline constexpr double least_weight_norm = 1e-3;

/// agc (adaptive, one norm per tensor): where |g| > factor*max(|w|, least_weight_norm), g *= that limit / |g|.
/// Source: Brock et al. 2021, as section 5 of the method uses it. Error(shape): a range outside the buffers.
void clip_adaptive(Stream& stream, double factor, std::span<const ParameterRange> tensors,
                   TensorView<const float> weights, TensorView<float> gradient, AdaptiveClipSums& sums);

}  // namespace ptyfuse::ops
