#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

struct AdamSettings {
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7;
};

/// One step of Adam in Keras' form over flat buffers, step counted from 1:
///   m = beta1*m + (1-beta1)*g;  v = beta2*v + (1-beta2)*g^2
///   w -= learning_rate*sqrt(1-beta2^step)/(1-beta1^step) * m/(sqrt(v)+epsilon)
/// weights, m, v, gradient [P] float32, contiguous. Error(shape): sizes differ, step < 1. Source: Kingma and Ba 2015.
void adam(Stream& stream, const AdamSettings& settings, int64_t step, TensorView<const float> gradient,
          TensorView<float> weights, TensorView<float> m, TensorView<float> v);

/// learning_rate*sqrt(1-beta2^step)/(1-beta1^step), step counted from 1. Error(shape): step < 1.
double adam_rate(const AdamSettings& settings, int64_t step);

/// The same with what changes from step to step in the device's memory, read in stream order: rate [1] is adam_rate()
/// (settings.learning_rate is not looked at); where going [1] is 0, nothing is touched.
void adam(Stream& stream, const AdamSettings& settings, TensorView<const float> rate, TensorView<const double> going,
          TensorView<const float> gradient, TensorView<float> weights, TensorView<float> m, TensorView<float> v);

Cost adam_cost(int64_t parameters);

}  // namespace ptyfuse::ops
