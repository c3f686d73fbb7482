#pragma once
#include "kernels/ops/adam.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked; rate is the learning rate with both bias corrections.
void adam(Stream& stream, const AdamSettings& settings, double rate, TensorView<const float> gradient,
          TensorView<float> weights, TensorView<float> m, TensorView<float> v);

}  // namespace ptyfuse::ops::cuda
