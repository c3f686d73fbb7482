#include "kernels/ops/add.h"

#include "kernels/ops/add_cuda.h"
#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"

namespace ptyfuse::ops {
namespace cpu {
void add(Stream& stream, TensorView<const float> in, TensorView<float> out);
}

void add(Stream& stream, TensorView<const float> in, TensorView<float> out) {
  require_contiguous("add", "in", in);
  require_dense("add", "out", out, in.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::add(stream, in, out);
      PTYFUSE_ON_CUDA(cuda::add(stream, in, out));
  }
}

Cost add_cost(const Shape& in) {
  const double n = static_cast<double>(in.elements());
  return {n, 12 * n};
}

}  // namespace ptyfuse::ops
