#pragma once
#include "kernels/ops/complex_patch.h"

namespace ptyfuse::ops::cuda {

/// As ops::complex_patch and its backward; arguments have been checked.
void complex_patch(Stream& stream, TensorView<const float> amplitude, TensorView<const float> phase,
                   TensorView<complex64> out);
void complex_patch_backward(Stream& stream, TensorView<const float> amplitude, TensorView<const float> phase,
                            TensorView<const complex64> grad_out, TensorView<float> grad_amplitude,
                            TensorView<float> grad_phase);

}  // namespace ptyfuse::ops::cuda
