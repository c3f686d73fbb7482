#pragma once
#include "kernels/ops/head.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked.
void head(Stream& stream, const HeadSpec& spec, TensorView<const float> centre, TensorView<const float> border,
          TensorView<float> out);
void head_backward(Stream& stream, const HeadSpec& spec, TensorView<const float> centre, TensorView<const float> border,
                   TensorView<const float> grad_out, TensorView<float> grad_centre, TensorView<float> grad_border);

}  // namespace ptyfuse::ops::cuda
