#pragma once
// How a kernel is launched and finds its shared memory: one source for nvcc and, with PTYFUSE_EMU defined, for g++ in
// the emu world (docs/emu_world.md). Only kernels' sources (*.cu) include this.
//
//   struct Tile { float value[32][33]; };
//   __global__ void transpose(const float* in, float* out, int side) {
//     Tile& tile = *dynamic_smem<Tile>();
//     ...
//   }
//   launch(transpose, dim3(8, 8), dim3(32, 32), sizeof(Tile), stream)(in, out, side);
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "kernels/device/device.h"

#ifdef PTYFUSE_EMU
#include "kernels/emu/cuda_shim.h"
#include "kernels/emu/launch.h"
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#endif

// Device-side helpers that wait for other threads say who called them, for the emu world's reports: PTYFUSE_CALLER ends
// such a parameter list, PTYFUSE_PASS_CALLER the arguments of what it calls.
#ifdef PTYFUSE_EMU
#define PTYFUSE_CALLER , const ::ptyfuse::emu::Where& caller = ::ptyfuse::emu::Where::current()
#define PTYFUSE_PASS_CALLER , caller
#else
#define PTYFUSE_CALLER
#define PTYFUSE_PASS_CALLER
#endif

namespace ptyfuse {

/// The block's shared memory, `smem_bytes` of the launch, as a layout T (or its first element); aligned to 128 bytes,
/// not initialised. There is no other shared memory: static __shared__ variables do not exist in the emu world.
template <class T>
__device__ __forceinline__ T* dynamic_smem() {
#ifdef PTYFUSE_EMU
  return static_cast<T*>(emu::shared_memory());
#else
  extern __shared__ __align__(128) unsigned char dynamic_shared_memory[];
  return reinterpret_cast<T*>(dynamic_shared_memory);
#endif
}

/// What launch() gives: call it with the kernel's arguments.
template <class... Parameters>
class Launch {
 public:
  Launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, int64_t smem_bytes, const Stream& stream)
      : kernel_(kernel), grid_(grid), block_(block), smem_bytes_(smem_bytes), stream_(stream) {}

  template <class... Arguments>
  void operator()(Arguments&&... arguments) const {
    if (grid_.x == 0 || grid_.y == 0 || grid_.z == 0) return;
    std::tuple<Parameters...> values(static_cast<Parameters>(std::forward<Arguments>(arguments))...);
#ifdef PTYFUSE_EMU
    const Closure closure{kernel_, values};
    emu::run(stream_, {grid_, block_, smem_bytes_},
             {reinterpret_cast<const void*>(kernel_), &call, &closure, sizeof closure});
#else
    std::apply([this](auto&... value) { run(value...); }, values);
#endif
  }

 private:
#ifdef PTYFUSE_EMU
  struct Closure {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> values;
  };
  static void call(const void* closure) {
    const auto* c = static_cast<const Closure*>(closure);
    std::apply(c->kernel, c->values);
  }
#else
  template <class... Values>
  void run(Values&... values) const {
    // First, for it makes the stream's GPU the current one.
    const auto stream = static_cast<cudaStream_t>(stream_.native_handle());
    // Beyond 48 KiB a kernel must be told. Always the same, as much as a block may have: another thread may launch the
    // kernel with another size between these calls, which are cheap and legal while a graph is captured. Such kernels
    // want the multiprocessor's memory as shared memory rather than as a cache.
    if (smem_bytes_ > 48 * 1024) {
      int most_bytes = 0;
      check(cudaDeviceGetAttribute(&most_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, stream_.device().index()));
      check(cudaFuncSetAttribute(kernel_, cudaFuncAttributeMaxDynamicSharedMemorySize, most_bytes));
      check(cudaFuncSetAttribute(kernel_, cudaFuncAttributePreferredSharedMemoryCarveout,
                                 cudaSharedmemCarveoutMaxShared));
    }
    void* pointers[] = {&values..., nullptr};
    check(cudaLaunchKernel(kernel_, grid_, block_, pointers, static_cast<size_t>(smem_bytes_), stream));
  }
  void check(cudaError_t status) const {
    if (status == cudaSuccess) return;
    const char* name = nullptr;
    if (cudaFuncGetName(&name, reinterpret_cast<const void*>(kernel_)) != cudaSuccess) name = "a kernel";
    throw Error(ErrorKind::device, std::string("launch of ") + name + ": " + cudaGetErrorString(status));
  }
#endif

  void (*kernel_)(Parameters...);
  dim3 grid_, block_;
  int64_t smem_bytes_;
  const Stream& stream_;
};

/// launch(kernel, grid, block, smem_bytes, stream)(arguments...): in stream order; a grid without blocks does nothing.
/// Error(device): a configuration that the device does not take.
template <class... Parameters>
Launch<Parameters...> launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, int64_t smem_bytes,
                             const Stream& stream) {
  return {kernel, grid, block, smem_bytes, stream};
}

}  // namespace ptyfuse
