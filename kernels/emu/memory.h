#pragma once
// Memory of the emulated GPU: host memory with guard bytes round every allocation, so that a kernel's stray write
// shows, and closed to the host but for kernels and copies (arena.h). Thread-safe. As a GPU's, the memory is one for
// the process.
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/emu/arena.h"

namespace ptyfuse::emu {

struct Allocation {
  uintptr_t begin = 0;
  int64_t bytes = 0;
  std::string name;
  friend bool operator==(const Allocation&, const Allocation&) = default;
};

/// Fresh memory and the guards hold this in every 16-bit unit: NaN as float32 and as bfloat16, absurd as an index.
inline constexpr uint16_t poison = 0xffa5;
/// Poisons whole and half units; `bytes` >= 0.
void fill_poison(void* memory, int64_t bytes);

/// Aligned to 256 bytes as cudaMalloc's, poisoned, with a guard before and behind. `name` is for reports.
/// Error(memory): not to be had; bytes < 0.
void* allocate(int64_t bytes, std::string name);
/// Frees what allocate() gave; null is legal. Returns what happened to its guards, "" where nothing did.
/// Error(device): not an allocation's beginning.
[[nodiscard]] std::string release(void* memory);

/// Error(device): a side that is not host memory does not lie within one allocation.
void copy_to_device(void* device_memory, const void* host_memory, int64_t bytes);
void copy_to_host(void* host_memory, const void* device_memory, int64_t bytes);
void copy_on_device(void* to, const void* from, int64_t bytes);
void fill_bytes(void* device_memory, uint8_t value, int64_t bytes);

/// All live allocations by address.
std::vector<Allocation> allocations();

/// A guard that no longer holds its poison.
struct GuardDamage {
  Allocation allocation;
  int64_t offset_bytes;  ///< of the first damaged byte from the allocation's beginning: negative, or >= its size
};
/// Checks every guard, and mends the damaged ones, so that each damage is told once.
std::vector<GuardDamage> check_guards();

}  // namespace ptyfuse::emu
