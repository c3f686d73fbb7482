#include "kernels/device/buffer.h"

namespace ptyfuse::ops::cpu {

void add(Stream& stream, TensorView<const float> in, TensorView<float> out) {
  constexpr int64_t grain = 16384;
  stream.device().parallel_for(in.elements(), grain, [&](int64_t begin, int64_t end, int) {
    const float* const source = in.data();
    float* const sum = out.data();
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) sum[i] += source[i];
  });
}

}  // namespace ptyfuse::ops::cpu
