#include "kernels/ops/absolute_error.h"

namespace ptyfuse::ops {
namespace cpu {
double absolute_error(Stream& stream, TensorView<const float> value, TensorView<const float> target,
                      TensorView<float> grad_value);
}

double absolute_error(Stream& stream, TensorView<const float> value, TensorView<const float> target,
                      TensorView<float> grad_value) {
  const bool gradient = grad_value.data() != nullptr;
  if (!(value.shape() == target.shape()) || (gradient && !(grad_value.shape() == value.shape())))
    throw_shape_error("absolute_error", "value " + value.shape().str() + ", target " + target.shape().str() +
                                            ", gradient " + grad_value.shape().str() + "; expected equal shapes");
  if (!value.contiguous() || !target.contiguous() || (gradient && !grad_value.contiguous()))
    throw_shape_error("absolute_error", "value, target and gradient must be contiguous");
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::absolute_error(stream, value, target, grad_value);
  }
  return 0;
}

Cost absolute_error_cost(const Shape& value) {
  const double n = static_cast<double>(value.elements());
  return {3 * n, 12 * n};
}

}  // namespace ptyfuse::ops
