#pragma once
// The vendor's Fourier transform of image sizes that no kernel of this project takes. One body calls cuFFT
// (fft_cuda.cu), one FFTW for the emu world (kernels/emu/fft.cpp); builds without CUDA have none.
#include <cstdint>
#include <memory>

#include "kernels/device/device.h"

namespace ptyfuse::gpu {

/// Unscaled two-dimensional transforms, in place, of `batch` complex64 images [height,width] that lie one behind the
/// other in the device's memory; zero frequency first. A plan has working memory of its own, counted in the device's
/// account: one stream at a time. An image's transform has the same bits wherever it lies in the batch.
class FftPlan {
 public:
  /// Error(device): the library is not there, or fails. Error(memory): no plan to be had. Error(shape): more than the
  /// library takes.
  FftPlan(const Device& device, int64_t batch, int64_t height, int64_t width);
  ~FftPlan();
  FftPlan(FftPlan&&) noexcept;
  FftPlan& operator=(FftPlan&&) noexcept;

  int64_t batch() const;
  /// The first `count` images. Those behind them, up to batch(), are transformed with them for nothing or left.
  void run(const Stream& stream, bool inverse, void* images, int64_t count) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ptyfuse::gpu
