#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/run_control.h"
#include "io/scan.h"
#include "kernels/device/buffer.h"
#include "kernels/ops/fft2.h"

namespace ptyfuse {

/// Noise-free diffraction of objects [images,H,W] under a probe [modes,N,N]. Both must outlive it.
class PatternModel {
 public:
  /// Works on at most `largest_piece` frames at once, on fewer where the device's memory holds no more.
  PatternModel(const Device& device, const io::ComplexImage& objects, const io::ComplexImage& probe,
               int64_t largest_piece);

  /// sqrt(sum over modes |FFT2(P * patch)|^2), orthonormal, DC at the centre, into out [frames,N,N]; the patch's index
  /// N/2 lies at positions_px (bilinear, zero outside the object). Frames do not influence each other.
  void amplitudes(std::span<const std::array<double, 2>> positions_px, std::span<const int32_t> object_index,
                  std::span<float> out);
  /// Mean over the frames of the sum of the squared amplitude, without transforming (Parseval). Error(cancelled).
  double mean_power(std::span<const std::array<double, 2>> positions_px, std::span<const int32_t> object_index,
                    const RunControl& control = {}) const;

 private:
  void take_memory(int64_t largest_piece);
  void piece_amplitudes(std::span<const std::array<double, 2>> positions_px, std::span<const int32_t> object_index,
                        std::span<float> out);

  Device device_;
  Stream stream_;
  const io::ComplexImage* objects_;
  const io::ComplexImage* probe_;
  ops::Fft2 transform_;
  Tensor<complex64> fields_;
  std::vector<complex64> patches_host_, fields_host_;
};

}  // namespace ptyfuse
