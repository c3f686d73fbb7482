#include "kernels/ops/illuminate_cpu.h"

namespace ptyfuse::ops::cpu {

void illuminate(const Device& device, TensorView<const complex64> patches, TensorView<const complex64> probe,
                TensorView<complex64> exit_waves) {
  const int64_t modes = probe.extent(0), pixels = probe.extent(1) * probe.extent(2);
  device.parallel_for(patches.extent(0) * modes, 4096 / (pixels + 1) + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float* o = reinterpret_cast<const float*>(patches.data() + i / modes * pixels);
      const float* p = reinterpret_cast<const float*>(probe.data() + i % modes * pixels);
      float* psi = reinterpret_cast<float*>(exit_waves.data() + i * pixels);
      for (int64_t x = 0; x < pixels; ++x) {
        psi[2 * x] = p[2 * x] * o[2 * x] - p[2 * x + 1] * o[2 * x + 1];
        psi[2 * x + 1] = p[2 * x] * o[2 * x + 1] + p[2 * x + 1] * o[2 * x];
      }
    }
  });
}

void illuminate_adjoint(const Device& device, TensorView<const complex64> grad_exit_waves,
                        TensorView<const complex64> probe, TensorView<complex64> grad_patches) {
  const int64_t modes = probe.extent(0), pixels = probe.extent(1) * probe.extent(2);
  device.parallel_for(grad_patches.extent(0), 4096 / (pixels + 1) + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      float* out = reinterpret_cast<float*>(grad_patches.data() + i * pixels);
      for (int64_t k = 0; k < modes; ++k) {
        const float* g = reinterpret_cast<const float*>(grad_exit_waves.data() + (i * modes + k) * pixels);
        const float* p = reinterpret_cast<const float*>(probe.data() + k * pixels);
        for (int64_t x = 0; x < pixels; ++x) {
          const float re = p[2 * x] * g[2 * x] + p[2 * x + 1] * g[2 * x + 1];
          const float im = p[2 * x] * g[2 * x + 1] - p[2 * x + 1] * g[2 * x];
          out[2 * x] = k == 0 ? re : out[2 * x] + re;
          out[2 * x + 1] = k == 0 ? im : out[2 * x + 1] + im;
        }
      }
    }
  });
}

}  // namespace ptyfuse::ops::cpu
