#include "kernels/ops/rpie_waves.h"

#include <optional>
#include <string>

#include "kernels/ops/rpie_checks.h"
#include "kernels/ops/rpie_waves_cpu.h"

namespace ptyfuse::ops {

struct RpieWaves::Impl {
  Impl(const Device& device, int64_t side_px, int64_t most_modes) : fft(device, side_px, side_px), modes(most_modes) {
    if (modes < 1) throw_shape_error("rpie_waves", std::to_string(modes) + " modes, expected at least 1");
    if (device.kind() == DeviceKind::cpu && cpu::SplitFft2::has_own(side_px)) cpu_body.emplace(device, side_px, modes);
  }
  void transform(Stream& stream, FftDirection direction, const TensorView<complex64>& stacks) const {
    const int64_t side = fft.height();
    const TensorView<complex64> images = stacks.reshape({stacks.extent(0) * stacks.extent(1), side, side});
    fft.run(stream, direction, images, images);
  }
  void check(const char* operation, const char* name, const TensorView<const complex64>& stacks) const {
    check_stack(operation, name, stacks, 4);
    require_dense(operation, name, stacks, {stacks.extent(0), stacks.extent(1), fft.height(), fft.width()});
    if (stacks.extent(1) > modes)
      throw_shape_error(operation, std::string(name) + " has " + std::to_string(stacks.extent(1)) +
                                       " modes, the working memory is for " + std::to_string(modes));
  }
  void check_modelled(const char* operation, const TensorView<const complex64>& object, const RpieBatch& batch,
                      const TensorView<const complex64>& probes, const Measured& measured,
                      const TensorView<const complex64>& waves, const TensorView<double>& sums) const {
    check(operation, "waves", waves);
    check_object(operation, object);
    check_batch(operation, batch, waves.extent(0));
    check_probes(operation, probes, waves.shape());
    check_measured(operation, measured.amplitude, measured.mask, waves.shape());
    require_dense(operation, "sums", sums, {waves.extent(0), 2});
  }

  Fft2 fft;
  int64_t modes;
  // Where there is none (a GPU, other sides), the operations run one after the other.
  std::optional<cpu::RpieWaves> cpu_body;
};

RpieWaves::RpieWaves(const Device& device, int64_t side_px, int64_t modes)
    : impl_(std::make_unique<Impl>(device, side_px, modes)) {}
RpieWaves::~RpieWaves() = default;
RpieWaves::RpieWaves(RpieWaves&&) noexcept = default;
RpieWaves& RpieWaves::operator=(RpieWaves&&) noexcept = default;

const Fft2& RpieWaves::fft() const {
  return impl_->fft;
}

void RpieWaves::shifted_probes(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                               TensorView<complex64> out) const {
  constexpr auto name = "shifted_probes";
  impl_->check(name, "out", out);
  if (!impl_->cpu_body) {
    shift_spectra(stream, spectra, shift_px, out);
    return impl_->transform(stream, FftDirection::inverse, out);
  }
  require_dense(name, "spectra", spectra, {out.extent(1), out.extent(2), out.extent(3)});
  require_dense(name, "shift_px", shift_px, {out.extent(0), 2});
  impl_->cpu_body->shifted_probes(spectra, shift_px, out);
}

void RpieWaves::differences(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                            TensorView<const complex64> probes, const Measured& measured, TensorView<complex64> waves,
                            TensorView<double> sums) const {
  if (!impl_->cpu_body) {
    residual(stream, object, batch, probes, measured, waves, sums);
    modulus_difference(stream, measured.amplitude, measured.mask, waves);
    return impl_->transform(stream, FftDirection::inverse, waves);
  }
  impl_->check_modelled("differences", object, batch, probes, measured, waves, sums);
  impl_->cpu_body->differences(object, batch, probes, measured, waves, sums);
}

void RpieWaves::residual(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                         TensorView<const complex64> probes, const Measured& measured, TensorView<complex64> waves,
                         TensorView<double> sums) const {
  impl_->check_modelled("residual", object, batch, probes, measured, waves, sums);
  if (!impl_->cpu_body) {
    exit_waves(stream, object, batch, probes, waves);
    impl_->transform(stream, FftDirection::forward, waves);
    return modulus_residual(stream, waves, measured.amplitude, measured.mask, sums);
  }
  impl_->cpu_body->differences(object, batch, probes, measured, {}, sums);
}

void RpieWaves::weighed_spectra(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                                TensorView<const complex64> differences, TensorView<complex64> out) const {
  constexpr auto name = "weighed_spectra";
  impl_->check(name, "out", out);
  if (!impl_->cpu_body) {
    weigh_by_object(stream, object, batch, differences, out);
    return impl_->transform(stream, FftDirection::forward, out);
  }
  require_dense(name, "differences", differences, out.shape());
  check_object(name, object);
  check_batch(name, batch, out.extent(0));
  impl_->cpu_body->weighed_spectra(object, batch, differences, out);
}

}  // namespace ptyfuse::ops
