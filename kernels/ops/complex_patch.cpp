#include "kernels/ops/complex_patch.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/complex_patch_cpu.h"
#include "kernels/ops/complex_patch_cuda.h"
#include "kernels/ops/dispatch.h"

namespace ptyfuse::ops {

void complex_patch(Stream& stream, TensorView<const float> amplitude, TensorView<const float> phase,
                   TensorView<complex64> out) {
  require_rank("complex_patch", "amplitude", amplitude, 4);
  require_shape("complex_patch", "phase", phase, amplitude.shape());
  require_dense("complex_patch", "out", out, amplitude.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::complex_patch(stream.device(), amplitude, phase, out);
      PTYFUSE_ON_CUDA(cuda::complex_patch(stream, amplitude, phase, out));
  }
}

void complex_patch_backward(Stream& stream, TensorView<const float> amplitude, TensorView<const float> phase,
                            TensorView<const complex64> grad_out, TensorView<float> grad_amplitude,
                            TensorView<float> grad_phase) {
  require_rank("complex_patch_backward", "amplitude", amplitude, 4);
  require_shape("complex_patch_backward", "phase", phase, amplitude.shape());
  require_dense("complex_patch_backward", "grad_out", grad_out, amplitude.shape());
  require_shape("complex_patch_backward", "grad_amplitude", grad_amplitude, amplitude.shape());
  require_shape("complex_patch_backward", "grad_phase", grad_phase, amplitude.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::complex_patch_backward(stream.device(), amplitude, phase, grad_out, grad_amplitude, grad_phase);
      PTYFUSE_ON_CUDA(cuda::complex_patch_backward(stream, amplitude, phase, grad_out, grad_amplitude, grad_phase));
  }
}

Cost complex_patch_cost(const Shape& out) {
  const auto n = static_cast<double>(out.elements());
  return {.flop = 32 * n, .bytes = 16 * n};
}

}  // namespace ptyfuse::ops
