#include "kernels/ops/illuminate.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/illuminate_cpu.h"
#include "kernels/ops/illuminate_cuda.h"

namespace ptyfuse::ops {
namespace {

void check(const char* operation, TensorView<const complex64> patches, TensorView<const complex64> probe,
           TensorView<const complex64> exit_waves) {
  require_rank(operation, "patches", patches, 3);
  require_contiguous(operation, "patches", patches);
  require_rank(operation, "probe", probe, 3);
  if (probe.extent(0) < 1) throw_shape_error(operation, "the probe has no mode");
  require_dense(operation, "probe", probe, {probe.extent(0), patches.extent(1), patches.extent(2)});
  require_dense(operation, "exit_waves", exit_waves,
                {patches.extent(0), probe.extent(0), patches.extent(1), patches.extent(2)});
}

}  // namespace

void illuminate(Stream& stream, TensorView<const complex64> patches, TensorView<const complex64> probe,
                TensorView<complex64> exit_waves) {
  check("illuminate", patches, probe, exit_waves);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::illuminate(stream.device(), patches, probe, exit_waves);
      PTYFUSE_ON_CUDA(cuda::illuminate(stream, patches, probe, exit_waves));
  }
}

void illuminate_adjoint(Stream& stream, TensorView<const complex64> grad_exit_waves, TensorView<const complex64> probe,
                        TensorView<complex64> grad_patches) {
  check("illuminate_adjoint", grad_patches, probe, grad_exit_waves);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::illuminate_adjoint(stream.device(), grad_exit_waves, probe, grad_patches);
      PTYFUSE_ON_CUDA(cuda::illuminate_adjoint(stream, grad_exit_waves, probe, grad_patches));
  }
}

Cost illuminate_cost(const Shape& exit_waves) {
  const auto n = static_cast<double>(exit_waves.elements());
  const auto modes = static_cast<double>(exit_waves[1]), pixels = static_cast<double>(exit_waves[2] * exit_waves[3]);
  return {.flop = 6 * n, .bytes = 8 * (n + n / modes + modes * pixels)};
}

}  // namespace ptyfuse::ops
