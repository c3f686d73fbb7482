#pragma once
#include "kernels/ops/max_pool2.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked.
void max_pool2(Stream& stream, TensorView<const float> in, TensorView<float> out);
void max_pool2_backward(Stream& stream, TensorView<const float> in, TensorView<const float> out,
                        TensorView<const float> grad_out, TensorView<float> grad_in);

}  // namespace ptyfuse::ops::cuda
