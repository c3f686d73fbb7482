#pragma once
#include "kernels/ops/total_variation.h"

namespace ptyfuse::ops::cuda {

/// Arguments are checked.
void total_variation(Stream& stream, TensorView<const complex64> fields, double weight,
                     TensorView<complex64> grad_fields, DeviceSum& sum);

}  // namespace ptyfuse::ops::cuda
