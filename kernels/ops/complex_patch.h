#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// Object patch O = A*exp(i*phi): amplitude, phase [B,C,N,N] float32 with any strides (a channel-last tensor comes as a
/// permuted view), out [B,C,N,N] complex64, contiguous. phase in radians. Error(shape): shapes differ.
void complex_patch(Stream& stream, TensorView<const float> amplitude, TensorView<const float> phase,
                   TensorView<complex64> out);

/// grad_out is dL/dRe + i*dL/dIm; gradients of amplitude and phase are overwritten, any strides.
void complex_patch_backward(Stream& stream, TensorView<const float> amplitude, TensorView<const float> phase,
                            TensorView<const complex64> grad_out, TensorView<float> grad_amplitude,
                            TensorView<float> grad_phase);

Cost complex_patch_cost(const Shape& out);

}  // namespace ptyfuse::ops
