#pragma once
// What a Device's handles share; private to this room.
#include <mutex>

#include "kernels/device/device.h"
#include "kernels/device/thread_pool.h"

namespace ptyfuse {

/// Bytes in use against a limit, for all Buffers of one device.
class MemoryAccount {
 public:
  explicit MemoryAccount(int64_t limit_bytes) : limit_(limit_bytes) {}
  /// Error(memory), naming `name`, when the limit does not allow it.
  void take(int64_t bytes, const std::string& name);
  void give_back(int64_t bytes);
  int64_t limit_bytes() const { return limit_; }
  int64_t in_use_bytes() const {
    std::lock_guard lock(mutex_);
    return in_use_;
  }
  int64_t peak_bytes() const {
    std::lock_guard lock(mutex_);
    return peak_;
  }

 private:
  mutable std::mutex mutex_;
  int64_t limit_ = 0, in_use_ = 0, peak_ = 0;
};

struct Device::State {
  State(CpuFeatures f, int threads, int64_t limit) : features(std::move(f)), memory(limit), pool(threads) {}
  DeviceKind kind = DeviceKind::cpu;
  GpuDescription gpu;  // of a CUDA device
  CpuFeatures features;
  MemoryAccount memory;
  ThreadPool pool;
};

}  // namespace ptyfuse
