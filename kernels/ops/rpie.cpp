#include "kernels/ops/rpie.h"

#include <cmath>

#include "kernels/ops/dispatch.h"
#include "kernels/ops/rpie_checks.h"
#include "kernels/ops/rpie_cpu.h"
#include "kernels/ops/rpie_cuda.h"

namespace ptyfuse::ops {
namespace {

void check_rule(const char* operation, const ObjectRule& rule) {
  const auto [beta, peak, length] = rule;
  if (!(peak > 0)) throw_shape_error(operation, "peak is " + std::to_string(peak) + ", expected a positive power");
  if (!(beta >= 0 && beta <= 1)) throw_shape_error(operation, "beta is " + std::to_string(beta) + ", expected 0 to 1");
  if (!std::isfinite(length))
    throw_shape_error(operation, "length is " + std::to_string(length) + ", expected a finite number");
}

void check_step(const char* operation, const ObjectStep& step) {
  require_rank(operation, "numerator", TensorView<const complex64>(step.numerator), 2);
  require_contiguous(operation, "numerator", TensorView<const complex64>(step.numerator));
  require_dense(operation, "power", step.power, step.numerator.shape());
}

}  // namespace

void shift_spectra(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                   TensorView<complex64> out) {
  constexpr auto name = "shift_spectra";
  check_stack(name, "spectra", spectra, 3);
  check_stack(name, "out", out, 4);
  require_dense(name, "out", out, {out.extent(0), spectra.extent(0), spectra.extent(1), spectra.extent(2)});
  require_dense(name, "shift_px", shift_px, {out.extent(0), 2});
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::shift_spectra(stream.device(), spectra, shift_px, out);
      PTYFUSE_ON_CUDA(cuda::shift_spectra(stream, spectra, shift_px, out));
  }
}

void sum_shifted_back(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                      TensorView<complex64> out) {
  constexpr auto name = "sum_shifted_back";
  check_stack(name, "spectra", spectra, 4);
  require_dense(name, "out", out, {spectra.extent(1), spectra.extent(2), spectra.extent(3)});
  require_dense(name, "shift_px", shift_px, {spectra.extent(0), 2});
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::sum_shifted_back(stream.device(), spectra, shift_px, out);
      PTYFUSE_ON_CUDA(cuda::sum_shifted_back(stream, spectra, shift_px, out));
  }
}

void exit_waves(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                TensorView<const complex64> probes, TensorView<complex64> waves) {
  constexpr auto name = "exit_waves";
  check_stack(name, "waves", waves, 4);
  check_object(name, object);
  check_batch(name, batch, waves.extent(0));
  check_probes(name, probes, waves.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::exit_waves(stream.device(), object, batch, probes, waves);
      PTYFUSE_ON_CUDA(cuda::exit_waves(stream, object, batch, probes, waves));
  }
}

void modulus_difference(Stream& stream, TensorView<const float> amplitude, TensorView<const uint8_t> mask,
                        TensorView<complex64> spectra) {
  constexpr auto name = "modulus_difference";
  check_stack(name, "spectra", spectra, 4);
  check_measured(name, amplitude, mask, spectra.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::modulus_difference(stream.device(), amplitude, mask, spectra);
      PTYFUSE_ON_CUDA(cuda::modulus_difference(stream, amplitude, mask, spectra));
  }
}

void modulus_residual(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> amplitude,
                      TensorView<const uint8_t> mask, TensorView<double> sums) {
  constexpr auto name = "modulus_residual";
  check_stack(name, "spectra", spectra, 4);
  check_measured(name, amplitude, mask, spectra.shape());
  require_dense(name, "sums", sums, {spectra.extent(0), 2});
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::modulus_residual(stream.device(), spectra, amplitude, mask, sums);
      PTYFUSE_ON_CUDA(cuda::modulus_residual(stream, spectra, amplitude, mask, sums));
  }
}

void update_object(Stream& stream, TensorView<const complex64> differences, const RpieBatch& batch,
                   TensorView<const complex64> probes, const ObjectRule& rule, TensorView<complex64> object) {
  constexpr auto name = "update_object";
  check_stack(name, "differences", differences, 4);
  check_object(name, object);
  check_batch(name, batch, differences.extent(0));
  check_probes(name, probes, differences.shape());
  check_rule(name, rule);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::update_object(stream.device(), differences, batch, probes, rule, object);
      PTYFUSE_ON_CUDA(cuda::update_object(stream, differences, batch, probes, rule, object));
  }
}

void add_to_step(Stream& stream, TensorView<const complex64> differences, const RpieBatch& batch,
                 TensorView<const complex64> probes, const ObjectStep& step) {
  constexpr auto name = "add_to_step";
  check_stack(name, "differences", differences, 4);
  check_step(name, step);
  check_batch(name, batch, differences.extent(0));
  check_probes(name, probes, differences.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::add_to_step(stream.device(), differences, batch, probes, step);
      PTYFUSE_ON_CUDA(cuda::add_to_step(stream, differences, batch, probes, step));
  }
}

void apply_step(Stream& stream, const ObjectStep& step, const ObjectRule& rule, TensorView<complex64> object) {
  constexpr auto name = "apply_step";
  check_step(name, step);
  require_dense(name, "object", object, step.numerator.shape());
  check_rule(name, rule);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::apply_step(stream.device(), step, rule, object);
      PTYFUSE_ON_CUDA(cuda::apply_step(stream, step, rule, object));
  }
}

void weigh_by_object(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                     TensorView<const complex64> differences, TensorView<complex64> out) {
  constexpr auto name = "weigh_by_object";
  check_stack(name, "differences", differences, 4);
  check_object(name, object);
  check_batch(name, batch, differences.extent(0));
  require_dense(name, "out", out, differences.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::weigh_by_object(stream.device(), object, batch, differences, out);
      PTYFUSE_ON_CUDA(cuda::weigh_by_object(stream, object, batch, differences, out));
  }
}

void add_scaled(Stream& stream, TensorView<const complex64> in, float factor, TensorView<complex64> sum) {
  require_contiguous("add_scaled", "in", in);
  require_dense("add_scaled", "sum", sum, in.shape());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::add_scaled(stream.device(), in, factor, sum);
      PTYFUSE_ON_CUDA(cuda::add_scaled(stream, in, factor, sum));
  }
}

float peak_power(Stream& stream, TensorView<const complex64> probe) {
  check_stack("peak_power", "probe", probe, 3);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::peak_power(stream.device(), probe);
      PTYFUSE_ON_CUDA(cuda::peak_power(stream, probe));
  }
  return 0;
}

float peak_window_power(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch, int64_t side_px) {
  constexpr auto name = "peak_window_power";
  check_object(name, object);
  check_batch(name, batch, batch.count());
  if (side_px < 1) throw_shape_error(name, "side is " + std::to_string(side_px) + ", expected at least 1");
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::peak_window_power(stream.device(), object, batch, side_px);
      PTYFUSE_ON_CUDA(cuda::peak_window_power(stream, object, batch, side_px));
  }
  return 0;
}

}  // namespace ptyfuse::ops
