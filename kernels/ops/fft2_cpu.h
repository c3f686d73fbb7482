#pragma once
#include <fftw3.h>

#include <memory>
#include <vector>

#include "kernels/ops/fft2.h"

namespace ptyfuse::ops::cpu {

/// A plan of an unscaled complex transform [H,W] in place, zero frequency at [0,0]. Real and imaginary parts are floats
/// `step` apart from pixel to pixel and `imaginary` floats from one another: interleaved complex numbers have step 2
/// and imaginary 1, two planes have step 1. Plans are FFTW's estimates: its measured ones differ from process to
/// process, and a run could not be repeated bit for bit.
class FftwPlan {
 public:
  struct Layout {
    int64_t step, row, imaginary;
  };
  FftwPlan(int64_t height, int64_t width, FftDirection direction, const Layout& layout);
  /// `data` is the first real part, as aligned as a Buffer. Any number of threads may run one plan at once.
  void run(float* data) const;

 private:
  struct Destroy {
    void operator()(fftwf_plan plan) const;
  };
  std::unique_ptr<std::remove_pointer_t<fftwf_plan>, Destroy> plan_;
  // An inverse transform is a forward one with the parts exchanged.
  int64_t real_ = 0, imaginary_ = 1;
};

class SplitFft2;

class Fft2 {
 public:
  Fft2(const Device& device, int64_t height, int64_t width);
  ~Fft2();
  Fft2(Fft2&&) noexcept;
  Fft2& operator=(Fft2&&) noexcept;
  void run(FftDirection direction, TensorView<const complex64> in, TensorView<complex64> out) const;

 private:
  void transform(FftDirection direction, const complex64* from, complex64* to, complex64* work) const;

  Device device_;
  int64_t height_, width_;
  std::unique_ptr<SplitFft2> planes_;            // of sides it has a transform of its own for
  std::unique_ptr<FftwPlan> forward_, inverse_;  // else
  // One image for each worker. Two calls cannot meet here: a device runs one parallel_for at a time.
  mutable std::vector<Tensor<complex64>> scratch_;
};

}  // namespace ptyfuse::ops::cpu
