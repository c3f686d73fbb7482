#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "kernels/device/device.h"

namespace ptyfuse {

/// The most bytes that `build` holds at once on a device like this one but without a limit: what --device-memory has to
/// allow for it, for the message of an error. Nothing where the machine does not have them either.
std::optional<int64_t> memory_needed_bytes(const Device& device, const std::function<void(const Device&)>& build);

}  // namespace ptyfuse
