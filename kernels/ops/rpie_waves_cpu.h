#pragma once
#include "kernels/ops/rpie_waves.h"
#include "kernels/ops/split_fft2_cpu.h"
#include "kernels/ops/split_image_cpu.h"

namespace ptyfuse::ops::cpu {

/// For sides that SplitFft2 has a transform of its own for.
class RpieWaves {
 public:
  RpieWaves(const Device& device, int64_t side_px, int64_t modes);

  void shifted_probes(TensorView<const complex64> spectra, TensorView<const float> shift_px,
                      TensorView<complex64> out) const;
  /// waves: empty for the sums alone.
  void differences(TensorView<const complex64> object, const RpieBatch& batch, TensorView<const complex64> probes,
                   const ops::RpieWaves::Measured& measured, TensorView<complex64> waves,
                   TensorView<double> sums) const;
  void weighed_spectra(TensorView<const complex64> object, const RpieBatch& batch,
                       TensorView<const complex64> differences, TensorView<complex64> out) const;

 private:
  float* scratch(int thread) const { return scratch_[static_cast<size_t>(thread)].data(); }

  Device device_;
  SplitImage image_;
  SplitFft2 fft_;
  mutable std::vector<Tensor<float>> scratch_;  // a frame's images, for each worker
};

}  // namespace ptyfuse::ops::cpu
