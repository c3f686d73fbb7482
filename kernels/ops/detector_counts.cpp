#include "kernels/ops/detector_counts.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/detector_counts_cpu.h"
#include "kernels/ops/detector_counts_cuda.h"
#include "kernels/ops/dispatch.h"

namespace ptyfuse::ops {
namespace {

void check(const char* operation, TensorView<const complex64> far_field, TensorView<const float> counts) {
  require_rank(operation, "far_field", far_field, 4);
  require_contiguous(operation, "far_field", far_field);
  require_dense(operation, "counts", counts, {far_field.extent(0), far_field.extent(2), far_field.extent(3)});
}

}  // namespace

void detector_counts(Stream& stream, TensorView<const complex64> far_field, float log_scale, TensorView<float> counts) {
  check("detector_counts", far_field, counts);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::detector_counts(stream.device(), far_field, log_scale, counts);
      PTYFUSE_ON_CUDA(cuda::detector_counts(stream, far_field, log_scale, counts));
  }
}

void detector_counts_backward(Stream& stream, TensorView<const complex64> far_field, float log_scale,
                              TensorView<const float> grad_counts, TensorView<complex64> grad_far_field) {
  check("detector_counts_backward", far_field, grad_counts);
  require_dense("detector_counts_backward", "grad_far_field", grad_far_field, far_field.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::detector_counts_backward(stream.device(), far_field, log_scale, grad_counts, grad_far_field);
      PTYFUSE_ON_CUDA(cuda::detector_counts_backward(stream, far_field, log_scale, grad_counts, grad_far_field));
  }
}

Cost detector_counts_cost(const Shape& far_field) {
  const auto n = static_cast<double>(far_field.elements());
  return {.flop = 4 * n, .bytes = 8 * n + 4 * n / static_cast<double>(far_field[1])};
}

}  // namespace ptyfuse::ops
