#pragma once
#include "kernels/device/buffer.h"

namespace ptyfuse::ops::cpu {

/// Arguments are checked.
void projective(Stream& stream, TensorView<const complex64> in, TensorView<const double> homography,
                TensorView<complex64> out);
void projective_adjoint(Stream& stream, TensorView<const complex64> grad_out, TensorView<const double> homography,
                        TensorView<complex64> grad_in);

}  // namespace ptyfuse::ops::cpu
