#include "kernels/ops/normalise_cpu.h"

#include <algorithm>
#include <array>

namespace ptyfuse::ops::cpu {
namespace {

/// In sixteen sums, which fill vectors; their order is fixed by the elements alone.
double block_sum(const float* in, int64_t count) {
  constexpr int64_t lanes = 16;
  double sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
#pragma omp simd
    for (int64_t k = 0; k < lanes; ++k) {
      const double x = in[i + k];
      sums[k] += x * x;
    }
  }
  for (int64_t k = 0; i < count; ++i, ++k) sums[k] += static_cast<double>(in[i]) * in[i];
  double total = 0;
  for (const double s : sums) total += s;
  return total;
}

}  // namespace

double sum_of_squares(Stream& stream, TensorView<const float> in) {
  // A fixed number of blocks, added in order: the sum does not depend on the number of workers.
  constexpr int64_t most_blocks = 256, least_elements = 4096;
  const int64_t count = in.elements();
  const int64_t blocks = std::clamp<int64_t>(count / least_elements, 1, most_blocks);
  std::array<double, most_blocks> sums{};
  stream.device().parallel_for(
      blocks, std::max<int64_t>(1, 16384 * blocks / std::max<int64_t>(count, 1)), [&](int64_t begin, int64_t end, int) {
        for (int64_t b = begin; b < end; ++b) {
          const int64_t quotient = count / blocks, rest = count % blocks;
          const int64_t first = b * quotient + std::min(b, rest);
          sums[static_cast<size_t>(b)] = block_sum(in.data() + first, quotient + (b < rest ? 1 : 0));
        }
      });
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) total += sums[static_cast<size_t>(b)];
  return total;
}

void scale(Stream& stream, TensorView<const float> in, float factor, TensorView<float> out) {
  const float* const source = in.data();
  float* const target = out.data();
  stream.device().parallel_for(in.elements(), 16384, [&](int64_t begin, int64_t end, int) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) target[i] = factor * source[i];
  });
}

}  // namespace ptyfuse::ops::cpu
