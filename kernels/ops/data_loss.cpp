#include "kernels/ops/data_loss.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/data_loss_cpu.h"
#include "kernels/ops/data_loss_cuda.h"
#include "kernels/ops/dispatch.h"

namespace ptyfuse::ops {
namespace {

void check(const char* operation, TensorView<const float> predicted, TensorView<const float> measured,
           TensorView<const float> mask, TensorView<float> grad_predicted) {
  require_rank(operation, "predicted", predicted, 3);
  require_contiguous(operation, "predicted", predicted);
  require_dense(operation, "measured", measured, predicted.shape());
  if (mask) require_dense(operation, "mask", mask, {predicted.extent(1), predicted.extent(2)});
  if (grad_predicted) require_dense(operation, "grad_predicted", grad_predicted, predicted.shape());
}

}  // namespace

double poisson_nll(Stream& stream, TensorView<const float> predicted, TensorView<const float> measured,
                   TensorView<const float> mask, double weight, TensorView<float> grad_predicted) {
  check("poisson_nll", predicted, measured, mask, grad_predicted);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::poisson_nll(stream.device(), predicted, measured, mask, weight, grad_predicted);
      PTYFUSE_ON_CUDA(cuda::poisson_nll(stream, predicted, measured, mask, weight, grad_predicted));
  }
  return 0;
}

double amplitude_mae(Stream& stream, TensorView<const float> predicted, TensorView<const float> measured,
                     TensorView<const float> mask, double weight, TensorView<float> grad_predicted) {
  check("amplitude_mae", predicted, measured, mask, grad_predicted);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::amplitude_mae(stream.device(), predicted, measured, mask, weight, grad_predicted);
      PTYFUSE_ON_CUDA(cuda::amplitude_mae(stream, predicted, measured, mask, weight, grad_predicted));
  }
  return 0;
}

Cost poisson_nll_cost(const Shape& predicted) {
  const auto n = static_cast<double>(predicted.elements());
  return {.flop = 26 * n, .bytes = 12 * n};
}
Cost amplitude_mae_cost(const Shape& predicted) {
  const auto n = static_cast<double>(predicted.elements());
  return {.flop = 6 * n, .bytes = 12 * n};
}

}  // namespace ptyfuse::ops
