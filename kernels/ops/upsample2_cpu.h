#pragma once
#include "kernels/ops/upsample2.h"

namespace ptyfuse::ops::cpu {

void upsample2(const Device& device, TensorView<const float> in, TensorView<float> out);
void upsample2_adjoint(const Device& device, TensorView<const float> grad_out, TensorView<float> grad_in);

}  // namespace ptyfuse::ops::cpu
