#pragma once
#include "kernels/device/buffer.h"

namespace ptyfuse::ops::cpu {

/// T_t, or its transpose; arguments are checked.
void translate(Stream& stream, TensorView<const complex64> in, TensorView<const float> shift_px, bool adjoint,
               TensorView<complex64> out);

}  // namespace ptyfuse::ops::cpu
