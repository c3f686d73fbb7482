#include "kernels/ops/translate.h"

#include <cmath>
#include <string>

#include "kernels/ops/dispatch.h"
#include "kernels/ops/translate_cpu.h"
#include "kernels/ops/translate_cuda.h"

namespace ptyfuse::ops {
namespace {

void check(const char* operation, TensorView<const complex64> in, TensorView<const float> shift_px,
           TensorView<const complex64> out) {
  if (in.rank() != 3) throw_shape_error(operation, "images of shape " + in.shape().str() + ", expected [n,H,W]");
  if (!(out.shape() == in.shape()))
    throw_shape_error(operation, "output of shape " + out.shape().str() + ", expected " + in.shape().str());
  if (!(shift_px.shape() == Shape{in.extent(0), 2}))
    throw_shape_error(operation, "shifts of shape " + shift_px.shape().str() + ", expected " +
                                     Shape{in.extent(0), 2}.str() + ", [y,x] of each image");
  if (!in.contiguous() || !out.contiguous() || !shift_px.contiguous())
    throw_shape_error(operation, "a view is not contiguous");
  if (!in.empty() && in.data() < out.data() + out.elements() && out.data() < in.data() + in.elements())
    throw_shape_error(operation, "input and output overlap");
}

void check_finite(const char* operation, TensorView<const float> shift_px) {
  for (int64_t n = 0; n < shift_px.extent(0); ++n)
    if (!std::isfinite(shift_px(n, 0)) || !std::isfinite(shift_px(n, 1)))
      throw Error(ErrorKind::numeric, std::string(operation) + ": the shift of image " + std::to_string(n) +
                                          " is not finite: [" + std::to_string(shift_px(n, 0)) + ", " +
                                          std::to_string(shift_px(n, 1)) + "]");
}

}  // namespace

void translate(Stream& stream, TensorView<const complex64> in, TensorView<const float> shift_px,
               TensorView<complex64> out) {
  check("translate", in, shift_px, out);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      check_finite("translate", shift_px);
      return cpu::translate(stream, in, shift_px, false, out);
      PTYFUSE_ON_CUDA(cuda::translate(stream, in, shift_px, false, out));
  }
}

void translate_adjoint(Stream& stream, TensorView<const complex64> grad_out, TensorView<const float> shift_px,
                       TensorView<complex64> grad_in) {
  check("translate_adjoint", grad_out, shift_px, grad_in);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      check_finite("translate_adjoint", shift_px);
      return cpu::translate(stream, grad_out, shift_px, true, grad_in);
      PTYFUSE_ON_CUDA(cuda::translate(stream, grad_out, shift_px, true, grad_in));
  }
}

Cost translate_cost(const Shape& in) {
  // Four weights, each multiplied and added to two parts of a pixel; read once, written once.
  const double pixels = static_cast<double>(in.elements());
  return {.flop = 14 * pixels, .bytes = 16 * pixels};
}

}  // namespace ptyfuse::ops
