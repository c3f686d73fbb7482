#pragma once
#include "kernels/ops/rpie_positions.h"

namespace ptyfuse::ops::cpu {

void position_steps(const Device& device, TensorView<const complex64> object, const RpieBatch& batch,
                    TensorView<const complex64> probes, TensorView<const complex64> differences,
                    PositionGradient gradient, TensorView<double> steps);

}  // namespace ptyfuse::ops::cpu
