#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"
#include "kernels/ops/device_sum.h"

namespace ptyfuse::ops {

/// Sum over all elements of x^2, accumulated in double: the power of amplitudes [n,N,N] float32, contiguous.
/// Host result. Deterministic for equal threads(). The normalisation factor of a data set is
/// sqrt((N/2)^2 / (sum/n)): section 1 of the method.
double sum_of_squares(Stream& stream, TensorView<const float> in);
/// The same without a wait.
void sum_of_squares(Stream& stream, TensorView<const float> in, DeviceSum& sum);

/// out = factor * in; [..] float32, contiguous, may be the same memory.
void scale(Stream& stream, TensorView<const float> in, float factor, TensorView<float> out);

Cost sum_of_squares_cost(const Shape& in);
Cost scale_cost(const Shape& in);

}  // namespace ptyfuse::ops
