#pragma once
#include "kernels/ops/total_variation.h"

namespace ptyfuse::ops::cpu {

double total_variation(const Device& device, TensorView<const complex64> fields, double weight,
                       TensorView<complex64> grad_fields);

}  // namespace ptyfuse::ops::cpu
