#pragma once
#include "kernels/ops/max_pool2.h"

namespace ptyfuse::ops::cpu {

void max_pool2(const Device& device, TensorView<const float> in, TensorView<float> out);
void max_pool2_backward(const Device& device, TensorView<const float> in, TensorView<const float> out,
                        TensorView<const float> grad_out, TensorView<float> grad_in);

}  // namespace ptyfuse::ops::cpu
