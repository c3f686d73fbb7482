#include <immintrin.h>

#include "engine/benchmark_case.h"
#include "kernels/device/pinned_buffer.h"

namespace ptyfuse::benchmark {
namespace {

constexpr int64_t copied_bytes = int64_t{256} << 20;  // beyond every cache
constexpr int64_t cpu_piece_bytes = int64_t{1} << 20;
constexpr int64_t fma_rounds = int64_t{1} << 22;
constexpr int chains = 12;  // two units of four or five cycles: at least ten in flight, and all fit the registers

// The same in 8 and in 16 lanes. Multiplied by almost 1, so that nothing overflows or becomes denormal.
__attribute__((target("avx2,fma"))) float multiply_add_8(int64_t rounds) {
  const __m256 factor = _mm256_set1_ps(0.999F), term = _mm256_set1_ps(0.001F);
  __m256 sum[chains];
  for (__m256& s : sum) s = term;
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sum[c] = _mm256_fmadd_ps(sum[c], factor, term);
  for (const __m256& s : sum) sum[0] = _mm256_add_ps(sum[0], s);
  return _mm256_cvtss_f32(sum[0]);
}

__attribute__((target("avx512f"))) float multiply_add_16(int64_t rounds) {
  const __m512 factor = _mm512_set1_ps(0.999F), term = _mm512_set1_ps(0.001F);
  __m512 sum[chains];
  for (__m512& s : sum) s = term;
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sum[c] = _mm512_fmadd_ps(sum[c], factor, term);
  for (const __m512& s : sum) sum[0] = _mm512_add_ps(sum[0], s);
  return _mm512_cvtss_f32(sum[0]);
}

Prepared copy(Bench& b) {
  const Shape shape{copied_bytes};
  const auto from = std::make_shared<Tensor<uint8_t>>(b.device, shape, "copied");
  const auto to = std::make_shared<Tensor<uint8_t>>(b.device, shape, "copy");
  fill_zero(b.stream, from->view());
  fill_zero(b.stream, to->view());
  const auto run = [&b, from, to] {
    if (b.device.kind() != DeviceKind::cpu)
      return enqueue_copy_on_device(b.stream, to->data(), from->data(), copied_bytes);
    b.device.parallel_for(copied_bytes / cpu_piece_bytes, 1, [&](int64_t begin, int64_t end, int) {
      const int64_t first = begin * cpu_piece_bytes;
      enqueue_copy_on_device(b.stream, to->data() + first, from->data() + first, (end - begin) * cpu_piece_bytes);
    });
  };
  return {run, 1, {0, 2.0 * copied_bytes}};
}

Prepared fma(Bench& b) {
  const bool wide = b.device.cpu_features().avx512;
  const int64_t threads = b.device.threads();
  const auto sums = std::make_shared<std::vector<float>>(static_cast<size_t>(threads));
  const auto run = [&b, wide, threads, sums] {
    b.device.parallel_for(threads, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t)
        (*sums)[static_cast<size_t>(t)] = wide ? multiply_add_16(fma_rounds) : multiply_add_8(fma_rounds);
    });
  };
  const double lanes = wide ? 16 : 8;
  return {run, 1, {2.0 * chains * lanes * static_cast<double>(fma_rounds) * static_cast<double>(threads), 0}};
}

}  // namespace

std::vector<Case> machine_cases() {
  constexpr auto suite = BenchmarkSuite::machine;
  return {{{"copy", suite, "256 MiB copied within the device's memory: its bandwidth, read and written"}, copy},
          {{"fma", suite, "float32 multiply-adds in registers on every thread: the processor's peak"}, fma, true}};
}

}  // namespace ptyfuse::benchmark
