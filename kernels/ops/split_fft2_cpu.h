#pragma once
#include <memory>
#include <vector>

#include "kernels/ops/fft2_cpu.h"

namespace ptyfuse::ops::cpu {

/// Unscaled Fourier transforms in place of square images kept as two planes, real and imaginary parts, zero frequency
/// at [0,0]. Sides 16, 32, .. 512 have a transform of their own, eight rows or columns at once in vector registers
/// (FFTW's estimated plans for planes take two to six times as long); others go through FFTW. Same bits in every run
/// and on every thread.
class SplitFft2 {
 public:
  /// Rows are `pitch` floats apart, the imaginary plane begins `plane` floats after the real one. The first real part
  /// is as aligned as a Buffer.
  SplitFft2(int64_t side, int64_t pitch, int64_t plane);
  /// Whether images of this side have a transform of their own.
  static bool has_own(int64_t side);
  /// Any number of threads may run one object at once. `re` is the real plane.
  void forward(float* re) const;
  void inverse(float* re) const;

 private:
  int64_t side_, pitch_, plane_;
  std::vector<int> radices_;     // of the passes, their product is the side; empty: FFTW
  std::vector<float> twiddles_;  // of all passes, in the order they are used
  std::unique_ptr<FftwPlan> fftw_forward_, fftw_inverse_;
};

}  // namespace ptyfuse::ops::cpu
