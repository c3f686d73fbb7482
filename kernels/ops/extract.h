#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// Patches cut from a region: patches[b,c] = central N x N of T_{+o[b,c]} region[b]. region [B,Q,Q], patches [B,C,N,N]
/// complex64, offsets_px [B,C,2] float32 [y,x]; Q-N even, >= 0. Contiguous. Linear.
/// Error(shape): shapes differ; Error(numeric), on the CPU: an offset that is not finite. Source: section 4.
void extract(Stream& stream, TensorView<const complex64> region, TensorView<const float> offsets_px,
             TensorView<complex64> patches);

/// The exact transpose, gather form; grad_region is overwritten.
void extract_adjoint(Stream& stream, TensorView<const complex64> grad_patches, TensorView<const float> offsets_px,
                     TensorView<complex64> grad_region);

Cost extract_cost(const Shape& patches, int64_t canvas);

}  // namespace ptyfuse::ops
