#pragma once
#include "kernels/device/buffer.h"

namespace ptyfuse::ops {

/// A step's loss, in the device's memory: first + second_weight * second.
struct LossTerms {
  TensorView<const double> first;   ///< [1]
  TensorView<const double> second;  ///< [1], or empty: none
  double second_weight = 0;
};

/// Whether a training step counts, judged in the device's memory so that the host need not wait: verdict [3] double
/// becomes {loss, norm, going} where norm = sqrt(squares) is the gradient's. going stays 1 while both are finite, and 0
/// once it is 0, so that the steps behind a bad one change nothing either; the caller sets it at the start.
/// squares [1] as sum_of_squares leaves it. Error(shape): another shape.
void judge_step(Stream& stream, const LossTerms& loss, TensorView<const double> squares, TensorView<double> verdict);

}  // namespace ptyfuse::ops
