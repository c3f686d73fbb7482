#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// Expected counts lambda[n,y,x] = exp(2*log_scale) * sum_k |F[n,k,y,x]|^2 of orthonormal far fields F [n,K,N,N]
/// complex64; the intensities of the probe's modes add up. counts [n,N,N] float32. Contiguous. Error(shape): shapes
/// differ. Source: sections 0.3 and 5.
void detector_counts(Stream& stream, TensorView<const complex64> far_field, float log_scale, TensorView<float> counts);

/// grad_far_field = 2*exp(2*log_scale) * F * grad_counts; overwritten.
void detector_counts_backward(Stream& stream, TensorView<const complex64> far_field, float log_scale,
                              TensorView<const float> grad_counts, TensorView<complex64> grad_far_field);

Cost detector_counts_cost(const Shape& far_field);

}  // namespace ptyfuse::ops
