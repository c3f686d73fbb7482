#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "kernels/device/device.h"

namespace ptyfuse {

/// Another device of this one's kind, index and threads, with a memory account of its own (limit 0: none).
Device device_like(const Device& device, int64_t memory_limit_bytes = 0);

/// The most bytes that `build` holds at once on a device like this one but without a limit: what --device-memory has to
/// allow for it, for the message of an error. Nothing where the machine does not have them either.
std::optional<int64_t> memory_needed_bytes(const Device& device, const std::function<void(const Device&)>& build);

/// At least so many bytes, as --device-memory takes them: "96KiB", of 64 MiB and more "70MiB".
std::string size_option(int64_t bytes);

/// The message of an Error(memory) up to its advice, for who has a better one.
std::string without_advice(const std::string& message);

}  // namespace ptyfuse
