#include "kernels/ops/projective.h"

#include <cmath>
#include <string>

#include "kernels/ops/dispatch.h"
#include "kernels/ops/projective_cpu.h"
#include "kernels/ops/projective_cuda.h"

namespace ptyfuse::ops {
namespace {

void check(const char* operation, TensorView<const complex64> image, TensorView<const double> homography,
           TensorView<const complex64> warped) {
  if (image.rank() != 3 || warped.rank() != 3 || image.extent(0) != warped.extent(0))
    throw_shape_error(operation, "images of shape " + image.shape().str() + " and warped images of shape " +
                                     warped.shape().str() + ", expected [n,H,W] and [n,Ho,Wo]");
  if (!(homography.shape() == Shape{image.extent(0), 3, 3}))
    throw_shape_error(operation, "homographies of shape " + homography.shape().str() + ", expected " +
                                     Shape{image.extent(0), 3, 3}.str());
  if (!image.contiguous() || !warped.contiguous() || !homography.contiguous())
    throw_shape_error(operation, "a view is not contiguous");
  if (!image.empty() && !warped.empty() && image.data() < warped.data() + warped.elements() &&
      warped.data() < image.data() + image.elements())
    throw_shape_error(operation, "input and output overlap");
}

void check_finite(const char* operation, TensorView<const double> homography) {
  for (int64_t i = 0; i < homography.elements(); ++i)
    if (!std::isfinite(homography.data()[i]))
      throw Error(ErrorKind::numeric, std::string(operation) + ": entry [" + std::to_string(i / 3 % 3) + "," +
                                          std::to_string(i % 3) + "] of homography " + std::to_string(i / 9) +
                                          " is not finite");
}

}  // namespace

void projective(Stream& stream, TensorView<const complex64> in, TensorView<const double> homography,
                TensorView<complex64> out) {
  check("projective", in, homography, out);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      check_finite("projective", homography);
      return cpu::projective(stream, in, homography, out);
      PTYFUSE_ON_CUDA(cuda::projective(stream, in, homography, out));
  }
}

void projective_adjoint(Stream& stream, TensorView<const complex64> grad_out, TensorView<const double> homography,
                        TensorView<complex64> grad_in) {
  check("projective_adjoint", grad_in, homography, grad_out);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      check_finite("projective_adjoint", homography);
      return cpu::projective_adjoint(stream, grad_out, homography, grad_in);
      PTYFUSE_ON_CUDA(cuda::projective_adjoint(stream, grad_out, homography, grad_in));
  }
}

Cost projective_cost(const Shape& out) {
  // Six multiply-adds and two divisions for the source point, ten for its weights, fourteen for the sample.
  const double pixels = static_cast<double>(out.elements());
  return {.flop = 38 * pixels, .bytes = 16 * pixels};
}

}  // namespace ptyfuse::ops
