#pragma once
// Addresses without memory behind them until they are touched: indices past 2^31 without the gigabytes.
#include <sys/mman.h>

#include <cstdint>

#ifdef PTYFUSE_EMU
#include "kernels/emu/recorder.h"
#endif

namespace ptyfuse::tests {

template <class T>
class ReservedMemory {
 public:
  /// data() is null where the system does not hand out that many addresses.
  explicit ReservedMemory(int64_t elements) : bytes_(static_cast<size_t>(elements) * sizeof(T)) {
    void* const at = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return;
    madvise(at, bytes_, MADV_HUGEPAGE);  // untouched memory reads as few, large pages of zeros
    data_ = static_cast<T*>(at);
  }
  ReservedMemory(const ReservedMemory&) = delete;
  ReservedMemory& operator=(const ReservedMemory&) = delete;
  ~ReservedMemory() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }
  /// Zero where nothing was written.
  T* data() const { return data_; }

 private:
  size_t bytes_ = 0;
  T* data_ = nullptr;
#ifdef PTYFUSE_EMU
  emu::Recorder unwatched_{{.counted = false}};  // the emulated GPU does not know these addresses
#endif
};

}  // namespace ptyfuse::tests
