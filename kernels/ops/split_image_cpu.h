#pragma once
// Square images of even side as two planes, as SplitFft2 takes them.
#include "kernels/device/buffer.h"

namespace ptyfuse::ops::cpu {

/// Where a pixel lies: rows `pitch` floats apart, the imaginary plane `plane` floats behind the real one.
struct SplitImage {
  // From side 32 on rows lie apart by an odd number of cache lines, or columns would meet in few sets of the cache.
  explicit SplitImage(int64_t side_px) : side(side_px), pitch(side_px + 16), plane(side_px * pitch) {}
  int64_t floats() const { return 2 * plane; }
  int64_t side, pitch, plane;
};

/// Calls body(row and column of `in`'s first pixel, floats from the image's start to its place, pixels) for runs whose
/// pixels lie side by side in both; rotated, the halves of rows and columns change places.
template <class Body>
void for_half_rows(const SplitImage& image, bool rotate, const Body& body) {
  const int64_t half = image.side / 2;
  for (int64_t y = 0; y < image.side; ++y)
    for (const int64_t x : {int64_t{0}, half})
      body(y, x, (rotate ? (y + half) % image.side : y) * image.pitch + (rotate ? half - x : x), half);
}

inline void to_planes(const complex64* in, const SplitImage& image, bool rotate, float scale, float* re) {
  for_half_rows(image, rotate, [&](int64_t y, int64_t x, int64_t to, int64_t count) {
    const float* from = reinterpret_cast<const float*>(in + y * image.side + x);
    float* const out = re + to;
    float* const out_im = out + image.plane;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      out[i] = scale * from[2 * i];
      out_im[i] = scale * from[2 * i + 1];
    }
  });
}

inline void from_planes(const float* re, const SplitImage& image, bool rotate, float scale, complex64* out) {
  for_half_rows(image, rotate, [&](int64_t y, int64_t x, int64_t from, int64_t count) {
    const float* const in = re + from;
    const float* const in_im = in + image.plane;
    float* to = reinterpret_cast<float*>(out + y * image.side + x);
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      to[2 * i] = scale * in[i];
      to[2 * i + 1] = scale * in_im[i];
    }
  });
}

}  // namespace ptyfuse::ops::cpu
