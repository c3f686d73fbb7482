#include "kernels/ops/upsample2.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/upsample2_cpu.h"
#include "kernels/ops/upsample2_cuda.h"

namespace ptyfuse::ops {
namespace {

void check(const char* operation, const char* small_name, const TensorView<const float>& small, const char* large_name,
           const TensorView<const float>& large) {
  require_rank(operation, small_name, small, 4);
  require_contiguous(operation, small_name, small);
  const Shape& s = small.shape();
  require_dense(operation, large_name, large, {s[0], 2 * s[1], 2 * s[2], s[3]});
}

}  // namespace

void upsample2(Stream& stream, TensorView<const float> in, TensorView<float> out) {
  check("upsample2", "in", in, "out", out);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::upsample2(stream.device(), in, out);
      PTYFUSE_ON_CUDA(cuda::upsample2(stream, in, out));
  }
}

void upsample2_adjoint(Stream& stream, TensorView<const float> grad_out, TensorView<float> grad_in) {
  check("upsample2_adjoint", "grad_in", grad_in, "grad_out", grad_out);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::upsample2_adjoint(stream.device(), grad_out, grad_in);
      PTYFUSE_ON_CUDA(cuda::upsample2_adjoint(stream, grad_out, grad_in));
  }
}

Cost upsample2_cost(const Shape& in) {
  return {0, 20 * static_cast<double>(in.elements())};
}

}  // namespace ptyfuse::ops
