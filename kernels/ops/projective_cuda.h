#pragma once
#include "kernels/ops/projective.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked but for entries that are not finite: their images hold values of no use.
void projective(Stream& stream, TensorView<const complex64> in, TensorView<const double> homography,
                TensorView<complex64> out);
void projective_adjoint(Stream& stream, TensorView<const complex64> grad_out, TensorView<const double> homography,
                        TensorView<complex64> grad_in);

}  // namespace ptyfuse::ops::cuda
