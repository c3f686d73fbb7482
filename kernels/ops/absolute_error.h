#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"
#include "kernels/ops/device_sum.h"

namespace ptyfuse::ops {

/// Mean absolute error: mean over all elements of |value - target|, accumulated in double; a host result. grad_value
/// (may be empty) is overwritten with sign(value - target) / count, 0 where they are equal. [..] float32, contiguous.
/// No element gives 0. Bitwise repeatable for equal threads(). Error(shape): shapes differ. Source: section 5 of the
/// method (supervised baseline).
double absolute_error(Stream& stream, TensorView<const float> value, TensorView<const float> target,
                      TensorView<float> grad_value);
/// The same without a wait.
void absolute_error(Stream& stream, TensorView<const float> value, TensorView<const float> target,
                    TensorView<float> grad_value, DeviceSum& mean);

Cost absolute_error_cost(const Shape& value);

}  // namespace ptyfuse::ops
