#include "kernels/ops/clip_cpu.h"

namespace ptyfuse::ops::cpu {

void clip_by_value(Stream& stream, float limit, TensorView<float> gradient) {
  float* const g = gradient.data();
  stream.device().parallel_for(gradient.elements(), 16384, [&](int64_t begin, int64_t end, int) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      // Comparisons with NaN are false: it passes both.
      const float below = g[i] > limit ? limit : g[i];
      g[i] = below < -limit ? -limit : below;
    }
  });
}

}  // namespace ptyfuse::ops::cpu
