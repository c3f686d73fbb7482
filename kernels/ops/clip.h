#pragma once
#include <span>

#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// A run [begin, end) of the flat buffers that is one tensor.
struct ParameterRange {
  int64_t begin = 0, end = 0;
};

/// Global L2 norm of a gradient, accumulated in double; NaN or infinity where an element is. Host result.
double gradient_norm(Stream& stream, TensorView<const float> gradient);

/// norm: gradient *= limit / norm where norm = gradient_norm > limit. Returns the norm before.
double clip_by_norm(Stream& stream, double limit, TensorView<float> gradient);

/// value: each element to [-limit, limit]. NaN stays NaN.
void clip_by_value(Stream& stream, double limit, TensorView<float> gradient);

/// agc (adaptive, one norm per tensor): where |g| > factor*max(|w|, 1e-3), g *= factor*max(|w|, 1e-3)/|g|.
/// Source: Brock et al. 2021, as section 5 of the method uses it. Error(shape): a range outside the buffers.
void clip_adaptive(Stream& stream, double factor, std::span<const ParameterRange> tensors,
                   TensorView<const float> weights, TensorView<float> gradient);

Cost gradient_norm_cost(int64_t parameters);

}  // namespace ptyfuse::ops
