#include "kernels/ops/device_sum_cuda.h"

#include "kernels/device/warp.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int block_threads = 256;

// One block; a thread takes every 256th part.
__global__ void __launch_bounds__(block_threads)
    add_parts_kernel(const double* parts, int64_t count, double factor, double* value) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += block_threads) sum += parts[i];
  sum = block_sum(sum, dynamic_smem<double>());
  if (threadIdx.x == 0) *value = factor * sum;
}

}  // namespace

void add_parts(Stream& stream, int64_t count, double factor, DeviceSum& sum) {
  launch(add_parts_kernel, dim3(1), dim3(block_threads), block_threads / 32 * sizeof(double), stream)(
      sum.parts(), count, factor, sum.value().data());
}

}  // namespace ptyfuse::ops::cuda
