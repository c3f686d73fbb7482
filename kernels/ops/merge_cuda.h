#pragma once
#include "kernels/ops/merge.h"

namespace ptyfuse::ops::cuda {

/// As ops::merge and its adjoint; arguments have been checked.
void merge(Stream& stream, const MergeArgs& args, TensorView<const complex64> patches, TensorView<complex64> region);
void merge_adjoint(Stream& stream, const MergeArgs& args, TensorView<const complex64> grad_region,
                   TensorView<complex64> grad_patches);

}  // namespace ptyfuse::ops::cuda
