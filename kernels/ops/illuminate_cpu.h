#pragma once
#include "kernels/ops/illuminate.h"

namespace ptyfuse::ops::cpu {

void illuminate(const Device& device, TensorView<const complex64> patches, TensorView<const complex64> probe,
                TensorView<complex64> exit_waves);
void illuminate_adjoint(const Device& device, TensorView<const complex64> grad_exit_waves,
                        TensorView<const complex64> probe, TensorView<complex64> grad_patches);

}  // namespace ptyfuse::ops::cpu
