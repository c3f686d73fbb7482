// What CUDA C++ offers a kernel beside matrices and copies.
#include "kernels/device/launch.cuh"
#include "tests/emu/kernels.h"

namespace ptyfuse::tests {
namespace {

__global__ void write_indices(uint32_t* out) {
  const uint32_t block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const uint32_t thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const uint32_t threads = blockDim.x * blockDim.y * blockDim.z;
  out[block * threads + thread] =
      threadIdx.x | threadIdx.y << 4 | threadIdx.z << 8 | blockIdx.x << 12 | blockIdx.y << 16 | blockIdx.z << 20;
}

__global__ void vote(int* out) {
  const int i = threadIdx.x;
  const int count = __syncthreads_count(i % 5 == 0);
  const int any = __syncthreads_or(i == 99), none = __syncthreads_or(i == 1000);
  const int all = __syncthreads_and(i < 100), some = __syncthreads_and(i < 99);
  const bool right = __all_sync(0xffffffffU, i < 100) && __any_sync(0xffffffffU, i % 32 == 7);
  out[i] = count + 1000 * any + 2000 * none + 4000 * all + 8000 * some + 16000 * (i < 96 ? right : !right);
}

__global__ void update_atomically(int* words) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicMax(&words[0], i);
  atomicMin(&words[1], -i);
  atomicOr(&words[2], 1 << i % 20);
  atomicCAS(&words[3], 0, 17);
  atomicAdd(&words[4], i);
}

__global__ void compute(const float* in, float* out) {
  const int i = threadIdx.x;
  const float x = in[i];
  float sine, cosine;
  sincospif(x, &sine, &cosine);
  out[i] = sine;
  out[32 + i] = cosine;
  out[64 + i] = rsqrtf(x * x + 1);
  out[96 + i] = __saturatef(x);
  out[128 + i] = __fmaf_rn(x, x, 1);
  out[160 + i] = static_cast<float>(__popc(i) + 10 * __clz(i) + 1000 * __ffs(i));
  out[192 + i] = __bfloat162float(__float2bfloat16(x));
  out[224 + i] = fminf(x, 0.5F) + static_cast<float>(max(i, 3) + min(i, 7));
}

}  // namespace

void indices(const Stream& stream, uint32_t* out, uint32_t blocks_y) {
  launch(write_indices, dim3(3, blocks_y, 2), dim3(4, 3, 5), 0, stream)(out);
}
void votes(const Stream& stream, int* out) {
  launch(vote, dim3(1), dim3(128), 0, stream)(out);
}
void atomics(const Stream& stream, int* words) {
  launch(update_atomically, dim3(4), dim3(50), 0, stream)(words);
}
void mathematics(const Stream& stream, const float* in, float* out) {
  launch(compute, dim3(1), dim3(32), 0, stream)(in, out);
}
void launch_with(const Stream& stream, uint32_t* out, int grid_y, int threads, int64_t shared_bytes) {
  launch(write_indices, dim3(1, grid_y), dim3(threads), shared_bytes, stream)(out);
}

}  // namespace ptyfuse::tests
