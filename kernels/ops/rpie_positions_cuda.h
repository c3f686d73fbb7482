#pragma once
#include "kernels/ops/rpie_positions.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked but for what lies in the device's memory: a frame whose window leaves the object, or whose
/// probe is not there, does not move.
void position_steps(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                    TensorView<const complex64> probes, TensorView<const complex64> differences,
                    PositionGradient gradient, TensorView<double> steps);

}  // namespace ptyfuse::ops::cuda
