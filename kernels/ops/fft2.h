#pragma once
#include <memory>

#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

enum class FftDirection { forward, inverse };

/// A prepared orthonormal two-dimensional Fourier transform of images [H,W] (any size; 64, 128, 256 are quick), with
/// the zero frequency at [H/2,W/2] of the spectrum and the image taken as it lies (index 0 is the origin):
///   forward: spectrum = fftshift(FFT2(in)) / sqrt(H*W);  inverse: its inverse, which is also its adjoint.
/// Its memory is taken at construction; an image's bits do not depend on how many are transformed with it. Any number
/// of threads may run one object at once. Of work for a Graph, only the sides 64 and 128 may be: for other sizes a GPU
/// orders the streams that share the object by events. Error(memory): no plan to be had. Error(device): a GPU's library
/// for sizes other than 64 and 128 is not there.
class Fft2 {
 public:
  Fft2(const Device& device, int64_t height, int64_t width);
  ~Fft2();
  Fft2(Fft2&&) noexcept;
  Fft2& operator=(Fft2&&) noexcept;

  int64_t height() const;
  int64_t width() const;

  /// in, out [n,H,W] complex64, contiguous; may be the same memory. n = 0 is legal. Error(shape): shapes differ.
  void run(Stream& stream, FftDirection direction, TensorView<const complex64> in, TensorView<complex64> out) const;

  static Cost cost(const Shape& in);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ptyfuse::ops
