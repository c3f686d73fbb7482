#pragma once
#include "kernels/ops/detector_counts.h"

namespace ptyfuse::ops::cpu {

void detector_counts(const Device& device, TensorView<const complex64> far_field, float log_scale,
                     TensorView<float> counts);
void detector_counts_backward(const Device& device, TensorView<const complex64> far_field, float log_scale,
                              TensorView<const float> grad_counts, TensorView<complex64> grad_far_field);

}  // namespace ptyfuse::ops::cpu
