#pragma once
// The loops of the fused physics step, each over a run of floats that nothing else overlaps, so that it becomes vector
// code. Complex images are two planes, real and imaginary parts.
#include <algorithm>
#include <cstdint>

#include "kernels/ops/likelihood_cpu.h"

namespace ptyfuse::ops::cpu {

struct Planes {
  float* re = nullptr;
  float* im = nullptr;
};

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

/// out = by * amplitude * (cosine + i*sine); by may be none, for 1.
inline void polar_row(const float* by, const float* __restrict amplitude, const float* __restrict cosine,
                      const float* __restrict sine, float* __restrict re, float* __restrict im, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float a = by != nullptr ? by[i] * amplitude[i] : amplitude[i];
    re[i] = a * cosine[i];
    im[i] = a * sine[i];
  }
}

/// From the gradient of amplitude*(cosine + i*sine), re + i*im, to those of amplitude and phase.
inline void polar_gradient_row(const float* __restrict amplitude, const float* __restrict cosine,
                               const float* __restrict sine, const float* __restrict re, const float* __restrict im,
                               float* __restrict grad_amplitude, float* __restrict grad_phase, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    grad_amplitude[i] = re[i] * cosine[i] + im[i] * sine[i];
    grad_phase[i] = amplitude[i] * (im[i] * cosine[i] - re[i] * sine[i]);
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
