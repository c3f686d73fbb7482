#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/device/device.h"

namespace ptyfuse {

/// Host memory that a GPU reads by itself while its kernels and the host go on: page-locked there, plain memory on the
/// CPU; aligned to 64 bytes at least, not initialised. The device's account is of device memory and does not count it.
/// Error(memory): not to be had; the message names the buffer and its size.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  PinnedBuffer(const Device& device, int64_t bytes, std::string name);
  PinnedBuffer(PinnedBuffer&& other) noexcept { swap(other); }
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept {
    PinnedBuffer(std::move(other)).swap(*this);
    return *this;
  }
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;

  void* data() const { return memory_.get(); }
  int64_t bytes() const { return bytes_; }
  const std::string& name() const { return name_; }

 private:
  void swap(PinnedBuffer& other) noexcept {
    memory_.swap(other.memory_);
    std::swap(bytes_, other.bytes_);
    name_.swap(other.name_);
  }
  std::shared_ptr<void> memory_;  // knows how it is released
  int64_t bytes_ = 0;
  std::string name_;
};

/// Copies bytes [offset, offset + bytes) of a pinned buffer to a device's memory, in stream order. On a GPU this
/// returns at once: what is copied must not change, and the buffer must live, until the host has seen an Event recorded
/// behind it. Error(shape): a run that the buffer does not hold.
void enqueue_copy_to_device(Stream& stream, void* device_memory, const PinnedBuffer& from, int64_t offset_bytes,
                            int64_t bytes);
/// Copies from a device's memory to a run of a pinned buffer, in stream order. On a GPU this returns at once: the
/// buffer must live, and is to be read, once the host has seen an Event recorded behind it. Error(shape) as above.
void enqueue_copy_to_host(Stream& stream, const PinnedBuffer& to, int64_t offset_bytes, const void* device_memory,
                          int64_t bytes);
/// Copies within a device's memory, in stream order; the runs do not overlap.
void enqueue_copy_on_device(Stream& stream, void* to, const void* from, int64_t bytes);

}  // namespace ptyfuse
