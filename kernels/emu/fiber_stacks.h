#pragma once
// Stacks for the fibers of one host thread; private to this room.
#include <cstddef>
#include <cstdint>

namespace ptyfuse::emu {

/// Reserves 1024 stacks of 64 KiB; memory stands behind a stack once it is used. Kept by a host thread from launch to
/// launch, as a GPU keeps its local memory.
class FiberStacks {
 public:
  static constexpr int count = 1024;
  static constexpr size_t stack_bytes = size_t{64} << 10;
  FiberStacks();
  ~FiberStacks();
  FiberStacks(const FiberStacks&) = delete;
  FiberStacks& operator=(const FiberStacks&) = delete;

  /// Where stack i begins to grow downwards, and how far it may. Beginnings are staggered, so that the tops of all
  /// stacks do not share one set of the cache.
  void* top(int i) const { return base_ + static_cast<size_t>(i + 1) * stack_bytes - stagger(i); }
  size_t usable_bytes(int i) const { return stack_bytes - stagger(i); }
  bool contains(uintptr_t address) const { return address - reinterpret_cast<uintptr_t>(base_) < count * stack_bytes; }
  /// Whether stack i still holds its canary; a new stack has one.
  bool intact(int i) const;
  void renew(int i);

 private:
  static constexpr uint64_t canary = 0x5ca1ab1e0ddba11ULL;
  static constexpr size_t spill_bytes = size_t{1} << 20;  // where the lowest stack overflows into
  static size_t stagger(int i) { return static_cast<size_t>(i) * 320 % 8192 / 64 * 64; }
  char* base_ = nullptr;
};

}  // namespace ptyfuse::emu
