#include "kernels/ops/rpie_waves_cpu.h"

#include <algorithm>
#include <vector>

#include "kernels/ops/rpie_frames_cpu.h"

namespace ptyfuse::ops::cpu {
namespace {

// The planes of an image take a * b, or conj(a) * b, times `scale` from two images of complex numbers.
template <bool kConjugate>
void product(const complex64* a, const complex64* b, float scale, int64_t count, float* re, float* im) {
  const float* const p = floats(a);
  const float* const q = floats(b);
  constexpr float sign = kConjugate ? -1.0F : 1.0F;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float x = scale * p[2 * i], y = sign * scale * p[2 * i + 1];
    re[i] = x * q[2 * i] - y * q[2 * i + 1];
    im[i] = x * q[2 * i + 1] + y * q[2 * i];
  }
}

}  // namespace

RpieWaves::RpieWaves(const Device& device, int64_t side_px, int64_t modes)
    : device_(device), image_(side_px), fft_(side_px, image_.pitch, image_.plane) {
  for (int t = 0; t < device.threads(); ++t)
    scratch_.emplace_back(device, Shape{modes, image_.floats()}, "rpie scratch");
}

void RpieWaves::shifted_probes(TensorView<const complex64> spectra, TensorView<const float> shift_px,
                               TensorView<complex64> out) const {
  const int64_t modes = spectra.extent(0), side = image_.side, pixels = side * side;
  const float scale = 1 / static_cast<float>(side);
  device_.parallel_for(out.extent(0), 1, [&](int64_t begin, int64_t end, int thread) {
    std::vector<complex64> ramp_y, ramp_x;
    float* const re = scratch(thread);
    for (int64_t n = begin; n < end; ++n) {
      ramp(shift_px(n, 0), side, -1, ramp_y);
      ramp(shift_px(n, 1), side, -1, ramp_x);
      for (int64_t k = 0; k < modes; ++k) {
        for_half_rows(image_, true, [&](int64_t y, int64_t x, int64_t to, int64_t count) {
          const complex64 turn = scale * ramp_y[static_cast<size_t>(y)];
          const float c = turn.real(), s = turn.imag();
          const float* const r = floats(ramp_x.data() + x);
          const float* const v = floats(spectra.data() + (k * side + y) * side + x);
          float* const out_re = re + to;
          float* const out_im = out_re + image_.plane;
#pragma omp simd
          for (int64_t i = 0; i < count; ++i) {
            const float a = c * r[2 * i] - s * r[2 * i + 1], b = c * r[2 * i + 1] + s * r[2 * i];
            out_re[i] = a * v[2 * i] - b * v[2 * i + 1];
            out_im[i] = a * v[2 * i + 1] + b * v[2 * i];
          }
        });
        fft_.inverse(re);
        from_planes(re, image_, false, 1, out.data() + (n * modes + k) * pixels);
      }
    }
  });
}

void RpieWaves::differences(TensorView<const complex64> object, const RpieBatch& batch,
                            TensorView<const complex64> probes, const ops::RpieWaves::Measured& measured,
                            TensorView<complex64> waves, TensorView<double> sums) const {
  const int64_t modes = probes.extent(1), side = image_.side, pixels = side * side, width = object.extent(1);
  const int64_t whole = image_.floats(), plane = image_.plane;
  const float scale = 1 / static_cast<float>(side);
  device_.parallel_for(batch.count(), 1, [&](int64_t begin, int64_t end, int thread) {
    float* const planes = scratch(thread);
    std::vector<float> run(static_cast<size_t>(side));
    for (int64_t n = begin; n < end; ++n) {
      const Window w = window_of("exit_waves", batch, n, object.shape(), side);
      const complex64* probe = probe_of("exit_waves", batch, n, probes);
      for (int64_t k = 0; k < modes; ++k) {
        for (int64_t y = 0; y < side; ++y) {
          float* const re = planes + k * whole + y * image_.pitch;
          product<false>(object.data() + (w.y + y) * width + w.x, probe + (k * side + y) * side, scale, side, re,
                         re + plane);
        }
        fft_.forward(planes + k * whole);
      }
      double apart = 0, total = 0;
      for_half_rows(image_, true, [&](int64_t y, int64_t x, int64_t at, int64_t count) {
        const float* const amplitude = measured.amplitude.data() + n * pixels + y * side + x;
        const uint8_t* const used = measured.mask ? measured.mask.data() + y * side + x : nullptr;
        float* const factor = run.data();  // of the sum over modes first
        for (int64_t k = 0; k < modes; ++k) {
          const float* const re = planes + k * whole + at;
          const float* const im = re + plane;
#pragma omp simd
          for (int64_t i = 0; i < count; ++i) {
            const float p = re[i] * re[i] + im[i] * im[i];
            factor[i] = k == 0 ? p : factor[i] + p;
          }
        }
        float run_apart = 0, run_total = 0;
#pragma omp simd reduction(+ : run_apart, run_total)
        for (int64_t i = 0; i < count; ++i) {
          const bool use = used == nullptr || used[i];
          const float modulus = std::sqrt(factor[i]);
          run_apart += use ? std::abs(modulus - amplitude[i]) : 0.0F;
          run_total += use ? amplitude[i] : 0.0F;
          factor[i] = use ? scale * (amplitude[i] / (modulus + modulus_floor) - 1) : 0.0F;
        }
        apart += run_apart;
        total += run_total;
        if (!waves) return;
        for (int64_t k = 0; k < modes; ++k) {
          float* const re = planes + k * whole + at;
          float* const im = re + plane;
#pragma omp simd
          for (int64_t i = 0; i < count; ++i) {
            re[i] *= factor[i];
            im[i] *= factor[i];
          }
        }
      });
      sums(n, 0) = apart;
      sums(n, 1) = total;
      if (!waves) continue;
      for (int64_t k = 0; k < modes; ++k) {
        fft_.inverse(planes + k * whole);
        from_planes(planes + k * whole, image_, false, 1, waves.data() + (n * modes + k) * pixels);
      }
    }
  });
}

void RpieWaves::weighed_spectra(TensorView<const complex64> object, const RpieBatch& batch,
                                TensorView<const complex64> differences, TensorView<complex64> out) const {
  const int64_t modes = differences.extent(1), side = image_.side, pixels = side * side, width = object.extent(1);
  const float scale = 1 / static_cast<float>(side);
  device_.parallel_for(batch.count(), 1, [&](int64_t begin, int64_t end, int thread) {
    float* const re = scratch(thread);
    for (int64_t n = begin; n < end; ++n) {
      const Window w = window_of("weigh_by_object", batch, n, object.shape(), side);
      for (int64_t k = 0; k < modes; ++k) {
        const complex64* difference = differences.data() + (n * modes + k) * pixels;
        for (int64_t y = 0; y < side; ++y) {
          float* const row = re + y * image_.pitch;
          product<true>(object.data() + (w.y + y) * width + w.x, difference + y * side, scale, side, row,
                        row + image_.plane);
        }
        fft_.forward(re);
        from_planes(re, image_, true, 1, out.data() + (n * modes + k) * pixels);
      }
    }
  });
}

}  // namespace ptyfuse::ops::cpu
