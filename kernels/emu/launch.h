#pragma once
// Runs a grid of blocks of emulated threads; the emu body of kernels/device/launch.cuh.
#include <cstdint>

#include "kernels/device/device.h"
#include "kernels/emu/vector_types.h"

namespace ptyfuse::emu {

struct LaunchConfig {
  dim3 grid, block;
  int64_t shared_bytes = 0;
};

/// A kernel with its arguments: `call(closure)` runs one thread of it. `kernel` is the function's address, for its
/// name.
struct KernelCall {
  const void* kernel;
  void (*call)(const void* closure);
  const void* closure;
  uint64_t closure_bytes;
};

/// Runs the kernel to its end, blocks on the workers of the stream's device (one after another where accesses are
/// counted). Error(device): a configuration that no GPU takes; findings, unless a Recorder keeps them.
void run(const Stream& stream, const LaunchConfig& config, const KernelCall& kernel);

}  // namespace ptyfuse::emu
