#pragma once
#include <memory>
#include <mutex>
#include <optional>

#include "kernels/device/event.h"
#include "kernels/device/fft.h"
#include "kernels/ops/fft2.h"

namespace ptyfuse::ops::cuda {

/// Images of 64 x 64 and 128 x 128 in one launch, a block for each; others through gpu::FftPlan, some at a time, always
/// by one plan: an image's bits do not depend on how many are transformed with it.
class Fft2 {
 public:
  Fft2(const Device& device, int64_t height, int64_t width);
  /// Arguments have been checked.
  void run(Stream& stream, FftDirection direction, TensorView<const complex64> in, TensorView<complex64> out) const;

 private:
  /// The library's plan and the images that it works on, which all streams share: a stream that comes behind another
  /// one waits for its work.
  struct Planned {
    Planned(const Device& device, int64_t images, int64_t height, int64_t width);
    gpu::FftPlan plan;
    Tensor<complex64> images;
    Event done;
    std::optional<Stream> last;
    std::mutex mutex;
  };
  void run_planned(Stream& stream, FftDirection direction, TensorView<const complex64> in,
                   TensorView<complex64> out) const;

  int64_t height_, width_;
  std::unique_ptr<Planned> planned_;  // none for images that a kernel transforms
};

}  // namespace ptyfuse::ops::cuda
