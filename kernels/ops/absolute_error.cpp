#include "kernels/ops/absolute_error.h"

#include "kernels/ops/absolute_error_cuda.h"
#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"

namespace ptyfuse::ops {
namespace cpu {
double absolute_error(Stream& stream, TensorView<const float> value, TensorView<const float> target,
                      TensorView<float> grad_value);
}

double absolute_error(Stream& stream, TensorView<const float> value, TensorView<const float> target,
                      TensorView<float> grad_value) {
  DeviceSum mean(stream.device(), "absolute error");
  absolute_error(stream, value, target, grad_value, mean);
  return mean.read(stream);
}

void absolute_error(Stream& stream, TensorView<const float> value, TensorView<const float> target,
                    TensorView<float> grad_value, DeviceSum& mean) {
  require_contiguous("absolute_error", "value", value);
  require_dense("absolute_error", "target", target, value.shape());
  if (grad_value) require_dense("absolute_error", "grad_value", grad_value, value.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      *mean.value().data() = cpu::absolute_error(stream, value, target, grad_value);
      return;
      PTYFUSE_ON_CUDA(cuda::absolute_error(stream, value, target, grad_value, mean));
  }
}

Cost absolute_error_cost(const Shape& value) {
  const double n = static_cast<double>(value.elements());
  return {3 * n, 12 * n};
}

}  // namespace ptyfuse::ops
