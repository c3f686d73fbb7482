#pragma once
#include <cstdint>

#include "kernels/device/device.h"

namespace ptyfuse {

/// Bytes that a device's Buffers may still take: what its limit leaves, and on a GPU no more than its driver says is
/// free. On the CPU without a limit: the largest number. Error(device).
int64_t free_memory_bytes(const Device& device);

}  // namespace ptyfuse
