#include "kernels/ops/translate_cpu.h"

#include <algorithm>

#include "kernels/ops/bilinear.h"

namespace ptyfuse::ops::cpu {
namespace {

/// Outputs [begin, end) of [0, extent) whose neighbour at i + offset lies inside the image.
struct Range {
  int64_t begin, end;
  Range(int64_t offset, int64_t extent)
      : begin(std::clamp<int64_t>(-offset, 0, extent)), end(std::clamp<int64_t>(extent - offset, begin, extent)) {}
  bool contains(int64_t i) const { return i >= begin && i < end; }
};

/// One row of the output from the two input rows beside it; a row outside the image is null.
void translate_row(const complex64* upper, const complex64* lower, const BilinearAxis& y, const BilinearAxis& x,
                   int64_t width, complex64* out) {
  const Range left(x.first, width), right(x.first + 1, width);
  const int64_t fed_begin = std::min(left.begin, right.begin), fed_end = std::max(left.end, right.end);
  if ((upper == nullptr && lower == nullptr) || fed_begin >= fed_end) {
    std::fill(out, out + width, complex64());
    return;
  }
  const float wy0 = upper != nullptr ? y.w0 : 0, wy1 = lower != nullptr ? y.w1 : 0;
  const complex64* const a = upper != nullptr ? upper : lower;
  const complex64* const b = lower != nullptr ? lower : upper;
  // At most one pixel at either end has one neighbour outside the image.
  const auto edge = [&](int64_t i) {
    complex64 sum;
    if (left.contains(i)) sum += x.w0 * (wy0 * a[i + x.first] + wy1 * b[i + x.first]);
    if (right.contains(i)) sum += x.w1 * (wy0 * a[i + x.first + 1] + wy1 * b[i + x.first + 1]);
    out[i] = sum;
  };
  const int64_t both_begin = std::max(left.begin, right.begin);
  const int64_t both_end = std::max(both_begin, std::min(left.end, right.end));
  std::fill(out, out + fed_begin, complex64());
  for (int64_t i = fed_begin; i < std::min(both_begin, fed_end); ++i) edge(i);
  for (int64_t i = both_end; i < fed_end; ++i) edge(i);
  std::fill(out + fed_end, out + width, complex64());
  if (both_begin == both_end) return;

  const float w00 = wy0 * x.w0, w01 = wy0 * x.w1, w10 = wy1 * x.w0, w11 = wy1 * x.w1;
  const float* const p = reinterpret_cast<const float*>(a + both_begin + x.first);
  const float* const q = reinterpret_cast<const float*>(b + both_begin + x.first);
  float* const target = reinterpret_cast<float*>(out + both_begin);
  const int64_t floats = 2 * (both_end - both_begin);
#pragma omp simd
  for (int64_t i = 0; i < floats; ++i) target[i] = w00 * p[i] + w01 * p[i + 2] + w10 * q[i] + w11 * q[i + 2];
}

}  // namespace

void translate(Stream& stream, TensorView<const complex64> in, TensorView<const float> shift_px, bool adjoint,
               TensorView<complex64> out) {
  const int64_t height = in.extent(1), width = in.extent(2);
  if (in.empty()) return;
  constexpr int64_t worthwhile_pixels = 8192;
  stream.device().parallel_for(
      in.extent(0) * height, worthwhile_pixels / width + 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t row = begin; row < end; ++row) {
          const int64_t n = row / height, i = row % height;
          BilinearAxis y = translation_axis(shift_px(n, 0)), x = translation_axis(shift_px(n, 1));
          if (adjoint) y = transposed(y), x = transposed(x);
          const complex64* const image = in.data() + n * height * width;
          const auto source_row = [&](int64_t at) { return at >= 0 && at < height ? image + at * width : nullptr; };
          translate_row(source_row(i + y.first), source_row(i + y.first + 1), y, x, width, out.data() + row * width);
        }
      });
}

}  // namespace ptyfuse::ops::cpu
