#pragma once
#include "kernels/ops/adam.h"

namespace ptyfuse::ops::cuda {

/// The learning rate with both bias corrections, and whether the step counts.
struct AdamRate {
  float value = 0;
  const float* in_memory = nullptr;  ///< the rate in place of value
  const double* going = nullptr;     ///< where it is 0, nothing is touched
};

/// Arguments are checked.
void adam(Stream& stream, const AdamSettings& settings, const AdamRate& rate, TensorView<const float> gradient,
          TensorView<float> weights, TensorView<float> m, TensorView<float> v);

}  // namespace ptyfuse::ops::cuda
