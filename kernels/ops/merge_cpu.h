#pragma once
#include "kernels/ops/merge.h"

namespace ptyfuse::ops::cpu {

void merge(const Device& device, const MergeArgs& args, TensorView<const complex64> patches,
           TensorView<complex64> region);
void merge_adjoint(const Device& device, const MergeArgs& args, TensorView<const complex64> grad_region,
                   TensorView<complex64> grad_patches);

}  // namespace ptyfuse::ops::cpu
