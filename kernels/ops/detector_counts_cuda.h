#pragma once
#include "kernels/ops/detector_counts.h"

namespace ptyfuse::ops::cuda {

/// As ops::detector_counts and its backward; arguments have been checked.
void detector_counts(Stream& stream, TensorView<const complex64> far_field, float log_scale, TensorView<float> counts);
void detector_counts_backward(Stream& stream, TensorView<const complex64> far_field, float log_scale,
                              TensorView<const float> grad_counts, TensorView<complex64> grad_far_field);

}  // namespace ptyfuse::ops::cuda
