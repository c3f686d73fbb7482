#pragma once
#include "kernels/ops/head.h"

namespace ptyfuse::ops::cpu {

void head(const Device& device, const HeadSpec& spec, TensorView<const float> centre, TensorView<const float> border,
          TensorView<float> out);
void head_backward(const Device& device, const HeadSpec& spec, TensorView<const float> centre,
                   TensorView<const float> border, TensorView<const float> grad_out, TensorView<float> grad_centre,
                   TensorView<float> grad_border);

}  // namespace ptyfuse::ops::cpu
