#include "engine/device_memory.h"

#include "kernels/device/error.h"

namespace ptyfuse {

std::optional<int64_t> memory_needed_bytes(const Device& device, const std::function<void(const Device&)>& build) {
  try {
    const Device unlimited = device.kind() == DeviceKind::cpu
                                 ? Device::cpu({.threads = device.threads()})
                                 : Device::cuda({.index = device.index(), .threads = device.threads()});
    build(unlimited);
    return unlimited.memory_peak_bytes();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::memory) throw;
    return {};
  }
}

}  // namespace ptyfuse
