#include "kernels/ops/adam_cpu.h"

#include <cmath>

namespace ptyfuse::ops::cpu {

void adam(Stream& stream, const AdamSettings& settings, float rate, TensorView<const float> gradient,
          TensorView<float> weights, TensorView<float> m, TensorView<float> v) {
  const float keep1 = static_cast<float>(settings.beta1), take1 = static_cast<float>(1 - settings.beta1),
              keep2 = static_cast<float>(settings.beta2), take2 = static_cast<float>(1 - settings.beta2),
              epsilon = static_cast<float>(settings.epsilon);
  const float* const g = gradient.data();
  float *const w = weights.data(), *const m1 = m.data(), *const m2 = v.data();
  stream.device().parallel_for(gradient.elements(), 8192, [&](int64_t begin, int64_t end, int) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const float first = keep1 * m1[i] + take1 * g[i], second = keep2 * m2[i] + take2 * g[i] * g[i];
      m1[i] = first;
      m2[i] = second;
      w[i] -= rate * first / (std::sqrt(second) + epsilon);
    }
  });
}

}  // namespace ptyfuse::ops::cpu
