#pragma once
// Translation by bilinear interpolation in kernels: the weights of kernels/ops/bilinear.h.
#include "kernels/ops/complex_math.cuh"

namespace ptyfuse::ops::cuda {

/// One axis of a translation: out[i] = w0*in[i + first] + w1*in[i + first + 1], samples outside count as 0.
struct TwoTaps {
  int first;
  float w0, w1;
};

/// Content moves by +shift_px. Shifts beyond 2^30 are taken there; one that is not a number is some shift.
__device__ __forceinline__ TwoTaps translation_taps(float shift_px) {
  constexpr double far_outside = 1073741824.0;
  const double coordinate = fmin(fmax(-static_cast<double>(shift_px), -far_outside), far_outside);
  const double lower = floor(coordinate), fraction = coordinate - lower;
  return {static_cast<int>(lower), static_cast<float>(1.0 - fraction), static_cast<float>(fraction)};
}
__device__ __forceinline__ TwoTaps transposed(const TwoTaps& taps) {
  return {-taps.first - 1, taps.w1, taps.w0};
}
/// The axis with the origin of `in` moved by `samples`: reads in[i + samples + first].
__device__ __forceinline__ TwoTaps moved(const TwoTaps& taps, int samples) {
  return {taps.first + samples, taps.w0, taps.w1};
}

struct Placement {
  TwoTaps y, x;
};
__device__ __forceinline__ Placement transposed(const Placement& place) {
  return {transposed(place.y), transposed(place.x)};
}
/// T_{-o} from a patch to the canvas round it with `pad` pixels on each side; offset_px [y,x].
__device__ __forceinline__ Placement merge_placement(const float* offset_px, int pad) {
  return {moved(translation_taps(-offset_px[0]), -pad), moved(translation_taps(-offset_px[1]), -pad)};
}
/// T_{+o} from the canvas to the patch in its middle.
__device__ __forceinline__ Placement extract_placement(const float* offset_px, int pad) {
  return {moved(translation_taps(offset_px[0]), pad), moved(translation_taps(offset_px[1]), pad)};
}

/// The translated image at (y, x) of a square source; sample(y, x) reads it, inside of it alone.
template <class Sample>
__device__ __forceinline__ float2 translated(const Placement& place, int y, int x, int source_side,
                                             const Sample& sample) {
  const int y0 = y + place.y.first, x0 = x + place.x.first;
  const auto inside = [source_side](int i) { return static_cast<unsigned>(i) < static_cast<unsigned>(source_side); };
  const bool left = inside(x0), right = inside(x0 + 1);
  float2 sum = make_float2(0.0F, 0.0F);
  const auto row = [&](int at, float weight) {
    if (!inside(at)) return;
    if (left) sum = add(sum, scale(weight * place.x.w0, sample(at, x0)));
    if (right) sum = add(sum, scale(weight * place.x.w1, sample(at, x0 + 1)));
  };
  row(y0, place.y.w0);
  row(y0 + 1, place.y.w1);
  return sum;
}
/// The same of real samples.
template <class Sample>
__device__ __forceinline__ float translated_real(const Placement& place, int y, int x, int source_side,
                                                 const Sample& sample) {
  return translated(place, y, x, source_side, [&](int sy, int sx) { return make_float2(sample(sy, sx), 0.0F); }).x;
}

}  // namespace ptyfuse::ops::cuda
