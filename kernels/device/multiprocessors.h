#pragma once
// What kernels that keep much in shared memory are fitted to; builds without CUDA have no body of it.
#include <cstdint>

#include "kernels/device/device.h"

namespace ptyfuse::gpu {

struct Multiprocessors {
  int count = 1;
  int64_t shared_bytes = 0;  ///< of each: 228 KiB on Hopper, 164 KiB on the A100; the system takes one KiB for a block
};
Multiprocessors multiprocessors(const Device& device);

}  // namespace ptyfuse::gpu
