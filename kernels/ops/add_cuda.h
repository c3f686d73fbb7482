#pragma once
#include "kernels/ops/add.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked.
void add(Stream& stream, TensorView<const float> in, TensorView<float> out);

}  // namespace ptyfuse::ops::cuda
