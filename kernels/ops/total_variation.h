#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"
#include "kernels/ops/device_sum.h"

namespace ptyfuse::ops {

/// Sum (not mean) over images of squared forward differences along y and x of real and imaginary part, inside the
/// image: fields [n,H,W] complex64 contiguous; result in double on the host. grad_fields (may be empty) is overwritten
/// with weight * gradient. Source: section 5 (L_rs).
double total_variation(Stream& stream, TensorView<const complex64> fields, double weight,
                       TensorView<complex64> grad_fields);
/// The same without a wait.
void total_variation(Stream& stream, TensorView<const complex64> fields, double weight,
                     TensorView<complex64> grad_fields, DeviceSum& sum);

Cost total_variation_cost(const Shape& fields);

}  // namespace ptyfuse::ops
