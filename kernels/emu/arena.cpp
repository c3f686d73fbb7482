#include "kernels/emu/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

namespace ptyfuse::emu {
namespace {

// Protection changes by whole huge pages: a few entries of the page table instead of thousands.
constexpr uintptr_t huge_page = uintptr_t{2} << 20;

uintptr_t rounded_up(uintptr_t value, uintptr_t unit) {
  return (value + unit - 1) / unit * unit;
}

class Arena {
 public:
  Arena() : page_(static_cast<uintptr_t>(sysconf(_SC_PAGESIZE))) {
    const uintptr_t bytes = page_ * static_cast<uintptr_t>(sysconf(_SC_PHYS_PAGES));
    void* const reserved =
        mmap(nullptr, bytes + huge_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) return;  // nothing is to be had
    begin_ = used_end_ = rounded_up(reinterpret_cast<uintptr_t>(reserved), huge_page);
    end_ = begin_ + bytes / huge_page * huge_page;
    madvise(reinterpret_cast<void*>(begin_), end_ - begin_, MADV_HUGEPAGE);
  }

  void* take(int64_t wanted) {
    const uintptr_t bytes = rounded_up(static_cast<uintptr_t>(wanted), page_);
    const std::lock_guard lock(mutex_);
    // The first gap that is large enough.
    uintptr_t at = begin_;
    for (const auto& [begin, end] : live_) {
      if (begin - at >= bytes) break;
      at = end;
    }
    if (bytes > end_ - at) return nullptr;
    const uintptr_t used_end = rounded_up(at + bytes, huge_page);
    if (used_end > used_end_) {
      if (open_ > 0) protect(used_end_, used_end, PROT_READ | PROT_WRITE);
      used_end_ = used_end;
    }
    live_[at] = at + bytes;
    return reinterpret_cast<void*>(at);
  }

  void give(void* memory) noexcept {
    const std::lock_guard lock(mutex_);
    const auto block = live_.find(reinterpret_cast<uintptr_t>(memory));
    const uintptr_t bytes = block->second - block->first;
    if (bytes >= huge_page) madvise(memory, bytes, MADV_DONTNEED);
    live_.erase(block);
  }

  void open() {
    const std::lock_guard lock(mutex_);
    if (open_++ == 0) protect(begin_, used_end_, PROT_READ | PROT_WRITE);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    if (--open_ == 0) protect(begin_, used_end_, PROT_NONE);
  }

 private:
  static void protect(uintptr_t begin, uintptr_t end, int protection) {
    if (begin == end || mprotect(reinterpret_cast<void*>(begin), end - begin, protection) == 0) return;
    std::perror("emulated GPU: mprotect");
    std::abort();
  }

  std::mutex mutex_;
  std::map<uintptr_t, uintptr_t> live_;  // begin to end
  uintptr_t page_, begin_ = 0, used_end_ = 0, end_ = 0;
  int64_t open_ = 0;
};

// What a driver keeps of a GPU's memory: one for the process.
Arena& arena() {
  static Arena all;
  return all;
}

}  // namespace

void* take_from_arena(int64_t bytes) {
  return arena().take(bytes);
}
void give_to_arena(void* memory) noexcept {
  arena().give(memory);
}

DeviceAccess::DeviceAccess() {
  arena().open();
}
DeviceAccess::~DeviceAccess() {
  arena().close();
}

}  // namespace ptyfuse::emu
