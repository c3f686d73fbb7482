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

std::string size_option(int64_t bytes) {
  constexpr int64_t kib = int64_t{1} << 10, mib = int64_t{1} << 20;
  if (bytes < 64 * mib) return std::to_string((bytes + kib - 1) / kib) + "KiB";
  return std::to_string((bytes + mib - 1) / mib) + "MiB";
}

std::string without_advice(const std::string& message) {
  return message.substr(0, message.find("; use a smaller batch"));
}

}  // namespace ptyfuse
