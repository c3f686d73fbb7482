#pragma once
#include "kernels/ops/extract.h"

namespace ptyfuse::ops::cuda {

/// As ops::extract and its adjoint; arguments have been checked.
void extract(Stream& stream, TensorView<const complex64> region, TensorView<const float> offsets_px,
             TensorView<complex64> patches);
void extract_adjoint(Stream& stream, TensorView<const complex64> grad_patches, TensorView<const float> offsets_px,
                     TensorView<complex64> grad_region);

}  // namespace ptyfuse::ops::cuda
