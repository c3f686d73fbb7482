#pragma once
#include <memory>

#include "kernels/ops/fft2.h"
#include "kernels/ops/rpie.h"

namespace ptyfuse::ops {

/// The steps of rPIE that go through Fourier transforms, each as one: what the operations of rpie.h and Fft2 give one
/// after the other, to rounding. On the CPU a frame stays in the cache from the first to the last. Shapes, layouts,
/// errors and what a GPU does with frames that do not fit are those of rpie.h. Working memory of the device is
/// taken by the constructor, calls take none. For one thread at a time.
class RpieWaves {
 public:
  /// For frames of side_px and probes of up to `modes` modes.
  RpieWaves(const Device& device, int64_t side_px, int64_t modes);
  ~RpieWaves();
  RpieWaves(RpieWaves&&) noexcept;
  RpieWaves& operator=(RpieWaves&&) noexcept;

  const Fft2& fft() const;

  /// out[n,k] = inverse of shift_spectra(): the probe, whose spectra [K,N,N] are given, moved by shift_px [b,2].
  void shifted_probes(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                      TensorView<complex64> out) const;

  /// What a batch was measured as.
  struct Measured {
    TensorView<const float> amplitude;  ///< [b,N,N]
    TensorView<const uint8_t> mask;     ///< [N,N], or empty
  };
  /// waves = what the measured amplitudes add to the exit waves: exit_waves(), forward, modulus_difference(), inverse.
  /// sums [b,2]: modulus_residual() of the model before.
  void differences(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                   TensorView<const complex64> probes, const Measured& measured, TensorView<complex64> waves,
                   TensorView<double> sums) const;
  /// sums alone; waves [b,K,N,N] is work space.
  void residual(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                TensorView<const complex64> probes, const Measured& measured, TensorView<complex64> waves,
                TensorView<double> sums) const;

  /// out[n,k] = spectrum of weigh_by_object().
  void weighed_spectra(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                       TensorView<const complex64> differences, TensorView<complex64> out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ptyfuse::ops
