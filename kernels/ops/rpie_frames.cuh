#pragma once
// Where a frame of an rPIE batch takes its object window and its probe from, on the device.
#include "kernels/ops/complex_run.cuh"
#include "kernels/ops/rpie.h"

namespace ptyfuse::ops::cuda {

struct RpieFrames {
  const int64_t *corner, *probe_index;
  int64_t height, width;  // of the object
  int64_t probes, side;

  RpieFrames(const RpieBatch& batch, const Shape& object, int64_t probe_count, int64_t side_px)
      : corner(batch.corner.data()),
        probe_index(batch.probe_index.data()),
        height(object[0]),
        width(object[1]),
        probes(probe_count),
        side(side_px) {}

  /// Element of the object where frame n's window begins; -1: it leaves the object.
  __device__ int64_t window(int64_t n) const {
    const int64_t y = corner[2 * n], x = corner[2 * n + 1];
    return y < 0 || x < 0 || y > height - side || x > width - side ? -1 : y * width + x;
  }
  /// Frame n's probe; -1: it is not there.
  __device__ int64_t probe(int64_t n) const {
    const int64_t at = probe_index[n];
    return at < 0 || at >= probes ? -1 : at;
  }
};

/// exp(-2*pi*i * (shift_y*row + shift_x*column) / side); whole turns are taken off in double.
__device__ __forceinline__ float2 frequency_ramp(float shift_y, float shift_x, int64_t row, int64_t column,
                                                 int64_t side) {
  const double turns = (static_cast<double>(shift_y) * static_cast<double>(row) +
                        static_cast<double>(shift_x) * static_cast<double>(column)) /
                       static_cast<double>(side);
  float sine, cosine;
  sincospif(static_cast<float>(-2 * (turns - rint(turns))), &sine, &cosine);
  return make_float2(cosine, sine);
}

}  // namespace ptyfuse::ops::cuda
