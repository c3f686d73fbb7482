#include "kernels/device/mma.cuh"
#include "kernels/device/warp.cuh"
#include "tests/emu/kernels.h"

namespace ptyfuse::tests {
namespace {

__device__ void store(const float (&d)[4], float* out) {
  const int group = lane_in_warp() / 4, pair = lane_in_warp() % 4 * 2;
  for (int i = 0; i < 4; ++i) out[(group + i / 2 * 8) * 8 + pair + i % 2] = d[i];
}

__device__ uint32_t pair_at(const uint16_t* p) {
  return p[0] | static_cast<uint32_t>(p[1]) << 16;
}

__global__ void multiply_bf16(const uint16_t* a, const uint16_t* b, float* d, int k) {
  const int group = lane_in_warp() / 4, pair = lane_in_warp() % 4 * 2;
  float sum[4] = {1, 1, 1, 1};
  for (int k0 = 0; k0 < k; k0 += 16) {
    uint32_t fa[4], fb[2];
    for (int i = 0; i < 4; ++i) fa[i] = pair_at(a + (group + i % 2 * 8) * k + k0 + pair + i / 2 * 8);
    for (int i = 0; i < 2; ++i) fb[i] = pair_at(b + group * k + k0 + pair + i * 8);
    mma_m16n8k16_bf16(sum, fa, fb);
  }
  store(sum, d);
}

// Rows of 16 bytes lie 80 bytes apart at most: a pad of 16 bytes keeps ldmatrix free of bank conflicts.
constexpr int row_stride = 24;

struct Fragment {
  alignas(16) uint16_t a[16][row_stride], b[16][row_stride];
};

template <bool kRowMajorB>
__global__ void multiply_loaded(const uint16_t* a, const uint16_t* b, float* d, int k) {
  Fragment& tile = *dynamic_smem<Fragment>();
  const int lane = lane_in_warp();
  float sum[4] = {1, 1, 1, 1};
  for (int k0 = 0; k0 < k; k0 += 16) {
    for (int i = lane; i < 16 * 16; i += 32) tile.a[i / 16][i % 16] = a[i / 16 * k + k0 + i % 16];
    for (int i = lane; i < 8 * 16; i += 32) {
      if (kRowMajorB)
        tile.b[i / 8][i % 8] = b[(k0 + i / 8) * 8 + i % 8];
      else
        tile.b[i / 16][i % 16] = b[i / 16 * k + k0 + i % 16];
    }
    __syncwarp();
    // b has two matrices: loaded with themselves once more, as four.
    uint32_t fa[4], twice[4];
    ldmatrix(fa, &tile.a[lane % 16][lane / 16 * 8]);
    if (kRowMajorB)
      ldmatrix<true>(twice, &tile.b[lane % 16][0]);
    else
      ldmatrix(twice, &tile.b[lane % 8][lane / 8 % 2 * 8]);
    const uint32_t fb[2] = {twice[0], twice[1]};
    mma_m16n8k16_bf16(sum, fa, fb);
    __syncwarp();
  }
  store(sum, d);
}

template <bool kTransposed>
__global__ void load(const uint16_t* in, uint32_t* out) {
  struct alignas(16) Rows {
    uint16_t row[32][8];
  };
  Rows& rows = *dynamic_smem<Rows>();
  const int lane = lane_in_warp();
  for (int i = lane; i < 4 * 64; i += 32) rows.row[i / 8][i % 8] = in[i];
  __syncwarp();
  uint32_t loaded[4];
  ldmatrix<kTransposed>(loaded, rows.row[lane]);
  for (int m = 0; m < 4; ++m) out[lane * 4 + m] = loaded[m];
}

}  // namespace

void product_bf16(const Stream& stream, const uint16_t* a, const uint16_t* b, float* d, int k) {
  launch(multiply_bf16, dim3(1), dim3(32), 0, stream)(a, b, d, k);
}

void product_ldmatrix(const Stream& stream, const uint16_t* a, const uint16_t* b, float* d, int k, bool b_row_major) {
  if (b_row_major)
    launch(multiply_loaded<true>, dim3(1), dim3(32), sizeof(Fragment), stream)(a, b, d, k);
  else
    launch(multiply_loaded<false>, dim3(1), dim3(32), sizeof(Fragment), stream)(a, b, d, k);
}

void load_matrices(const Stream& stream, const uint16_t* in, uint32_t* out, bool transposed) {
  launch(transposed ? load<true> : load<false>, dim3(1), dim3(32), 4 * 128, stream)(in, out);
}

}  // namespace ptyfuse::tests
