#include "kernels/ops/add.h"

namespace ptyfuse::ops {
namespace cpu {
void add(Stream& stream, TensorView<const float> in, TensorView<float> out);
}

void add(Stream& stream, TensorView<const float> in, TensorView<float> out) {
  if (!(in.shape() == out.shape()) || !in.contiguous() || !out.contiguous())
    throw_shape_error(
        "add", "in " + in.shape().str() + " and out " + out.shape().str() + "; expected equal shapes, both contiguous");
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::add(stream, in, out);
  }
}

Cost add_cost(const Shape& in) {
  const double n = static_cast<double>(in.elements());
  return {n, 12 * n};
}

}  // namespace ptyfuse::ops
