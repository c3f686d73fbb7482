#pragma once
#include "kernels/ops/data_loss.h"

namespace ptyfuse::ops::cpu {

double poisson_nll(const Device& device, TensorView<const float> predicted, TensorView<const float> measured,
                   TensorView<const float> mask, double weight, TensorView<float> grad_predicted);
double amplitude_mae(const Device& device, TensorView<const float> predicted, TensorView<const float> measured,
                     TensorView<const float> mask, double weight, TensorView<float> grad_predicted);

}  // namespace ptyfuse::ops::cpu
