#include "kernels/device/free_memory.h"

#include <algorithm>
#include <limits>

#ifdef PTYFUSE_CUDA
#include "kernels/device/gpu.h"
#endif

namespace ptyfuse {

int64_t free_memory_bytes(const Device& device) {
  const int64_t limit = device.memory_limit_bytes();
  const int64_t left =
      limit > 0 ? std::max<int64_t>(0, limit - device.memory_in_use_bytes()) : std::numeric_limits<int64_t>::max();
  switch (device.kind()) {
    case DeviceKind::cpu:
      return left;
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda:
      return std::min(left, gpu::free_memory_bytes(device.index()));
#endif
  }
  return left;
}

}  // namespace ptyfuse
