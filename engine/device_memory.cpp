#include "engine/device_memory.h"

#include "kernels/device/error.h"

namespace ptyfuse {

Device device_like(const Device& device, int64_t memory_limit_bytes) {
  if (device.kind() == DeviceKind::cpu)
    return Device::cpu({.threads = device.threads(), .memory_limit_bytes = memory_limit_bytes});
  return Device::cuda({.index = device.index(), .threads = device.threads(), .memory_limit_bytes = memory_limit_bytes});
}

std::optional<int64_t> memory_needed_bytes(const Device& device, const std::function<void(const Device&)>& build) {
  try {
    const Device unlimited = device_like(device);
    build(unlimited);
    return unlimited.memory_peak_bytes();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::memory) throw;
    return {};
  }
}

}  // namespace ptyfuse
