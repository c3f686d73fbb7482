// Kernels with one fault each, for the emu world to find.
#include "kernels/device/async_copy.cuh"
#include "kernels/device/warp.cuh"
#include "tests/emu/kernels.h"

namespace ptyfuse::tests::planted {
namespace {

__global__ void reverse_without_barrier(const float* in, float* out, int length) {
  float* shared = dynamic_smem<float>();
  const int i = threadIdx.x;
  shared[i] = in[i];
  out[i] = shared[length - 1 - i];
}

template <bool kBarrier>
__global__ void pass_to_neighbour(float* out) {
  float* shared = dynamic_smem<float>();
  const int lane = threadIdx.x;
  shared[lane] = lane;
  if (kBarrier) __syncwarp();
  out[lane] = shared[(lane + 1) % 32];
}

__global__ void write_same_word(float* out) {
  out[threadIdx.x / 2] = threadIdx.x;
}

template <bool kAtomic>
__global__ void count_blocks(float* out, float* counter) {
  if (threadIdx.x != 0) return;
  if (kAtomic)
    atomicAdd(counter, 1.0F);
  else
    out[0] = blockIdx.x;
}

__global__ void write_one(float* out, int64_t at) {
  if (threadIdx.x == 0 && blockIdx.x == 1) out[at] = 1;
}

__global__ void read_one(const float* in, float* out, int64_t at) {
  out[threadIdx.x] = in[threadIdx.x == 5 ? at : 0];
}

__global__ void write_shared(float* out, int at) {
  float* shared = dynamic_smem<float>();
  shared[at] = 1;
  out[0] = 1;
}

__global__ void sum_local_array(const float* in, float* out, int length) {
  float local[4] = {};
  for (int i = 0; i < length; ++i) local[i] = in[i];
  out[threadIdx.x] = local[0] + local[1] + local[2] + local[3];
}

template <class Vector>
__global__ void copy_vector(const float* in, float* out, int offset) {
  *reinterpret_cast<Vector*>(out) = *reinterpret_cast<const Vector*>(in + offset);
}

__global__ void read_double(const float* in, float* out, int offset) {
  out[0] = static_cast<float>(*reinterpret_cast<const double*>(in + offset));
}

__global__ void half_at_barrier(float* out) {
  if (threadIdx.x < 40) __syncthreads();
  if (threadIdx.x >= 40) __syncwarp(0xffffff00U);
  out[threadIdx.x] = 1;
}

__global__ void leave_before_barrier(float* out) {
  if (threadIdx.x == 37) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void barrier_in_each_branch(float* out) {
  if (threadIdx.x % 2 == 0) {
    out[threadIdx.x] = 1;
    __syncthreads();
  } else {
    __syncthreads();
    out[threadIdx.x] = 2;
  }
}

__global__ void half_at_shuffle(float* out) {
  float value = threadIdx.x;
  if (threadIdx.x < 20) value = __shfl_xor_sync(all_lanes, value, 1);
  __syncthreads();
  out[threadIdx.x] = value;
}

__global__ void leave_before_shuffle(float* out) {
  if (threadIdx.x == 9) return;
  out[threadIdx.x] = warp_sum(1.0F);
}

__global__ void read_unwritten(float* out) {
  float* shared = dynamic_smem<float>();
  if (threadIdx.x != 7) shared[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = shared[threadIdx.x];
}

template <bool kWait>
__global__ void copy_and_read(const float* in, float* out) {
  float* shared = dynamic_smem<float>();
  cp_async(shared + 4 * threadIdx.x, in + 4 * threadIdx.x);
  cp_async_commit();
  if (kWait) {
    cp_async_wait<0>();
    out[threadIdx.x] = shared[4 * (threadIdx.x ^ 1)];
  } else {
    __syncthreads();
    out[threadIdx.x] = shared[4 * threadIdx.x];
  }
}

__global__ void trap_at(int value) {
  if (static_cast<int>(threadIdx.x) == value) __trap();
}

__global__ void fill_stack(float* out) {
  volatile float local[20000];
  for (int i = 0; i < 20000; ++i) local[i] = i;
  out[0] = local[threadIdx.x];
}

}  // namespace

void missing_barrier(const Stream& stream, const float* in, float* out, int length) {
  launch(reverse_without_barrier, dim3(1), dim3(length), length * sizeof(float), stream)(in, out, length);
}
void missing_warp_barrier(const Stream& stream, float* out, bool with_barrier) {
  if (with_barrier)
    launch(pass_to_neighbour<true>, dim3(1), dim3(32), 128, stream)(out);
  else
    launch(pass_to_neighbour<false>, dim3(1), dim3(32), 128, stream)(out);
}
void race_in_device_memory(const Stream& stream, float* out) {
  launch(write_same_word, dim3(1), dim3(64), 0, stream)(out);
}
void race_of_blocks(const Stream& stream, float* out, bool atomic, float* counter) {
  if (atomic)
    launch(count_blocks<true>, dim3(4), dim3(32), 0, stream)(out, counter);
  else
    launch(count_blocks<false>, dim3(4), dim3(32), 0, stream)(out, counter);
}
void write_beyond_buffer(const Stream& stream, float* out, int length, int64_t at) {
  launch(write_one, dim3(2), dim3(length), 0, stream)(out, at);
}
void read_beyond_buffer(const Stream& stream, const float* in, float* out, int64_t at) {
  launch(read_one, dim3(1), dim3(32), 0, stream)(in, out, at);
}
void write_beyond_shared(const Stream& stream, float* out, int at) {
  launch(write_shared, dim3(1), dim3(1), 128, stream)(out, at);
}
void write_beyond_local_array(const Stream& stream, const float* in, float* out, int length) {
  launch(sum_local_array, dim3(1), dim3(32), 0, stream)(in, out, length);
}
void unaligned_vector(const Stream& stream, const float* in, float* out, int offset) {
  launch(copy_vector<float4>, dim3(1), dim3(1), 0, stream)(in, out, offset);
}
void unaligned_double(const Stream& stream, const float* in, float* out, int offset) {
  launch(read_double, dim3(1), dim3(1), 0, stream)(in, out, offset);
}
void divergent_barrier(const Stream& stream, float* out) {
  launch(half_at_barrier, dim3(1), dim3(64), 0, stream)(out);
}
void return_before_barrier(const Stream& stream, float* out) {
  launch(leave_before_barrier, dim3(1), dim3(64), 0, stream)(out);
}
void two_barriers_in_branches(const Stream& stream, float* out) {
  launch(barrier_in_each_branch, dim3(1), dim3(64), 0, stream)(out);
}
void divergent_shuffle(const Stream& stream, float* out) {
  launch(half_at_shuffle, dim3(1), dim3(32), 0, stream)(out);
}
void return_before_shuffle(const Stream& stream, float* out) {
  launch(leave_before_shuffle, dim3(1), dim3(32), 0, stream)(out);
}
void uninitialised_shared(const Stream& stream, float* out) {
  launch(read_unwritten, dim3(1), dim3(32), 128, stream)(out);
}
void copy_not_waited(const Stream& stream, const float* in, float* out) {
  launch(copy_and_read<false>, dim3(1), dim3(32), 512, stream)(in, out);
}
void copy_without_barrier(const Stream& stream, const float* in, float* out) {
  launch(copy_and_read<true>, dim3(1), dim3(32), 512, stream)(in, out);
}
void trap_if(const Stream& stream, int value) {
  launch(trap_at, dim3(1), dim3(32), 0, stream)(value);
}
void deep_stack(const Stream& stream, float* out) {
  launch(fill_stack, dim3(1), dim3(1), 0, stream)(out);
}

}  // namespace ptyfuse::tests::planted
