#include "kernels/emu/fiber_stacks.h"

#include <sys/mman.h>

#include <cstring>

#include "kernels/device/error.h"

namespace ptyfuse::emu {

FiberStacks::FiberStacks() {
  void* const memory = mmap(nullptr, spill_bytes + count * stack_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw Error(ErrorKind::memory, "the emulated device's stacks are not to be had");
  base_ = static_cast<char*>(memory) + spill_bytes;
}

FiberStacks::~FiberStacks() {
  munmap(base_ - spill_bytes, spill_bytes + count * stack_bytes);
}

void FiberStacks::renew(int i) {
  std::memcpy(base_ + static_cast<size_t>(i) * stack_bytes, &canary, sizeof canary);
}

bool FiberStacks::intact(int i) const {
  return std::memcmp(base_ + static_cast<size_t>(i) * stack_bytes, &canary, sizeof canary) == 0;
}

}  // namespace ptyfuse::emu
