#pragma once
#include "kernels/ops/absolute_error.h"

namespace ptyfuse::ops::cuda {

/// As ops::absolute_error; arguments have been checked.
void absolute_error(Stream& stream, TensorView<const float> value, TensorView<const float> target,
                    TensorView<float> grad_value, DeviceSum& mean);

}  // namespace ptyfuse::ops::cuda
