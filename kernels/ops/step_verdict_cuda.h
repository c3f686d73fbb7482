#pragma once
#include "kernels/ops/step_verdict.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked.
void judge_step(Stream& stream, const LossTerms& loss, TensorView<const double> squares, TensorView<double> verdict);

}  // namespace ptyfuse::ops::cuda
