#pragma once
#include "kernels/ops/extract.h"

namespace ptyfuse::ops::cpu {

void extract(const Device& device, TensorView<const complex64> region, TensorView<const float> offsets_px,
             TensorView<complex64> patches);
void extract_adjoint(const Device& device, TensorView<const complex64> grad_patches, TensorView<const float> offsets_px,
                     TensorView<complex64> grad_region);

}  // namespace ptyfuse::ops::cpu
