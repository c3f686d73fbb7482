#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/config.h"
#include "io/reconstruction_file.h"
#include "kernels/device/buffer.h"

namespace ptyfuse {

/// Whole-scan stitching (sections 0.11 and 6): patches arrive batch by batch, the canvas covers every position.
class Stitcher {
 public:
  /// centres_px: of every patch that will come (fixes canvas and origin). weight [N*N]: see stitch_weight().
  /// Error(memory): positions too far apart for memory_limit_bytes, naming the canvas.
  Stitcher(const Device& device, std::span<const std::array<double, 2>> centres_px, int64_t side_px,
           std::span<const float> weight, int64_t memory_limit_bytes);
  /// patches [n,N,N] complex64 (device memory) whose index N/2 lies at centres_px [n].
  void add(Stream& stream, TensorView<const complex64> patches, std::span<const std::array<double, 2>> centres_px);
  /// Object and weight on the host; origin in whole scan pixels.
  void finish(Stream& stream, io::Reconstruction& out);

  int64_t height() const { return height_; }
  int64_t width() const { return width_; }

 private:
  Device device_;
  int64_t side_ = 0, height_ = 0, width_ = 0;
  std::array<int64_t, 2> origin_{0, 0};
  int64_t crop_low_ = 0, crop_side_ = 0;
  Tensor<float> weight_;
  Tensor<complex64> weighted_;
  Tensor<float> weight_sum_;
};

/// crop: 1 on the central M square, else 0 (of the probe only the side is asked). probe: sum over modes |P|^2 over its
/// largest value, inside the central square of side M, else 0; M = crop_px, or when 0: 20 for crop, and for probe 5N/16
/// made even with pad_object, N without (section 0.11).
std::vector<float> stitch_weight(StitchRule rule, int64_t crop_px, const io::ComplexImage& probe, bool pad_object);

}  // namespace ptyfuse
