#include "kernels/ops/physics.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/complex_patch.h"
#include "kernels/ops/data_loss.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/extract.h"
#include "kernels/ops/fft2.h"
#include "kernels/ops/merge.h"
#include "kernels/ops/physics_cpu.h"
#ifdef PTYFUSE_CUDA
#include "kernels/ops/physics_cuda.h"
#endif

namespace ptyfuse::ops {

struct Physics::Impl {
  Impl(const Device& d, const PhysicsSpec& s) : device(d), spec(s), result(d, {4}, "physics result") {
    switch (device.kind()) {
      case DeviceKind::cpu:
        cpu_body = std::make_unique<cpu::Physics>(device, spec);
        return;
#ifdef PTYFUSE_CUDA
      case DeviceKind::cuda:
        cuda_body = cuda::make_physics(device, spec);
        return;
#endif
    }
  }
  Device device;
  PhysicsSpec spec;
  Tensor<double> result;
  std::unique_ptr<cpu::Physics> cpu_body;
#ifdef PTYFUSE_CUDA
  std::unique_ptr<cuda::Physics> cuda_body;
#endif
};

Physics::Physics(const Device& device, const PhysicsSpec& spec) {
  if (spec.batch < 0 || spec.side < 1 || spec.members < 1 || spec.probe_modes < 1)
    throw_shape_error("physics", "batch " + std::to_string(spec.batch) + ", N " + std::to_string(spec.side) +
                                     ", members " + std::to_string(spec.members) + ", probe modes " +
                                     std::to_string(spec.probe_modes) + ": none may be less than 1 (batch: 0)");
  if (spec.heads != spec.members && spec.heads != 1)
    throw_shape_error("physics", std::to_string(spec.heads) + " heads for " + std::to_string(spec.members) +
                                     " members; expected one for each, or one for all");
  const int64_t margin = spec.canvas - spec.side;
  if (margin < 0 || margin % 2 != 0)
    throw_shape_error("physics", "canvas Q = " + std::to_string(spec.canvas) + " for N = " + std::to_string(spec.side) +
                                     ": Q - N must be even and not negative");
  impl_ = std::make_unique<Impl>(device, spec);
}
Physics::~Physics() = default;
Physics::Physics(Physics&&) noexcept = default;
Physics& Physics::operator=(Physics&&) noexcept = default;

const PhysicsSpec& Physics::spec() const {
  return impl_->spec;
}

TensorView<const double> Physics::result() const {
  return std::as_const(impl_->result).view();
}
PhysicsResult Physics::read(Stream& stream, TensorView<const double> result) {
  double r[4];
  copy_to_host(stream, r, result, 4);
  return {.loss = r[0], .nll = r[1], .mae = r[2], .grad_log_scale = r[3]};
}

PhysicsResult Physics::run(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                           TensorView<float> grad_phase) {
  enqueue(stream, inputs, grad_amplitude, grad_phase);
  return read(stream, result());
}

void Physics::enqueue(Stream& stream, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                      TensorView<float> grad_phase, TensorView<float> grad_log_scale) {
  const PhysicsSpec& spec = impl_->spec;
  const int64_t n = spec.side;
  require_rank("physics", "amplitude", inputs.amplitude, 4);
  const int64_t batch = inputs.amplitude.extent(0);
  if (batch > spec.batch)
    throw_shape_error("physics", std::to_string(batch) + " groups, made for " + std::to_string(spec.batch));
  const Shape patches{batch, spec.heads, n, n};
  require_shape("physics", "amplitude", inputs.amplitude, patches);
  require_shape("physics", "phase", inputs.phase, patches);
  require_dense("physics", "offsets_px", inputs.offsets_px, {batch, spec.members, 2});
  require_shape("physics", "measured", inputs.measured, {batch, spec.members, n, n});
  require_dense("physics", "probe", inputs.probe, {spec.probe_modes, n, n});
  if (inputs.weight || (spec.heads == spec.members && spec.members > 1))
    require_dense("physics", "weight", inputs.weight, {n, n});
  if (inputs.mask) require_dense("physics", "mask", inputs.mask, {n, n});
  if (static_cast<bool>(grad_amplitude) != static_cast<bool>(grad_phase))
    throw_shape_error("physics", "the gradients of amplitude and phase come together or not at all");
  if (grad_amplitude) {
    require_shape("physics", "grad_amplitude", grad_amplitude, patches);
    require_shape("physics", "grad_phase", grad_phase, patches);
  }
  if (inputs.log_scale_in_memory) require_dense("physics", "log_scale_in_memory", inputs.log_scale_in_memory, {1});
  if (grad_log_scale) require_dense("physics", "grad_log_scale", grad_log_scale, {1});
  if (!(stream.device() == impl_->device))
    throw Error(ErrorKind::device, "physics: the stream is of another device than the operation was made for");
  switch (impl_->device.kind()) {
    case DeviceKind::cpu: {
      require_finite("physics", "offsets_px", inputs.offsets_px);
      const PhysicsResult r = impl_->cpu_body->run(inputs, grad_amplitude, grad_phase);
      double* const out = impl_->result.data();
      out[0] = r.loss, out[1] = r.nll, out[2] = r.mae, out[3] = r.grad_log_scale;
      if (grad_log_scale) *grad_log_scale.data() = static_cast<float>(r.grad_log_scale);
      return;
    }
      PTYFUSE_ON_CUDA(impl_->cuda_body->enqueue(stream, inputs, grad_amplitude, grad_phase, impl_->result.data(),
                                                grad_log_scale.data()));
  }
}

Cost Physics::cost(const PhysicsSpec& spec) {
  const int64_t n = spec.side, patterns = spec.batch * spec.members, patches = spec.batch * spec.heads;
  const auto pixels = static_cast<double>(n * n);
  const double each_way =
      complex_patch_cost({patches, n, n}).flop +
      (spec.heads == spec.members ? merge_cost({spec.batch, spec.members, n, n}, spec.canvas).flop : 0) +
      extract_cost({spec.batch, spec.members, n, n}, spec.canvas).flop +
      static_cast<double>(spec.probe_modes) *
          (Fft2::cost({patterns, n, n}).flop + 10.0 * static_cast<double>(patterns) * pixels);
  const double losses = poisson_nll_cost({patterns, n, n}).flop + amplitude_mae_cost({patterns, n, n}).flop;
  return {.flop = 2 * each_way + losses,
          .bytes = 4 * pixels * static_cast<double>(4 * patches + patterns) +
                   8 * pixels * static_cast<double>(spec.probe_modes)};
}

}  // namespace ptyfuse::ops
