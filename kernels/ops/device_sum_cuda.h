#pragma once
#include "kernels/ops/device_sum.h"

namespace ptyfuse::ops::cuda {

/// value = factor * (the sum of the first `count` parts, 0 to DeviceSum::most_parts), in an order that depends on their
/// number alone.
void add_parts(Stream& stream, int64_t count, double factor, DeviceSum& sum);

}  // namespace ptyfuse::ops::cuda
