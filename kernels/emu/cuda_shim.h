#pragma once
// CUDA C++ for g++: the language's words, built-in variables and intrinsics that kernels use, over the emu world.
// Included by kernels/device/launch.cuh; only kernels' sources (*.cu) see it.
//
// There is no `__shared__` here: a kernel that declares static shared memory does not compile. All shared memory is
// dynamic (dynamic_smem<T>() with a struct as its layout), so that the world can poison it, guard it and watch it.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/emu/bfloat16.h"
#include "kernels/emu/vector_types.h"
#include "kernels/emu/world.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

#define threadIdx (::ptyfuse::emu::thread_index())
#define blockIdx (::ptyfuse::emu::block_index())
#define blockDim (::ptyfuse::emu::block_extent())
#define gridDim (::ptyfuse::emu::grid_extent())
inline constexpr int warpSize = 32;

// --- Barriers and warp collectives

inline void __syncthreads(const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  ptyfuse::emu::sync_block(where);
}
inline int __syncthreads_count(int predicate, const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  return ptyfuse::emu::sync_block_count(predicate != 0, where);
}
inline int __syncthreads_or(int predicate, const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  return ptyfuse::emu::sync_block_count(predicate != 0, where) > 0;
}
inline int __syncthreads_and(int predicate, const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  return ptyfuse::emu::sync_block_count(predicate == 0, where) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffU, const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  ptyfuse::emu::sync_warp(mask, where);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
[[noreturn]] inline void __trap(const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  ptyfuse::emu::trap(where);
}

namespace ptyfuse::emu {

template <class T>
inline T shuffle_from(unsigned mask, T value, int source, const Where& where) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  Shuffle lane{0, source};
  std::memcpy(&lane.value, &value, sizeof(T));
  shuffle(mask, &lane, where);
  T out;
  std::memcpy(&out, &lane.value, sizeof(T));
  return out;
}

}  // namespace ptyfuse::emu

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32,
                     const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  const int first = ptyfuse::emu::lane_index() & ~(width - 1);
  return ptyfuse::emu::shuffle_from(mask, value, first | (source & (width - 1)), where);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                         const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  const int lane = ptyfuse::emu::lane_index(), source = lane ^ lane_mask;
  return ptyfuse::emu::shuffle_from(mask, value, source <= (lane | (width - 1)) ? source : lane, where);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                        const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  const int lane = ptyfuse::emu::lane_index(), source = lane - static_cast<int>(delta);
  return ptyfuse::emu::shuffle_from(mask, value, source >= (lane & ~(width - 1)) ? source : lane, where);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                          const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  const int lane = ptyfuse::emu::lane_index(), source = lane + static_cast<int>(delta);
  return ptyfuse::emu::shuffle_from(mask, value, source <= (lane | (width - 1)) ? source : lane, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  return ptyfuse::emu::ballot(mask, predicate != 0, where);
}
inline int __any_sync(unsigned mask, int predicate, const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  return ptyfuse::emu::ballot(mask, predicate != 0, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate, const ptyfuse::emu::Where& where = ptyfuse::emu::Where::current()) {
  return ptyfuse::emu::ballot(mask, predicate == 0, where) == 0;
}

// --- Memory

template <class T>
inline T __ldg(const T* address) {
  return *address;
}
template <class T>
inline T __ldcs(const T* address) {
  return *address;
}
template <class T>
inline T __ldcg(const T* address) {
  return *address;
}
template <class T>
inline void __stcs(T* address, T value) {
  *address = value;
}
template <class T>
inline void __stcg(T* address, T value) {
  *address = value;
}
template <class T>
inline T atomicAdd(T* address, T value) {
  return ptyfuse::emu::atomic_add(address, value);
}
template <class T>
inline T atomicMax(T* address, T value) {
  return ptyfuse::emu::atomic_max(address, value);
}
template <class T>
inline T atomicMin(T* address, T value) {
  return ptyfuse::emu::atomic_min(address, value);
}
template <class T>
inline T atomicOr(T* address, T value) {
  return ptyfuse::emu::atomic_or(address, value);
}
template <class T>
inline T atomicExch(T* address, T value) {
  return ptyfuse::emu::atomic_exchange(address, value);
}
template <class T>
inline T atomicCAS(T* address, T expected, T desired) {
  return ptyfuse::emu::atomic_compare_exchange(address, expected, desired);
}

// --- Arithmetic. The quick, less exact intrinsics are the exact functions here.

inline int min(int a, int b) {
  return b < a ? b : a;
}
inline int max(int a, int b) {
  return a < b ? b : a;
}
inline unsigned min(unsigned a, unsigned b) {
  return b < a ? b : a;
}
inline unsigned max(unsigned a, unsigned b) {
  return a < b ? b : a;
}
inline long min(long a, long b) {
  return b < a ? b : a;
}
inline long max(long a, long b) {
  return a < b ? b : a;
}
inline long long min(long long a, long long b) {
  return b < a ? b : a;
}
inline long long max(long long a, long long b) {
  return a < b ? b : a;
}
inline float min(float a, float b) {
  return fminf(a, b);
}
inline float max(float a, float b) {
  return fmaxf(a, b);
}
inline double min(double a, double b) {
  return fmin(a, b);
}
inline double max(double a, double b) {
  return fmax(a, b);
}
inline float rsqrtf(float x) {
  return 1.0F / sqrtf(x);
}
inline float __frsqrt_rn(float x) {
  return 1.0F / sqrtf(x);
}
inline float __fsqrt_rn(float x) {
  return sqrtf(x);
}
inline float __frcp_rn(float x) {
  return 1.0F / x;
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float __fmaf_rn(float a, float b, float c) {
  return fmaf(a, b, c);
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fsub_rn(float a, float b) {
  return a - b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}
inline float __expf(float x) {
  return expf(x);
}
inline float __logf(float x) {
  return logf(x);
}
inline float __sinf(float x) {
  return sinf(x);
}
inline float __cosf(float x) {
  return cosf(x);
}
inline void __sincosf(float x, float* sine, float* cosine) {
  sincosf(x, sine, cosine);
}
inline float __saturatef(float x) {
  return x > 0 ? fminf(x, 1.0F) : 0.0F;
}
/// sin and cos of pi * x, exact at multiples of 1/2.
inline void sincospif(float x, float* sine, float* cosine) {
  const float turns = x - 2.0F * rintf(0.5F * x);  // [-1, 1]
  const float quarter = rintf(2.0F * turns);
  const double rest = 3.14159265358979323846 * static_cast<double>(turns - 0.5F * quarter);
  const auto s = static_cast<float>(std::sin(rest)), c = static_cast<float>(std::cos(rest));
  switch (static_cast<int>(quarter) & 3) {
    case 0:
      *sine = s, *cosine = c;
      break;
    case 1:
      *sine = c, *cosine = -s;
      break;
    case 2:
      *sine = -s, *cosine = -c;
      break;
    default:
      *sine = -c, *cosine = s;
      break;
  }
}
inline float sinpif(float x) {
  float sine, cosine;
  sincospif(x, &sine, &cosine);
  return sine;
}
inline float cospif(float x) {
  float sine, cosine;
  sincospif(x, &sine, &cosine);
  return cosine;
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
inline int __float2int_rd(float x) {
  return static_cast<int>(floorf(x));
}
inline int __float2int_rn(float x) {
  return static_cast<int>(rintf(x));
}
inline int __float2int_rz(float x) {
  return static_cast<int>(x);
}
inline float __int2float_rn(int x) {
  return static_cast<float>(x);
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline int __ffs(int x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
inline unsigned __brev(unsigned x) {
  unsigned out = 0;
  for (int bit = 0; bit < 32; ++bit) out |= (x >> bit & 1U) << (31 - bit);
  return out;
}
inline int __mul24(int a, int b) {
  return a * b;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}
