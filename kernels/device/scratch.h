#pragma once
#include <string>

#include "kernels/device/device.h"

namespace ptyfuse {

/// Little memory that an operation's kernels need for one call: partial sums, lists of work (stitching: some 40 bytes
/// for a patch). Taken from and given back to a pool in stream order, so neither waits for the GPU: what a later call
/// gets may be the same memory, and its kernels run later. Not counted against the device's memory limit. GPU only.
class ScratchBytes {
 public:
  /// Error(memory): not to be had.
  ScratchBytes(const Stream& stream, int64_t bytes, const char* name);
  ScratchBytes(const ScratchBytes&) = delete;
  ScratchBytes& operator=(const ScratchBytes&) = delete;
  ~ScratchBytes();
  void* data() const { return data_; }

 private:
  Stream stream_;
  void* native_stream_ = nullptr;  // a destructor must not ask for it: that may throw
  void* data_ = nullptr;
};

template <class T>
class Scratch {
 public:
  Scratch(const Stream& stream, int64_t elements, const char* name)
      : bytes_(stream, elements * static_cast<int64_t>(sizeof(T)), name) {}
  T* data() const { return static_cast<T*>(bytes_.data()); }

 private:
  ScratchBytes bytes_;
};

}  // namespace ptyfuse
