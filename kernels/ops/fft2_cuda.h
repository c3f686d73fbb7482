#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/device/fft.h"
#include "kernels/ops/fft2.h"

namespace ptyfuse::ops::cuda {

/// Images of 64 x 64 and 128 x 128 in one launch, a block for each; others through gpu::FftPlan.
class Fft2 {
 public:
  Fft2(const Device& device, int64_t height, int64_t width);
  /// Arguments have been checked.
  void run(Stream& stream, FftDirection direction, TensorView<const complex64> in, TensorView<complex64> out) const;

 private:
  /// What the work of one stream needs: plans of fewer and fewer images, and memory for the largest of them.
  struct Lane {
    std::vector<gpu::FftPlan> plans;
    Tensor<complex64> images;
  };
  bool in_shared_memory() const;
  void run_planned(Stream& stream, FftDirection direction, TensorView<const complex64> in,
                   TensorView<complex64> out) const;

  Device device_;
  int64_t height_, width_;
  mutable std::mutex mutex_;
  mutable std::map<void*, Lane> lanes_;  // by stream
};

}  // namespace ptyfuse::ops::cuda
