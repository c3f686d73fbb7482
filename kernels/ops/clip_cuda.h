#pragma once
#include "kernels/ops/clip.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked.
void clip_by_value(Stream& stream, float limit, TensorView<float> gradient);
/// gradient *= limit / norm where norm = sqrt(*squares) > limit; limit = factor, or
/// factor * max(sqrt(*weight_squares), least_weight_norm) where there are weights. Pointers of the device.
void limit_norm(Stream& stream, double factor, const double* weight_squares, const double* squares,
                TensorView<float> gradient);

}  // namespace ptyfuse::ops::cuda
