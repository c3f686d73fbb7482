#pragma once
// Translation of one square image, the inner part of merge, extract and their transposes on the CPU.
#include <algorithm>
#include <cstdint>

#include "kernels/ops/bilinear.h"

namespace ptyfuse::ops::cpu {

/// Floats of scratch that add_translated needs for images of `in_side` samples.
constexpr int64_t translated_row_floats(int64_t in_side, int floats_per_sample) {
  return (in_side + 2) * floats_per_sample;
}

/// out[Y,X] += sum over two rows and two columns of their weights times in[Y + y.first + {0,1}, X + x.first + {0,1}];
/// samples outside `in` count as 0. Images are square, contiguous, `floats_per_sample` floats a sample: the taps are
/// real, so a complex image is moved as pairs. One pass down the columns into `row`, one along it.
template <int floats_per_sample>
void add_translated(const float* in, int64_t in_side, const BilinearAxis& y, const BilinearAxis& x, float* out,
                    int64_t out_side, float* row) {
  constexpr int64_t f = floats_per_sample;
  // A zero sample on either side of the row: no edge cases along it.
  const int64_t n = in_side * f;
  float* const middle = row + f;
  std::fill_n(row, f, 0.0F);
  std::fill_n(middle + n, f, 0.0F);
  const int64_t y_begin = std::max<int64_t>(0, -1 - y.first), y_end = std::min(out_side, in_side - y.first);
  const int64_t x_begin = std::max<int64_t>(0, -1 - x.first), x_end = std::min(out_side, in_side - x.first);
  if (x_begin >= x_end) return;
  const float y0 = y.w0, y1 = y.w1, x0 = x.w0, x1 = x.w1;
  for (int64_t oy = y_begin; oy < y_end; ++oy) {
    const int64_t iy = oy + y.first;
    const float* upper = in + iy * n;
    const float* lower = upper + n;
    if (iy < 0) {
      for (int64_t i = 0; i < n; ++i) middle[i] = y1 * lower[i];
    } else if (iy + 1 >= in_side) {
      for (int64_t i = 0; i < n; ++i) middle[i] = y0 * upper[i];
    } else {
      for (int64_t i = 0; i < n; ++i) middle[i] = y0 * upper[i] + y1 * lower[i];
    }
    float* o = out + (oy * out_side + x_begin) * f;
    const float* s = middle + (x_begin + x.first) * f;
    const int64_t run = (x_end - x_begin) * f;
#pragma omp simd
    for (int64_t i = 0; i < run; ++i) o[i] += x0 * s[i] + x1 * s[i + f];
  }
}

/// The axis with the origin of `in` moved by `samples`: reads in[i + samples + first].
inline BilinearAxis moved(BilinearAxis axis, int64_t samples) {
  axis.first += samples;
  return axis;
}

}  // namespace ptyfuse::ops::cpu
