#pragma once
// CUDA's vector types for g++. Unlike a plain struct, each is copied by one access of its full width, as a GPU does it,
// so that the world counts one request and sees an address that is not aligned to the type.
#include <cstdint>

namespace ptyfuse::emu {

/// Ends the block: a vector of `bytes` bytes was read or written at an address that is not a multiple of that.
[[noreturn]] void fault_unaligned(const void* address, int bytes);

using Bits16 [[gnu::vector_size(16), gnu::may_alias]] = unsigned;
using Bits8 [[gnu::may_alias]] = uint64_t;
using Bits4 [[gnu::may_alias]] = uint32_t;

/// Copies kBytes (4, 8 or 16) in one piece; the empty asm keeps the compiler from splitting it into elements.
template <int kBytes>
[[gnu::always_inline]] inline void copy_vector(void* to, const void* from) {
  if (reinterpret_cast<uintptr_t>(from) % kBytes != 0) fault_unaligned(from, kBytes);
  if (reinterpret_cast<uintptr_t>(to) % kBytes != 0) fault_unaligned(to, kBytes);
  if constexpr (kBytes == 16) {
    Bits16 bits = *static_cast<const Bits16*>(from);
    asm("" : "+x"(bits));
    *static_cast<Bits16*>(to) = bits;
  } else if constexpr (kBytes == 8) {
    Bits8 bits = *static_cast<const Bits8*>(from);
    asm("" : "+r"(bits));
    *static_cast<Bits8*>(to) = bits;
  } else {
    static_assert(kBytes == 4);
    Bits4 bits = *static_cast<const Bits4*>(from);
    asm("" : "+r"(bits));
    *static_cast<Bits4*>(to) = bits;
  }
}

}  // namespace ptyfuse::emu

#define PTYFUSE_EMU_VECTOR_COPY(name)                                      \
  name() = default;                                                        \
  name(const name& o) {                                                    \
    ::ptyfuse::emu::copy_vector<static_cast<int>(sizeof(name))>(this, &o); \
  }                                                                        \
  name& operator=(const name& o) {                                         \
    ::ptyfuse::emu::copy_vector<static_cast<int>(sizeof(name))>(this, &o); \
    return *this;                                                          \
  }

#define PTYFUSE_EMU_VECTOR2(name, T)   \
  struct alignas(2 * sizeof(T)) name { \
    T x, y;                            \
    PTYFUSE_EMU_VECTOR_COPY(name)      \
    name(T x_, T y_) : x(x_), y(y_) {} \
  };                                   \
  inline name make_##name(T x, T y) {  \
    return name(x, y);                 \
  }

#define PTYFUSE_EMU_VECTOR4(name, T)                             \
  struct alignas(4 * sizeof(T)) name {                           \
    T x, y, z, w;                                                \
    PTYFUSE_EMU_VECTOR_COPY(name)                                \
    name(T x_, T y_, T z_, T w_) : x(x_), y(y_), z(z_), w(w_) {} \
  };                                                             \
  inline name make_##name(T x, T y, T z, T w) {                  \
    return name(x, y, z, w);                                     \
  }

PTYFUSE_EMU_VECTOR2(short2, short)
PTYFUSE_EMU_VECTOR2(ushort2, unsigned short)
PTYFUSE_EMU_VECTOR2(int2, int)
PTYFUSE_EMU_VECTOR2(uint2, unsigned)
PTYFUSE_EMU_VECTOR2(float2, float)
PTYFUSE_EMU_VECTOR2(double2, double)
PTYFUSE_EMU_VECTOR2(longlong2, long long)
PTYFUSE_EMU_VECTOR2(ulonglong2, unsigned long long)
PTYFUSE_EMU_VECTOR4(char4, signed char)
PTYFUSE_EMU_VECTOR4(uchar4, unsigned char)
PTYFUSE_EMU_VECTOR4(short4, short)
PTYFUSE_EMU_VECTOR4(ushort4, unsigned short)
PTYFUSE_EMU_VECTOR4(int4, int)
PTYFUSE_EMU_VECTOR4(uint4, unsigned)
PTYFUSE_EMU_VECTOR4(float4, float)

/// Three elements have no vector access on a GPU either: plain structs.
struct int3 {
  int x, y, z;
};
struct uint3 {
  unsigned x, y, z;
};
struct float3 {
  float x, y, z;
};
inline int3 make_int3(int x, int y, int z) {
  return {x, y, z};
}
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) {
  return {x, y, z};
}
inline float3 make_float3(float x, float y, float z) {
  return {x, y, z};
}

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
