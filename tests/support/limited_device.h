#pragma once
#include "tests/support/device.h"

namespace ptyfuse::tests {

/// The device under test with `memory_limit_bytes` for all its Buffers; 0: no limit.
inline Device limited_device(int64_t memory_limit_bytes) {
  const Device device = test_device();
  switch (device.kind()) {
    case DeviceKind::cpu:
      return Device::cpu({.threads = 2, .memory_limit_bytes = memory_limit_bytes});
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda:
      return Device::cuda({.index = device.index(), .threads = 2, .memory_limit_bytes = memory_limit_bytes});
#endif
  }
  return device;
}

}  // namespace ptyfuse::tests
