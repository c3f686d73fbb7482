#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// Max-pool, 2x2 window, stride 2: in [B,H,W,C] float32 channel-last (H, W even), out [B,H/2,W/2,C]; contiguous.
/// NaN in a window gives NaN. Error(shape): shapes do not fit. B = 0 is legal. Source: section 3 of the method.
void max_pool2(Stream& stream, TensorView<const float> in, TensorView<float> out);

/// grad_in[.] = grad_out of its window if it is the window's first maximum in row-major order, else 0 (so
/// nothing where the maximum is NaN); overwritten.
void max_pool2_backward(Stream& stream, TensorView<const float> in, TensorView<const float> out,
                        TensorView<const float> grad_out, TensorView<float> grad_in);

Cost max_pool2_cost(const Shape& in);

}  // namespace ptyfuse::ops
