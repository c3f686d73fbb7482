#pragma once
#include "kernels/device/buffer.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked.
void clip_by_value(Stream& stream, float limit, TensorView<float> gradient);

}  // namespace ptyfuse::ops::cuda
