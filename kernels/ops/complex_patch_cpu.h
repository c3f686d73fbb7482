#pragma once
#include "kernels/device/buffer.h"

namespace ptyfuse::ops::cpu {

/// sine[i], cosine[i] of phase_rad[i], for any finite phase; not a number where it is not finite.
void sine_cosine_row(const float* phase_rad, float* sine, float* cosine, int64_t n);

void complex_patch(const Device& device, TensorView<const float> amplitude, TensorView<const float> phase,
                   TensorView<complex64> out);
void complex_patch_backward(const Device& device, TensorView<const float> amplitude, TensorView<const float> phase,
                            TensorView<const complex64> grad_out, TensorView<float> grad_amplitude,
                            TensorView<float> grad_phase);

}  // namespace ptyfuse::ops::cpu
