#pragma once
// Copies from device memory to shared memory that run while the thread goes on (cp.async, compute capability 8.0).
// A thread's copies are visible to itself after cp_async_wait, to the block after a barrier behind that.
#include "kernels/device/launch.cuh"

namespace ptyfuse {

/// Begins a copy of 16 bytes, past the L1 cache; both addresses are multiples of 16. With `valid` false nothing is
/// read, and the shared memory gets zeros.
__device__ __forceinline__ void cp_async(void* shared, const void* global, bool valid = true) {
  constexpr int bytes = 16;
  const int read_bytes = valid ? bytes : 0;
#ifdef PTYFUSE_EMU
  emu::async_copy(shared, global, bytes, read_bytes);
#else
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(bytes), "r"(read_bytes)
               : "memory");
#endif
}

/// Closes a group of all copies that this thread has begun since the last one.
__device__ __forceinline__ void cp_async_commit() {
#ifdef PTYFUSE_EMU
  emu::commit_async_copies();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until at most the newest kPending groups of this thread are still under way.
template <int kPending>
__device__ __forceinline__ void cp_async_wait() {
#ifdef PTYFUSE_EMU
  emu::wait_async_copies(kPending);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

}  // namespace ptyfuse
