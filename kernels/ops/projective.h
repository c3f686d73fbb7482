#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// Warp by a homography per image: output pixel (x,y,1) maps through homography[n] (row-major 3x3, double) to a source
/// point (X/Z, Y/Z); out[n,y,x] = bilinear sample of in[n] there, corners outside contribute 0, weights are not
/// renormalised; a point with |Z| < 1e-12 gives 0. in [n,H,W], out [n,Ho,Wo] complex64, contiguous; homography [n,3,3]
/// float64. Linear in `in`. The translation by t is the matrix [1 0 -tx; 0 1 -ty; 0 0 1] and agrees with translate().
/// Error(shape): shapes differ; Error(numeric), on the CPU: an entry that is not finite.
void projective(Stream& stream, TensorView<const complex64> in, TensorView<const double> homography,
                TensorView<complex64> out);

/// The exact transpose; bitwise repeatable for equal threads().
void projective_adjoint(Stream& stream, TensorView<const complex64> grad_out, TensorView<const double> homography,
                        TensorView<complex64> grad_in);

Cost projective_cost(const Shape& out);

}  // namespace ptyfuse::ops
