#include <cmath>
#include <vector>

#include "kernels/device/buffer.h"

namespace ptyfuse::ops::cpu {

double absolute_error(Stream& stream, TensorView<const float> value, TensorView<const float> target,
                      TensorView<float> grad_value) {
  constexpr int64_t grain = 8192;
  const int64_t count = value.elements();
  if (count == 0) return 0;
  std::vector<double> partial(static_cast<size_t>(stream.device().threads()), 0.0);
  const float step = 1.0F / static_cast<float>(count);
  stream.device().parallel_for(count, grain, [&](int64_t begin, int64_t end, int thread) {
    const float* const a = value.data();
    const float* const b = target.data();
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) sum += std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    partial[static_cast<size_t>(thread)] = sum;
    float* const gradient = grad_value.data();
    if (gradient == nullptr) return;
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const float difference = a[i] - b[i], signed_step = std::copysign(step, difference);
      gradient[i] = std::fabs(difference) > 0 ? signed_step : difference;  // one choice, which vectorises; NaN stays
    }
  });
  double sum = 0;
  for (const double p : partial) sum += p;
  return sum / static_cast<double>(count);
}

}  // namespace ptyfuse::ops::cpu
