#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// Exit waves psi[n,k] = probe[k] * patches[n]: patches [n,N,N], probe [K,N,N] (K probe modes), exit_waves [n,K,N,N]
/// complex64, contiguous. Error(shape): shapes differ, no mode.
void illuminate(Stream& stream, TensorView<const complex64> patches, TensorView<const complex64> probe,
                TensorView<complex64> exit_waves);

/// grad_patches[n] = sum_k conj(probe[k]) * grad_exit_waves[n,k]; overwritten.
void illuminate_adjoint(Stream& stream, TensorView<const complex64> grad_exit_waves, TensorView<const complex64> probe,
                        TensorView<complex64> grad_patches);

Cost illuminate_cost(const Shape& exit_waves);

}  // namespace ptyfuse::ops
