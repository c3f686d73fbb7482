#include "kernels/ops/total_variation.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/total_variation_cpu.h"
#include "kernels/ops/total_variation_cuda.h"

namespace ptyfuse::ops {

double total_variation(Stream& stream, TensorView<const complex64> fields, double weight,
                       TensorView<complex64> grad_fields) {
  DeviceSum sum(stream.device(), "total variation");
  total_variation(stream, fields, weight, grad_fields, sum);
  return sum.read(stream);
}

void total_variation(Stream& stream, TensorView<const complex64> fields, double weight,
                     TensorView<complex64> grad_fields, DeviceSum& sum) {
  require_rank("total_variation", "fields", fields, 3);
  require_contiguous("total_variation", "fields", fields);
  if (grad_fields) require_dense("total_variation", "grad_fields", grad_fields, fields.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      *sum.value().data() = cpu::total_variation(stream.device(), fields, weight, grad_fields);
      return;
      PTYFUSE_ON_CUDA(cuda::total_variation(stream, fields, weight, grad_fields, sum));
  }
}

Cost total_variation_cost(const Shape& fields) {
  const auto n = static_cast<double>(fields.elements());
  return {.flop = 20 * n, .bytes = 16 * n};
}

}  // namespace ptyfuse::ops
