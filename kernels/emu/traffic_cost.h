#pragma once
// What one request of a warp costs; private to this room.
#include <array>
#include <cstdint>

#include "kernels/emu/recorder.h"

namespace ptyfuse::emu {

/// Sectors of 32 bytes that the addresses of `lanes` touch, `bytes` each.
Traffic global_traffic(const std::array<uintptr_t, 32>& address, uint32_t lanes, uint32_t bytes);

/// Cycles of 32 banks of 4 bytes. Lanes that ask for the same word are served together. Accesses of 8 and 16 bytes are
/// served by half and by quarter warps, 8 lanes at a time for ldmatrix's rows of 16 bytes.
Traffic shared_traffic(const std::array<uintptr_t, 32>& address, uint32_t lanes, uint32_t bytes);

}  // namespace ptyfuse::emu
