#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// T_t, content moves by +t: out[n,y,x] = sum over the four corners of (y - t[n,0], x - t[n,1]) of their bilinear
/// weight times in[n]; corners outside contribute 0, weights are not renormalised. in, out [n,H,W] complex64,
/// contiguous, not overlapping; shift_px [n,2] float32 [y,x]. Linear. Error(shape): shapes differ; Error(numeric), on
/// the CPU: a shift that is not finite. n = 0 is legal. Source: Hoidn et al. 2023, eq. 1.
void translate(Stream& stream, TensorView<const complex64> in, TensorView<const float> shift_px,
               TensorView<complex64> out);

/// The exact transpose, in gather form: bitwise repeatable.
void translate_adjoint(Stream& stream, TensorView<const complex64> grad_out, TensorView<const float> shift_px,
                       TensorView<complex64> grad_in);

Cost translate_cost(const Shape& in);

}  // namespace ptyfuse::ops
