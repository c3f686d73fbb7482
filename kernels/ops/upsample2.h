#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// Nearest upsampling by two: out[b,y,x,c] = in[b,y/2,x/2,c]; in [B,H,W,C], out [B,2H,2W,C] float32 channel-last,
/// contiguous. Error(shape): shapes do not fit. Linear.
void upsample2(Stream& stream, TensorView<const float> in, TensorView<float> out);

/// The transpose: grad_in = sum of the four grad_out; overwritten.
void upsample2_adjoint(Stream& stream, TensorView<const float> grad_out, TensorView<float> grad_in);

Cost upsample2_cost(const Shape& in);

}  // namespace ptyfuse::ops
