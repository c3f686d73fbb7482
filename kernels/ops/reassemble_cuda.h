#pragma once
#include "kernels/ops/reassemble.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked.
void reassemble(Stream& stream, TensorView<const complex64> patches, std::span<const double> corner_px,
                TensorView<const float> weight, const StitchSums& sums);
void reassemble_finish(Stream& stream, const StitchSums& sums, TensorView<complex64> object);

}  // namespace ptyfuse::ops::cuda
