#include "kernels/ops/max_pool2_cpu.h"

#include <algorithm>

namespace ptyfuse::ops::cpu {
namespace {

// Below this many values of the input a thread is not worth waking.
constexpr int64_t grain_values = 16384;

// std::max would drop a NaN in its second place. Two plain choices: a condition with || keeps compilers from vectors.
inline float larger(float a, float b) {
  const float b_unless_smaller = b <= a ? a : b;
  return a != a ? a : b_unless_smaller;
}

int64_t grain_rows(const Shape& in) {
  return 1 + grain_values / std::max<int64_t>(1, 2 * in[2] * in[3]);
}

}  // namespace

void max_pool2(const Device& device, TensorView<const float> in, TensorView<float> out) {
  const int64_t width = out.extent(2), channels = out.extent(3), row = 2 * width * channels;
  device.parallel_for(out.extent(0) * out.extent(1), grain_rows(in.shape()), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t x = 0; x < width; ++x) {
        const float* a = in.data() + 2 * r * row + 2 * x * channels;
        float* o = out.data() + (r * width + x) * channels;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) {
          const float upper = larger(a[c], a[channels + c]), lower = larger(a[row + c], a[row + channels + c]);
          o[c] = larger(upper, lower);
        }
      }
  });
}

void max_pool2_backward(const Device& device, TensorView<const float> in, TensorView<const float> out,
                        TensorView<const float> grad_out, TensorView<float> grad_in) {
  const int64_t width = out.extent(2), channels = out.extent(3), row = 2 * width * channels;
  device.parallel_for(out.extent(0) * out.extent(1), grain_rows(in.shape()), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t x = 0; x < width; ++x) {
        const int64_t at = 2 * r * row + 2 * x * channels, small = (r * width + x) * channels;
        const float* a = in.data() + at;
        const float* o = out.data() + small;
        const float* g = grad_out.data() + small;
        float* d = grad_in.data() + at;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) {
          const float top = o[c], grad = g[c];
          const bool first = a[c] == top;
          const bool second = !first & (a[channels + c] == top);
          const bool third = !first & !second & (a[row + c] == top);
          const bool fourth = !first & !second & !third & (a[row + channels + c] == top);
          d[c] = first ? grad : 0.0F;
          d[channels + c] = second ? grad : 0.0F;
          d[row + c] = third ? grad : 0.0F;
          d[row + channels + c] = fourth ? grad : 0.0F;
        }
      }
  });
}

}  // namespace ptyfuse::ops::cpu
