#pragma once
// Matrix products of a warp on tensor cores (compute capability 8.0), and the loads of their fragments. All 32 lanes
// must call. Fragments are PTX's: with g = lane / 4 and t = lane % 4,
//   d, 16 x 8 float32:    d[0], d[1]: row g, columns 2t, 2t+1;  d[2], d[3]: row g+8
//   a, 16 x 16 bfloat16:  a[0]: row g, columns 2t, 2t+1 (lower half first);  a[1]: row g+8;  a[2], a[3]: columns + 8
//   b, 16 x 8 bfloat16:   b[0]: rows 2t, 2t+1 of column g;  b[1]: rows + 8
#include "kernels/device/launch.cuh"

namespace ptyfuse {

/// Two bfloat16, rounded to nearest even, `low` in the lower half: as they lie in memory.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
#ifdef PTYFUSE_EMU
  return uint32_t{__nv_bfloat16(low).bits} | uint32_t{__nv_bfloat16(high).bits} << 16;
#else
  uint32_t out;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  return out;
#endif
}

/// d += a * b, 16 x 8 from 16 x 16 and 16 x 8, bfloat16 in, float32 out.
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4],
                                                  const uint32_t (&b)[2] PTYFUSE_CALLER) {
#ifdef PTYFUSE_EMU
  emu::Fragments f{{d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  emu::mma_m16n8k16_bf16(f PTYFUSE_PASS_CALLER);
  for (int i = 0; i < 4; ++i) d[i] = f.d[i];
#else
  // volatile: all lanes of the warp must come here together, so it must not be moved into a branch.
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// Loads four 8 x 8 matrices of 16-bit elements from shared memory. Lane 8i + r gives the address of row r (16 bytes, a
/// multiple of 16) of matrix i. out[i] of lane l gets of matrix i row l / 4, columns 2 (l % 4) and + 1; transposed:
/// rows 2 (l % 4) and + 1 of column l / 4.
template <bool kTransposed = false>
__device__ __forceinline__ void ldmatrix(uint32_t (&out)[4], const void* row PTYFUSE_CALLER) {
#ifdef PTYFUSE_EMU
  emu::MatrixRegisters loaded;
  emu::load_matrix(loaded, kTransposed, row PTYFUSE_PASS_CALLER);
  for (int i = 0; i < 4; ++i) out[i] = loaded.value[i];
#else
  const auto from = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(from)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(from)
                 : "memory");
#endif
}

}  // namespace ptyfuse
