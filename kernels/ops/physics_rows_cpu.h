#pragma once
// The loops of the fused physics step, each over a run of floats that nothing else overlaps, so that it becomes vector
// code. Complex images are two planes, real and imaginary parts.
#include <algorithm>
#include <cstdint>

#include "kernels/ops/bilinear.h"
#include "kernels/ops/likelihood_cpu.h"

namespace ptyfuse::ops::cpu {

struct Planes {
  float* re = nullptr;
  float* im = nullptr;
};

/// A square image in scratch. Rows are `pitch` floats apart; at least eight zeros lie behind each row and before the
/// first, so that interpolation beside the border and whole vectors past it need no cases of their own. Loops that run
/// over all `floats()` keep those zeros. At sides 64, 128 and 256 the pitch is thus no power of two, which would let
/// rows push each other out of cache.
struct PlaneShape {
  explicit PlaneShape(int64_t extent) : side(extent), pitch((extent + 7) / 8 * 8 + 8) {}
  static constexpr int64_t lead = 16;  ///< zeros before the first row
  int64_t floats() const { return side * pitch; }
  /// From one plane's first row to the next one's.
  int64_t stride() const { return lead + (floats() + 15) / 16 * 16; }
  int64_t side, pitch;
};

/// One row of a translation: the four taps of two rows of the source, or those added to what is there.
template <bool add>
void four_tap_row(const float* __restrict upper, const float* __restrict lower, const BilinearAxis& y,
                  const BilinearAxis& x, float* __restrict out, int64_t n) {
  const float w00 = y.w0 * x.w0, w01 = y.w0 * x.w1, w10 = y.w1 * x.w0, w11 = y.w1 * x.w1;
  for (int64_t i = 0; i < n; ++i) {
    const float sum = w00 * upper[i] + w01 * upper[i + 1] + (w10 * lower[i] + w11 * lower[i + 1]);
    out[i] = add ? out[i] + sum : sum;
  }
}

/// out[Y,X] = sum over two rows and two columns of their weights times in[Y + y.first + {0,1}, X + x.first + {0,1}], or
/// that added to what is there; samples outside `in` count as 0. zero_row: as many zeros as a row of `in` has floats.
template <bool add>
void translate_plane(const float* in, const PlaneShape& in_shape, const BilinearAxis& y, const BilinearAxis& x,
                     float* out, const PlaneShape& out_shape, const float* zero_row) {
  const int64_t y_begin = std::max<int64_t>(0, -1 - y.first), y_end = std::min(out_shape.side, in_shape.side - y.first);
  const int64_t x_begin = std::max<int64_t>(0, -1 - x.first), x_end = std::min(out_shape.side, in_shape.side - x.first);
  const bool empty = y_begin >= y_end || x_begin >= x_end;
  if constexpr (!add) {
    if (empty || y_begin > 0 || x_begin > 0 || y_end < out_shape.side || x_end < out_shape.side) {
      std::fill_n(out, out_shape.floats(), 0.0F);
      translate_plane<true>(in, in_shape, y, x, out, out_shape, zero_row);
      return;
    }
  }
  if (empty) return;
  int64_t run = x_end - x_begin;
  // Where the source's row has ended there are zeros to read and a gap to write them to: whole vectors.
  if (x_end + x.first == in_shape.side) run = (run + 7) / 8 * 8;
  const auto row = [&](int64_t iy) {
    return iy < 0 || iy >= in_shape.side ? zero_row : in + iy * in_shape.pitch + x_begin + x.first;
  };
  for (int64_t oy = y_begin; oy < y_end; ++oy)
    four_tap_row<add>(row(oy + y.first), row(oy + y.first + 1), y, x, out + oy * out_shape.pitch + x_begin, run);
}

/// A row of n floats `step` apart, to and from a row without gaps.
inline void load_row(const float* __restrict in, int64_t step, float* __restrict out, int64_t n) {
  if (step == 1)
    std::copy_n(in, n, out);
  else if (step == 4)
    for (int64_t i = 0; i < n; ++i) out[i] = in[i * 4];
  else
    for (int64_t i = 0; i < n; ++i) out[i] = in[i * step];
}
inline void store_row(const float* __restrict in, float* __restrict out, int64_t step, int64_t n) {
  if (step == 1)
    std::copy_n(in, n, out);
  else
    for (int64_t i = 0; i < n; ++i) out[i * step] = in[i];
}

/// Four rows, `row` floats apart, from and to one row of four channels.
inline void load_four_rows(const float* __restrict in, float* __restrict out, int64_t row, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t c = 0; c < 4; ++c) out[c * row + i] = in[4 * i + c];
}
inline void store_four_rows(const float* __restrict in, int64_t row, float* __restrict out, int64_t n) {
  const float* const in1 = in + row;
  const float* const in2 = in1 + row;
  const float* const in3 = in2 + row;
  for (int64_t i = 0; i < n; ++i) {
    out[4 * i] = in[i];
    out[4 * i + 1] = in1[i];
    out[4 * i + 2] = in2[i];
    out[4 * i + 3] = in3[i];
  }
}

