#include "kernels/ops/max_pool2.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/max_pool2_cpu.h"
#include "kernels/ops/max_pool2_cuda.h"

namespace ptyfuse::ops {
namespace {

Shape pooled(const char* operation, const TensorView<const float>& in) {
  const Shape& s = in.shape();
  if (in.rank() != 4 || s[1] % 2 != 0 || s[2] % 2 != 0)
    throw_shape_error(operation, "in is " + s.str() + ", expected [B,H,W,C] with H and W even");
  require_contiguous(operation, "in", in);
  return {s[0], s[1] / 2, s[2] / 2, s[3]};
}

}  // namespace

void max_pool2(Stream& stream, TensorView<const float> in, TensorView<float> out) {
  require_dense("max_pool2", "out", out, pooled("max_pool2", in));
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::max_pool2(stream.device(), in, out);
      PTYFUSE_ON_CUDA(cuda::max_pool2(stream, in, out));
  }
}

void max_pool2_backward(Stream& stream, TensorView<const float> in, TensorView<const float> out,
                        TensorView<const float> grad_out, TensorView<float> grad_in) {
  const Shape small = pooled("max_pool2_backward", in);
  require_dense("max_pool2_backward", "out", out, small);
  require_dense("max_pool2_backward", "grad_out", grad_out, small);
  require_dense("max_pool2_backward", "grad_in", grad_in, in.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::max_pool2_backward(stream.device(), in, out, grad_out, grad_in);
      PTYFUSE_ON_CUDA(cuda::max_pool2_backward(stream, in, out, grad_out, grad_in));
  }
}

Cost max_pool2_cost(const Shape& in) {
  const double n = static_cast<double>(in.elements());
  return {0.75 * n, 5 * n};
}

}  // namespace ptyfuse::ops
