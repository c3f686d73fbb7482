#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/config.h"
#include "io/reconstruction_file.h"
#include "kernels/device/buffer.h"
#include "kernels/ops/reassemble.h"

namespace ptyfuse {

/// How much of a stitching canvas lies on the device: all of it, or as many rows as the device's memory holds, one band
/// of them at a time, while the whole lies on the host. The object is the same, bit for bit.
enum class CanvasOnDevice { whole, band };

/// Whole-scan stitching (sections 0.11 and 6): patches arrive batch by batch, the canvas covers every position.
class Stitcher {
 public:
  /// centres_px: of every patch that will come (fixes canvas and origin). weight [N*N]: see stitch_weight(). Takes no
  /// memory of the device yet. Error(memory): positions too far apart for memory_limit_bytes (of the host), naming the
  /// canvas.
  Stitcher(const Device& device, std::span<const std::array<double, 2>> centres_px, int64_t side_px,
           std::span<const float> weight, int64_t memory_limit_bytes);
  /// An empty canvas; the first call takes the memory. A band has the most rows of height, height/2, height/4 ... that
  /// the device's memory holds, at least what a patch covers. Error(memory): that is too much, naming the canvas.
  void begin(Stream& stream, CanvasOnDevice on_device = CanvasOnDevice::whole);
  /// The least memory of the device that begin() can do with.
  int64_t least_bytes() const;
  /// patches [n,N,N] complex64 (device memory) whose index N/2 lies at centres_px [n].
  void add(Stream& stream, TensorView<const complex64> patches, std::span<const std::array<double, 2>> centres_px);
  /// Object and weight on the host; origin in whole scan pixels. Before another add(): begin().
  void finish(Stream& stream, io::Reconstruction& out);

  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  /// Rows that lie on the device at once.
  int64_t band_rows() const { return weighted_.shape()[0]; }

 private:
  void take_memory(CanvasOnDevice on_device);
  void take_host_canvas();
  int64_t least_rows() const { return std::min(height_, crop_side_ + 1); }
  int64_t band_count() const { return (height_ + band_rows() - 1) / band_rows(); }
  /// A band from the host's canvas to the device; the band on the device to the host's canvas; its rows on the device.
  void load(Stream& stream, int64_t band);
  void store(Stream& stream);
  ops::StitchSums sums();

  Device device_;
  int64_t side_ = 0, height_ = 0, width_ = 0;
  std::array<int64_t, 2> origin_{0, 0};
  int64_t crop_low_ = 0, crop_side_ = 0;
  std::vector<float> core_;  // the weight's central square of crop_side_
  Tensor<float> weight_;     // core_ on the device
  Tensor<complex64> weighted_;
  Tensor<float> weight_sum_;
  int64_t loaded_ = 0;                    // the band on the device
  std::vector<complex64> host_weighted_;  // the canvas, where the device holds a band of it
  std::vector<float> host_weight_sum_;
};

/// crop: 1 on the central M square, else 0 (of the probe only the side is asked). probe: sum over modes |P|^2 over its
/// largest value, inside the central square of side M, else 0; M = crop_px, or when 0: 20 for crop, and for probe 5N/16
/// made even with pad_object, N without (section 0.11).
std::vector<float> stitch_weight(StitchRule rule, int64_t crop_px, const io::ComplexImage& probe, bool pad_object);

}  // namespace ptyfuse
