#pragma once
#include "kernels/device/buffer.h"

namespace ptyfuse::ops::cpu {

/// Arguments are checked.
double sum_of_squares(Stream& stream, TensorView<const float> in);
void scale(Stream& stream, TensorView<const float> in, float factor, TensorView<float> out);

}  // namespace ptyfuse::ops::cpu
