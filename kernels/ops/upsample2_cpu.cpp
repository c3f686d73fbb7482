#include "kernels/ops/upsample2_cpu.h"

#include <algorithm>

namespace ptyfuse::ops::cpu {
namespace {

// Below this many values of the large image a thread is not worth waking.
constexpr int64_t grain_values = 16384;

int64_t grain_rows(const Shape& small) {
  return 1 + grain_values / std::max<int64_t>(1, 4 * small[2] * small[3]);
}

}  // namespace

void upsample2(const Device& device, TensorView<const float> in, TensorView<float> out) {
  const int64_t width = in.extent(2), channels = in.extent(3), row = 2 * width * channels;
  device.parallel_for(in.extent(0) * in.extent(1), grain_rows(in.shape()), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t x = 0; x < width; ++x) {
        const float* a = in.data() + (r * width + x) * channels;
        float* o = out.data() + 2 * r * row + 2 * x * channels;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) {
          const float v = a[c];
          o[c] = v;
          o[channels + c] = v;
          o[row + c] = v;
          o[row + channels + c] = v;
        }
      }
  });
}

void upsample2_adjoint(const Device& device, TensorView<const float> grad_out, TensorView<float> grad_in) {
  const int64_t width = grad_in.extent(2), channels = grad_in.extent(3), row = 2 * width * channels;
  const int64_t grain = grain_rows(grad_in.shape());
  device.parallel_for(grad_in.extent(0) * grad_in.extent(1), grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t x = 0; x < width; ++x) {
        const float* g = grad_out.data() + 2 * r * row + 2 * x * channels;
        float* d = grad_in.data() + (r * width + x) * channels;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) d[c] = (g[c] + g[channels + c]) + (g[row + c] + g[row + channels + c]);
      }
  });
}

}  // namespace ptyfuse::ops::cpu
