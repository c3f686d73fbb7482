#pragma once
// Vectors of floats by the compiler's extension, so that one source serves every width. `Isa` names a width and, being
// part of every symbol, keeps code for different processors apart.
#include <immintrin.h>

#include <cstdint>

namespace ptyfuse::ops::cpu {

template <int lanes>
struct VectorTypes;
template <>
struct VectorTypes<8> {
  typedef float Float __attribute__((vector_size(32)));
  typedef float Unaligned __attribute__((vector_size(32), aligned(4), may_alias));
  typedef uint32_t Bits __attribute__((vector_size(32)));
};
template <>
struct VectorTypes<16> {
  typedef float Float __attribute__((vector_size(64)));
  typedef float Unaligned __attribute__((vector_size(64), aligned(4), may_alias));
  typedef uint32_t Bits __attribute__((vector_size(64)));
};

/// Ones in the first n of eight lanes.
[[gnu::always_inline]] inline __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

template <class Isa>
using Vector = typename VectorTypes<Isa::lanes>::Float;

template <class Isa>
[[gnu::always_inline]] inline void load(Vector<Isa>& v, const float* from) {
  v = *reinterpret_cast<const typename VectorTypes<Isa::lanes>::Unaligned*>(from);
}
template <class Isa>
[[gnu::always_inline]] inline void store(float* to, const Vector<Isa>& v) {
  *reinterpret_cast<typename VectorTypes<Isa::lanes>::Unaligned*>(to) = v;
}

/// The first n < lanes elements; the others are zero / left alone.
template <class Isa>
[[gnu::always_inline]] inline void load_first(Vector<Isa>& v, const float* from, int64_t n) {
  if constexpr (Isa::lanes == 8) {
    v = _mm256_maskload_ps(from, first_lanes(n));
  } else {
#ifdef __AVX512F__
    v = _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << n) - 1), from);
#else
    v = Vector<Isa>{};
    for (int64_t e = 0; e < n; ++e) v[e] = from[e];
#endif
  }
}
template <class Isa>
[[gnu::always_inline]] inline void store_first(float* to, const Vector<Isa>& v, int64_t n) {
  if constexpr (Isa::lanes == 8) {
    _mm256_maskstore_ps(to, first_lanes(n), v);
  } else {
#ifdef __AVX512F__
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1U << n) - 1), v);
#else
    for (int64_t e = 0; e < n; ++e) to[e] = v[e];
#endif
  }
}

/// v where mask > 0, else 0.
template <class Isa>
[[gnu::always_inline]] inline void keep_positive(Vector<Isa>& v, const Vector<Isa>& mask) {
  v = mask > Vector<Isa>{} ? v : Vector<Isa>{};
}

/// Rounds to bfloat16, ties to even; NaN stays NaN.
template <class Isa>
[[gnu::always_inline]] inline void round_to_bf16(Vector<Isa>& v) {
  using Bits = typename VectorTypes<Isa::lanes>::Bits;
  Bits bits = reinterpret_cast<Bits>(v);
  bits = (bits + 0x7FFFU + ((bits >> 16) & 1U)) & 0xFFFF0000U;
  v = v == v ? reinterpret_cast<Vector<Isa>>(bits) : v;
}

}  // namespace ptyfuse::ops::cpu
