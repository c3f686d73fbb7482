#pragma once
#include <list>
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
  /// What the work of one stream needs: plans of fewer and fewer images, and memory for the largest of them. It keeps
  /// its stream, so that no other one can be taken for it.
  struct Lane {
    Stream stream;
    std::vector<gpu::FftPlan> plans;
    Tensor<complex64> images;
  };
  Lane make_lane(const Stream& stream) const;
  Lane& lane_of(const Stream& stream) const;
  bool in_shared_memory() const;
  void run_planned(Stream& stream, FftDirection direction, TensorView<const complex64> in,
                   TensorView<complex64> out) const;

  Device device_;
  int64_t height_, width_;
  mutable std::mutex mutex_;
  mutable std::list<Lane> lanes_;  // of the last few streams, latest first
};

}  // namespace ptyfuse::ops::cuda
