#include "kernels/device/async_copy.cuh"
#include "tests/emu/kernels.h"

namespace ptyfuse::tests {
namespace {

constexpr int threads = 128, stages = 3, tile = 4 * threads;

struct Stages {
  float value[stages][tile];
};

// Each block walks over tiles block, block + grid, ... with two tiles under way while it works on a third. A thread
// reads what its neighbour copied.
__global__ void double_through_pipeline(const float* in, float* out, int tiles, int length) {
  Stages& shared = *dynamic_smem<Stages>();
  const int begin = blockIdx.x, step = gridDim.x, mine = threadIdx.x * 4;
  const auto fetch = [&](int t, int stage) {
    if (t < tiles) cp_async(&shared.value[stage][mine], in + t * tile + mine, t * tile + mine < length);
    cp_async_commit();
  };
  for (int ahead = 0; ahead < stages - 1; ++ahead) fetch(begin + ahead * step, ahead);
  int stage = 0;
  for (int t = begin; t < tiles; t += step) {
    cp_async_wait<stages - 2>();
    __syncthreads();
    fetch(t + (stages - 1) * step, (stage + stages - 1) % stages);
    const int other = (mine + 4) % tile;
    const float4 v = *reinterpret_cast<const float4*>(&shared.value[stage][other]);
    *reinterpret_cast<float4*>(out + t * tile + other) = make_float4(2 * v.x, 2 * v.y, 2 * v.z, 2 * v.w);
    stage = (stage + 1) % stages;
  }
  cp_async_wait<0>();
}

__global__ void copy_pieces(const float* in, float* out) {
  float* shared = dynamic_smem<float>();
  const int i = threadIdx.x;
  cp_async(shared + 4 * i, in + 4 * i, i % 3 != 0);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  for (int j = i; j < 4 * static_cast<int>(blockDim.x); j += blockDim.x) out[j] = shared[j];
}

}  // namespace

void doubled_through_pipeline(const Stream& stream, const float* in, float* out, int padded_length, int length) {
  launch(double_through_pipeline, dim3(2), dim3(threads), sizeof(Stages), stream)(in, out, padded_length / tile,
                                                                                  length);
}

void copied_in_pieces(const Stream& stream, const float* in, float* out, int length) {
  launch(copy_pieces, dim3(1), dim3(length / 4), length * sizeof(float), stream)(in, out);
}

}  // namespace ptyfuse::tests
