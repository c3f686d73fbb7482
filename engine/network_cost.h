#pragma once
#include <cstdint>

#include "engine/unet.h"
#include "kernels/ops/cost.h"

namespace ptyfuse {

/// The convolutions of a network, `images` at a time: what they do by the direct formula, and the bytes when each reads
/// its input and weights once and writes its output once. Bias, activation, pooling and upsampling belong to them; the
/// heads' pointwise functions, below a hundredth of the FLOP, are left out.
ops::Cost network_forward_cost(const UNet& network, int64_t images);

/// Of the way back: twice the forward FLOP, less the gradient of the network's own input, which nobody wants. Each
/// layer reads input, output (the activation's mask), its output's gradient and the weights, and writes the gradients
/// of input and weights.
ops::Cost network_backward_cost(const UNet& network, int64_t images);

}  // namespace ptyfuse
