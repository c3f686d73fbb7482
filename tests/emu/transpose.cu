#include "kernels/device/launch.cuh"
#include "tests/emu/kernels.h"

namespace ptyfuse::tests {
namespace {

__global__ void naive(const float* in, float* out, int side) {
  const int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
  out[x * side + y] = in[y * side + x];
}

template <int kPad>
struct Tile {
  float value[32][32 + kPad];
};

template <int kPad>
__global__ void through_tile(const float* in, float* out, int side) {
  Tile<kPad>& tile = *dynamic_smem<Tile<kPad>>();
  int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
  tile.value[threadIdx.y][threadIdx.x] = in[y * side + x];
  __syncthreads();
  x = blockIdx.y * 32 + threadIdx.x;
  y = blockIdx.x * 32 + threadIdx.y;
  out[y * side + x] = tile.value[threadIdx.x][threadIdx.y];
}

}  // namespace

void transpose_naive(const Stream& stream, const float* in, float* out, int side) {
  launch(naive, dim3(side / 32, side / 32), dim3(32, 32), 0, stream)(in, out, side);
}

void transpose_tile(const Stream& stream, const float* in, float* out, int side, bool padded) {
  const dim3 grid(side / 32, side / 32), block(32, 32);
  if (padded)
    launch(through_tile<1>, grid, block, sizeof(Tile<1>), stream)(in, out, side);
  else
    launch(through_tile<0>, grid, block, sizeof(Tile<0>), stream)(in, out, side);
}

}  // namespace ptyfuse::tests
