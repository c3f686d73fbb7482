#include "kernels/device/warp.cuh"
#include "tests/emu/kernels.h"

namespace ptyfuse::tests {
namespace {

__global__ void sum_rows(const float* in, float* sums, int length) {
  float* scratch = dynamic_smem<float>();
  float sum = 0;
  for (int i = threadIdx.x; i < length; i += blockDim.x) sum += in[static_cast<int64_t>(blockIdx.x) * length + i];
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void add_to_total(const float* in, float* total, int length) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const float sum = warp_sum(i < length ? in[i] : 0.0F);
  if (lane_in_warp() == 0) atomicAdd(total, sum);
}

__global__ void shuffle_lanes(int* out) {
  const int lane = lane_in_warp(), value = 100 + lane;
  out[lane] = __shfl_up_sync(all_lanes, value, 3);
  out[32 + lane] = __shfl_down_sync(all_lanes, value, 5);
  out[64 + lane] = __shfl_xor_sync(all_lanes, value, 7);
  out[96 + lane] = __shfl_sync(all_lanes, value, lane / 2);
  out[128 + lane] = __shfl_up_sync(all_lanes, value, 2, 8);
  out[160 + lane] = static_cast<int>(__ballot_sync(all_lanes, lane % 3 == 0));
}

__global__ void sum_vectors(const float4* in, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float4 v = in[i];
  const __nv_bfloat162 pair = __floats2bfloat162_rn(v.x, v.y);
  const float2 rounded = __bfloat1622float2(pair);
  out[i] = rounded.x + rounded.y + v.z + v.w;
}

}  // namespace

void row_sums(const Stream& stream, const float* in, float* sums, int rows, int length) {
  launch(sum_rows, dim3(rows), dim3(256), 8 * sizeof(float), stream)(in, sums, length);
}

void sum_atomically(const Stream& stream, const float* in, float* total, int length) {
  launch(add_to_total, dim3((length + 127) / 128), dim3(128), 0, stream)(in, total, length);
}

void shuffles(const Stream& stream, int* out) {
  launch(shuffle_lanes, dim3(1), dim3(32), 0, stream)(out);
}

void sum_float4(const Stream& stream, const float* in, float* out, int n) {
  launch(sum_vectors, dim3((n + 63) / 64), dim3(64), 0, stream)(reinterpret_cast<const float4*>(in), out, n);
}

}  // namespace ptyfuse::tests
