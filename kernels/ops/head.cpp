#include "kernels/ops/head.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/head_cpu.h"
#include "kernels/ops/head_cuda.h"

namespace ptyfuse::ops {
namespace {

void check(const char* operation, TensorView<const float> centre, TensorView<const float> border, const Shape& out) {
  if (out.rank() != 4 || out[1] != out[2])
    throw_shape_error(operation, "out is " + out.str() + ", expected [B, N, N, C]");
  if (centre.shape() == out) {
    if (border) throw_shape_error(operation, "a border head beside a centre of full size " + centre.shape().str());
    return;
  }
  if (out[1] % 4 != 0) throw_shape_error(operation, "N of " + out.str() + " is no multiple of 4: no central square");
  require_shape(operation, "centre", centre, {out[0], out[1] / 2, out[2] / 2, out[3]});
  if (border) require_shape(operation, "border", border, out);
}

}  // namespace

void head(Stream& stream, const HeadSpec& spec, TensorView<const float> centre, TensorView<const float> border,
          TensorView<float> out) {
  check("head", centre, border, out.shape());
  require_contiguous("head", "out", out);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::head(stream.device(), spec, centre, border, out);
      PTYFUSE_ON_CUDA(cuda::head(stream, spec, centre, border, out));
  }
}

void head_backward(Stream& stream, const HeadSpec& spec, TensorView<const float> centre, TensorView<const float> border,
                   TensorView<const float> grad_out, TensorView<float> grad_centre, TensorView<float> grad_border) {
  check("head_backward", centre, border, grad_out.shape());
  require_contiguous("head_backward", "grad_out", grad_out);
  require_shape("head_backward", "grad_centre", grad_centre, centre.shape());
  if (border) require_shape("head_backward", "grad_border", grad_border, border.shape());
  if (!border && grad_border) throw_shape_error("head_backward", "grad_border given without a border");
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::head_backward(stream.device(), spec, centre, border, grad_out, grad_centre, grad_border);
      PTYFUSE_ON_CUDA(cuda::head_backward(stream, spec, centre, border, grad_out, grad_centre, grad_border));
  }
}

Cost head_cost(const Shape& out) {
  const auto n = static_cast<double>(out.elements());
  return {.flop = 20 * n, .bytes = 8 * n};
}

}  // namespace ptyfuse::ops
