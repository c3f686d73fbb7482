#pragma once
// What kernels use of cuda_bf16.h, for g++. Conversions are explicit here, so that no arithmetic happens in a wider
// type than on a GPU without being written down.
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/emu/vector_types.h"

struct __nv_bfloat16 {
  uint16_t bits;
  __nv_bfloat16() = default;
  /// Round to nearest even; NaN becomes the canonical 0x7fff.
  explicit __nv_bfloat16(float value) {
    const uint32_t word = std::bit_cast<uint32_t>(value);
    bits = (word & 0x7fffffffU) > 0x7f800000U ? uint16_t{0x7fff}
                                              : static_cast<uint16_t>((word + 0x7fffU + (word >> 16 & 1U)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
  PTYFUSE_EMU_VECTOR_COPY(__nv_bfloat162)
  __nv_bfloat162(__nv_bfloat16 low, __nv_bfloat16 high) : x(low), y(high) {}
};

inline __nv_bfloat16 __float2bfloat16(float value) {
  return __nv_bfloat16(value);
}
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  return __nv_bfloat16(value);
}
inline float __bfloat162float(__nv_bfloat16 value) {
  return static_cast<float>(value);
}
inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high) {
  return {__nv_bfloat16(low), __nv_bfloat16(high)};
}
inline __nv_bfloat162 __float22bfloat162_rn(float2 value) {
  return __floats2bfloat162_rn(value.x, value.y);
}
inline __nv_bfloat162 __float2bfloat162_rn(float value) {
  return __floats2bfloat162_rn(value, value);
}
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 low, __nv_bfloat16 high) {
  return {low, high};
}
inline float2 __bfloat1622float2(__nv_bfloat162 value) {
  return {static_cast<float>(value.x), static_cast<float>(value.y)};
}
inline float __low2float(__nv_bfloat162 value) {
  return static_cast<float>(value.x);
}
inline float __high2float(__nv_bfloat162 value) {
  return static_cast<float>(value.y);
}
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
  return std::bit_cast<__nv_bfloat16>(bits);
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) {
  return value.bits;
}