/// out = by * amplitude * (cosine + i*sine); by may be none, for 1.
inline void polar_row(const float* by, const float* __restrict amplitude, const float* __restrict cosine,
                      const float* __restrict sine, float* __restrict re, float* __restrict im, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float a = by != nullptr ? by[i] * amplitude[i] : amplitude[i];
    re[i] = a * cosine[i];
    im[i] = a * sine[i];
  }
}

/// From the gradient of amplitude*(cosine + i*sine), re + i*im, to those of amplitude and phase, which take the places
/// of amplitude and cosine.
inline void polar_gradient_row(float* __restrict amplitude, float* __restrict cosine, const float* __restrict sine,
                               const float* __restrict re, const float* __restrict im, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float along = re[i] * cosine[i] + im[i] * sine[i];
    const float across = amplitude[i] * (im[i] * cosine[i] - re[i] * sine[i]);
    amplitude[i] = along;
    cosine[i] = across;
  }
}

inline void multiply_row(float* __restrict re, float* __restrict im, const float* __restrict by, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    re[i] *= by[i];
    im[i] *= by[i];
  }
}

/// out = probe * patch.
inline void illuminate_row(const float* __restrict probe_re, const float* __restrict probe_im,
                           const float* __restrict patch_re, const float* __restrict patch_im, float* __restrict out_re,
                           float* __restrict out_im, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    out_re[i] = probe_re[i] * patch_re[i] - probe_im[i] * patch_im[i];
    out_im[i] = probe_re[i] * patch_im[i] + probe_im[i] * patch_re[i];
  }
}

/// out = conj(probe) * wave, or that added to what is there.
template <bool add>
void illuminate_adjoint_row(const float* __restrict probe_re, const float* __restrict probe_im,
                            const float* __restrict wave_re, const float* __restrict wave_im, float* __restrict out_re,
                            float* __restrict out_im, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float re = probe_re[i] * wave_re[i] + probe_im[i] * wave_im[i];
    const float im = probe_re[i] * wave_im[i] - probe_im[i] * wave_re[i];
    out_re[i] = add ? out_re[i] + re : re;
    out_im[i] = add ? out_im[i] + im : im;
  }
}

/// out = re^2 + im^2, or that added to what is there.
template <bool add>
void intensity_row(const float* __restrict re, const float* __restrict im, float* __restrict out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float intensity = re[i] * re[i] + im[i] * im[i];
    out[i] = add ? out[i] + intensity : intensity;
  }
}

struct LossScales {
  float intensity = 1;                 ///< expected counts per |unscaled Fourier transform|^2
  float amplitude = 1;                 ///< square root of counts per unit of the data
  float nll_slope = 0, mae_slope = 0;  ///< what a pixel's loss weighs in the total
};
/// What a row of pixels gives, 0 where the mask is 0: its losses, its part of the derivative with respect to ln lambda,
/// and the factor from the unscaled far field to the gradient with respect to it.
struct LossRow {
  float *nll, *mae, *log_slope, *field_factor;
};
inline void loss_row(const LossScales& scales, const float* __restrict intensity, const float* __restrict data,
                     const float* __restrict mask, const LossRow& out, int64_t n) {
  const LossScales s = scales;
  float* __restrict nll = out.nll;
  float* __restrict mae = out.mae;
  float* __restrict log_slope = out.log_slope;
  float* __restrict field_factor = out.field_factor;
  for (int64_t i = 0; i < n; ++i) {
    const float predicted = s.intensity * intensity[i], amplitude = std::fabs(s.amplitude * data[i]);
    const PixelLoss poisson = poisson_pixel(predicted, amplitude * amplitude);
    const PixelLoss absolute = amplitude_pixel(predicted, amplitude);
    const float slope = s.nll_slope * poisson.slope + s.mae_slope * absolute.slope;
    const bool used = mask[i] != 0.0F;
    nll[i] = used ? poisson.value : 0.0F;
    mae[i] = used ? absolute.value : 0.0F;
    log_slope[i] = used ? predicted * slope : 0.0F;
    field_factor[i] = used ? 2.0F * s.intensity * slope : 0.0F;
  }
}

inline double sum_row(const float* in, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(in[i]);
  return sum;
}

}  // namespace ptyfuse::ops::cpu
