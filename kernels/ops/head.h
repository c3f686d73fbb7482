#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// Pointwise functions of the generator's heads; pi_tanh is pi*tanh(x), swish x*sigmoid(x).
enum class HeadActivation { sigmoid, pi_tanh, swish, softplus, relu };

struct HeadSpec {
  HeadActivation centre = HeadActivation::sigmoid;  ///< of the central head
  HeadActivation border = HeadActivation::sigmoid;  ///< of the border head, where there is one
};

/// A decoder's last step, from the heads' convolution sums to an amplitude or a phase patch.
///   centre [B,N,N,C] and no border: out = f_centre(centre)
///   centre [B,N/2,N/2,C]: out = f_centre(centre) on the central N/2 square (rows and columns N/4 .. 3N/4-1), and
///   outside it f_border(border) of border [B,N,N,C], or 0 where border is empty (data() == nullptr).
/// out [B,N,N,C] float32, contiguous, channel-last. Error(shape): shapes do not fit. Source: section 3 of the method.
void head(Stream& stream, const HeadSpec& spec, TensorView<const float> centre, TensorView<const float> border,
          TensorView<float> out);

/// Gradients of both inputs (border's empty where there is none); overwritten. grad_border is 0 on the central square.
void head_backward(Stream& stream, const HeadSpec& spec, TensorView<const float> centre, TensorView<const float> border,
                   TensorView<const float> grad_out, TensorView<float> grad_centre, TensorView<float> grad_border);

Cost head_cost(const Shape& out);

}  // namespace ptyfuse::ops
