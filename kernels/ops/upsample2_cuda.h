#pragma once
#include "kernels/ops/upsample2.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked.
void upsample2(Stream& stream, TensorView<const float> in, TensorView<float> out);
void upsample2_adjoint(Stream& stream, TensorView<const float> grad_out, TensorView<float> grad_in);

}  // namespace ptyfuse::ops::cuda
