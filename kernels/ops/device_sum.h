#pragma once
#include "kernels/device/buffer.h"

namespace ptyfuse::ops {

/// A sum over whole buffers that an operation leaves in the device's memory, in stream order, so that nobody waits for
/// it; with the working memory of the operation, which therefore allocates nothing.
class DeviceSum {
 public:
  DeviceSum() = default;
  DeviceSum(const Device& device, const char* name) : memory_(device, {first_part + most_parts}, name) {}

  /// [1]; stays where it is.
  TensorView<double> value() { return memory_.view().slice(0, 0, 1); }
  TensorView<const double> value() const { return memory_.view().slice(0, 0, 1); }
  /// Waits for the stream.
  double read(Stream& stream) const {
    double sum = 0;
    copy_to_host(stream, &sum, value(), 1);
    return sum;
  }

  /// For operations: sums of parts, which are added up in their order.
  static constexpr int64_t most_parts = 2048;
  double* parts() { return memory_.data() + first_part; }

 private:
  static constexpr int64_t first_part = 4;  // aligned to 32 bytes
  Tensor<double> memory_;
};

}  // namespace ptyfuse::ops
