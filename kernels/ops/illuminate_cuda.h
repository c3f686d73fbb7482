#pragma once
#include "kernels/ops/illuminate.h"

namespace ptyfuse::ops::cuda {

/// As ops::illuminate and its adjoint; arguments have been checked.
void illuminate(Stream& stream, TensorView<const complex64> patches, TensorView<const complex64> probe,
                TensorView<complex64> exit_waves);
void illuminate_adjoint(Stream& stream, TensorView<const complex64> grad_exit_waves, TensorView<const complex64> probe,
                        TensorView<complex64> grad_patches);

}  // namespace ptyfuse::ops::cuda
