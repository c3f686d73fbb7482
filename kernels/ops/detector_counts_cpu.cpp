#include "kernels/ops/detector_counts_cpu.h"

#include <algorithm>
#include <cmath>

namespace ptyfuse::ops::cpu {
namespace {

float intensity_scale(float log_scale) {
  return static_cast<float>(std::exp(2.0 * static_cast<double>(log_scale)));
}

}  // namespace

void detector_counts(const Device& device, TensorView<const complex64> far_field, float log_scale,
                     TensorView<float> counts) {
  const int64_t modes = far_field.extent(1), pixels = far_field.extent(2) * far_field.extent(3);
  const float scale = intensity_scale(log_scale);
  device.parallel_for(far_field.extent(0), 4096 / (pixels + 1) + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = begin; n < end; ++n) {
      float* out = counts.data() + n * pixels;
      std::fill_n(out, pixels, 0.0F);
      for (int64_t k = 0; k < modes; ++k) {
        const float* f = reinterpret_cast<const float*>(far_field.data() + (n * modes + k) * pixels);
        for (int64_t x = 0; x < pixels; ++x) out[x] += f[2 * x] * f[2 * x] + f[2 * x + 1] * f[2 * x + 1];
      }
      for (int64_t x = 0; x < pixels; ++x) out[x] *= scale;
    }
  });
}

void detector_counts_backward(const Device& device, TensorView<const complex64> far_field, float log_scale,
                              TensorView<const float> grad_counts, TensorView<complex64> grad_far_field) {
  const int64_t modes = far_field.extent(1), pixels = far_field.extent(2) * far_field.extent(3);
  const float scale = 2 * intensity_scale(log_scale);
  device.parallel_for(far_field.extent(0) * modes, 4096 / (pixels + 1) + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float* f = reinterpret_cast<const float*>(far_field.data() + i * pixels);
      const float* g = grad_counts.data() + i / modes * pixels;
      float* out = reinterpret_cast<float*>(grad_far_field.data() + i * pixels);
      for (int64_t x = 0; x < pixels; ++x) {
        out[2 * x] = scale * g[x] * f[2 * x];
        out[2 * x + 1] = scale * g[x] * f[2 * x + 1];
      }
    }
  });
}

}  // namespace ptyfuse::ops::cpu
