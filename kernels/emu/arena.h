#pragma once
// Where the emulated GPU's memory lies: addresses that the host may read and write only while a kernel or a copy works,
// so that host code that follows a device's pointer dies of a segmentation fault here as beside a GPU.
#include <cstdint>

namespace ptyfuse::emu {

/// Aligned to a page; null when it is not to be had. Thread-safe, as everything here; to be written inside a
/// DeviceAccess.
void* take_from_arena(int64_t bytes);
void give_to_arena(void* memory) noexcept;

/// While one lives, on any thread, the memory may be read and written.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace ptyfuse::emu
