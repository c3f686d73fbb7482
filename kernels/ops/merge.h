#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// The constant in the merge's denominator.
inline constexpr float merge_epsilon = 1e-3F;

/// The region seen by a group, each sample on a canvas of its own:
///   region[b] = sum_c T_{-o[b,c]} Pad(numerator_weight * patches[b,c]) / (sum_c T_{-o[b,c]} Pad(weight) +
///   merge_epsilon)
/// patches [B,C,N,N] complex64, offsets_px [B,C,2] float32 [y,x], weight [N,N] float32 >= 0, region [B,Q,Q] complex64;
/// Q-N even and >= 0, Pad puts (Q-N)/2 zeros on each side. numerator_weight is `weight`, or 1 where unmasked_numerator
/// (the reference's rule, kept for comparison with it). Contiguous. Linear in patches. Error(shape): shapes differ, Q-N
/// odd or negative; Error(numeric), on the CPU: an offset that is not finite. Source: section 0.6, 4.
struct MergeArgs {
  TensorView<const float> offsets_px;
  TensorView<const float> weight;
  bool unmasked_numerator = false;
};
void merge(Stream& stream, const MergeArgs& args, TensorView<const complex64> patches, TensorView<complex64> region);

/// The exact transpose with respect to patches, gather form.
void merge_adjoint(Stream& stream, const MergeArgs& args, TensorView<const complex64> grad_region,
                   TensorView<complex64> grad_patches);

Cost merge_cost(const Shape& patches, int64_t canvas);

}  // namespace ptyfuse::ops
