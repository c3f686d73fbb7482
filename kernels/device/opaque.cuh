#pragma once
// Hides from the compiler what it knows of a value.
#include "kernels/device/launch.cuh"

namespace ptyfuse {

/// `value`. What the compiler derives from it is derived after this call: not taken over from before, where it would
/// have filled registers meanwhile.
__device__ __forceinline__ int opaque(int value) {
#ifndef PTYFUSE_EMU
  asm volatile("" : "+r"(value));
#endif
  return value;
}

}  // namespace ptyfuse
