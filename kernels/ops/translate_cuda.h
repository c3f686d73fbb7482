#pragma once
#include "kernels/ops/translate.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked but for shifts that are not finite: their images hold values of no use.
void translate(Stream& stream, TensorView<const complex64> in, TensorView<const float> shift_px, bool adjoint,
               TensorView<complex64> out);

}  // namespace ptyfuse::ops::cuda
