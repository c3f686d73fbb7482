#pragma once
#include "kernels/ops/adam.h"

namespace ptyfuse::ops::cpu {

/// Arguments are checked; rate is the learning rate with both bias corrections.
void adam(Stream& stream, const AdamSettings& settings, float rate, TensorView<const float> gradient,
          TensorView<float> weights, TensorView<float> m, TensorView<float> v);

}  // namespace ptyfuse::ops::cpu
