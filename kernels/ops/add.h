#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// out += in, elementwise; [..] float32, contiguous. Error(shape): shapes differ.
void add(Stream& stream, TensorView<const float> in, TensorView<float> out);

Cost add_cost(const Shape& in);

}  // namespace ptyfuse::ops
