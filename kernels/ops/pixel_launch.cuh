#pragma once
// Launches of a thread for each of many elements, of any number that fits in 64 bits.
#include "kernels/device/launch.cuh"
#include "kernels/device/tensor_view.h"

namespace ptyfuse::ops::cuda {

inline constexpr int pixel_threads = 256;

/// This thread's element; beyond their number in the last block.
__device__ __forceinline__ int64_t pixel_index() {
  return static_cast<int64_t>(blockIdx.x) * pixel_threads + threadIdx.x;
}

/// launch_pixels(kernel, elements, stream, args): kernel(args) by blocks of pixel_threads; none where there is no
/// element.
template <class Args>
void launch_pixels(void (*kernel)(Args), int64_t elements, const Stream& stream, const Args& args) {
  launch(kernel, dim3(static_cast<unsigned>((elements + pixel_threads - 1) / pixel_threads)), dim3(pixel_threads), 0,
         stream)(args);
}

}  // namespace ptyfuse::ops::cuda
