#pragma once
#include "kernels/ops/normalise.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked.
void sum_of_squares(Stream& stream, TensorView<const float> in, DeviceSum& sum);
void scale(Stream& stream, TensorView<const float> in, float factor, TensorView<float> out);

}  // namespace ptyfuse::ops::cuda
