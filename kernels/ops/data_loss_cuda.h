#pragma once
#include "kernels/ops/data_loss.h"

namespace ptyfuse::ops::cuda {

/// As ops::poisson_nll and ops::amplitude_mae; arguments have been checked.
double poisson_nll(Stream& stream, TensorView<const float> predicted, TensorView<const float> measured,
                   TensorView<const float> mask, double weight, TensorView<float> grad_predicted);
double amplitude_mae(Stream& stream, TensorView<const float> predicted, TensorView<const float> measured,
                     TensorView<const float> mask, double weight, TensorView<float> grad_predicted);

}  // namespace ptyfuse::ops::cuda
