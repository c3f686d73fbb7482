#include "kernels/ops/rpie_positions.h"

#include "kernels/ops/dispatch.h"
#include "kernels/ops/rpie_checks.h"
#include "kernels/ops/rpie_positions_cpu.h"
#include "kernels/ops/rpie_positions_cuda.h"

namespace ptyfuse::ops {

void position_steps(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                    TensorView<const complex64> probes, TensorView<const complex64> differences,
                    PositionGradient gradient, TensorView<double> steps) {
  constexpr auto name = "position_steps";
  check_stack(name, "differences", differences, 4);
  check_object(name, object);
  check_batch(name, batch, differences.extent(0));
  check_probes(name, probes, differences.shape());
  require_dense(name, "steps", steps, {differences.extent(0), 2});
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::position_steps(stream.device(), object, batch, probes, differences, gradient, steps);
      PTYFUSE_ON_CUDA(cuda::position_steps(stream, object, batch, probes, differences, gradient, steps));
  }
}

}  // namespace ptyfuse::ops
