#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// Running sums of a stitching on a canvas of H x W pixels.
struct StitchSums {
  TensorView<complex64> weighted;  ///< [H,W] sum of T(weight * patch)
  TensorView<float> weight;        ///< [H,W] sum of T(weight)
};

/// Batched segment-sum reassembly: adds patches to the sums,
///   weighted += T(weight * patch[s]),  sums.weight += T(weight),
/// where element [0,0] of patch s lies at canvas pixel corner_px[s] = [y,x] (float64, fractions by bilinear
/// interpolation; what falls outside the canvas is dropped). patches [S,M,M] complex64 (rows may be strided: a central
/// crop is a slice), weight [M,M] float32, contiguous. Cost proportional to covered pixels; each canvas pixel is summed
/// in the order of s, so that the result does not depend on threads() or on how patches are batched. S = 0 is legal. On
/// a GPU the lists of work are made by the host and go there in one copy, which waits for the stream's earlier work.
/// Error(shape): shapes differ; Error(numeric): a corner that is not finite. Source: sections 0.11 and 6.
void reassemble(Stream& stream, TensorView<const complex64> patches, std::span<const double> corner_px,
                TensorView<const float> weight, const StitchSums& sums);

/// object = weighted / (weight + 1e-9), elementwise, [H,W]; may be the memory of `weighted`.
void reassemble_finish(Stream& stream, const StitchSums& sums, TensorView<complex64> object);

Cost reassemble_cost(const Shape& patches);

}  // namespace ptyfuse::ops
