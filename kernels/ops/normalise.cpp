#include "kernels/ops/normalise.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/normalise_cpu.h"
#include "kernels/ops/normalise_cuda.h"

namespace ptyfuse::ops {

double sum_of_squares(Stream& stream, TensorView<const float> in) {
  DeviceSum sum(stream.device(), "sum of squares");
  sum_of_squares(stream, in, sum);
  return sum.read(stream);
}

void sum_of_squares(Stream& stream, TensorView<const float> in, DeviceSum& sum) {
  require_contiguous("sum_of_squares", "in", in);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      *sum.value().data() = cpu::sum_of_squares(stream, in);
      return;
      PTYFUSE_ON_CUDA(cuda::sum_of_squares(stream, in, sum));
  }
}

void scale(Stream& stream, TensorView<const float> in, float factor, TensorView<float> out) {
  require_contiguous("scale", "in", in);
  require_dense("scale", "out", out, in.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::scale(stream, in, factor, out);
      PTYFUSE_ON_CUDA(cuda::scale(stream, in, factor, out));
  }
}

Cost sum_of_squares_cost(const Shape& in) {
  const double elements = static_cast<double>(in.elements());
  return {.flop = 2 * elements, .bytes = 4 * elements};
}

Cost scale_cost(const Shape& in) {
  const double elements = static_cast<double>(in.elements());
  return {.flop = elements, .bytes = 8 * elements};
}

}  // namespace ptyfuse::ops
