#include "kernels/device/buffer.h"

#include <cstdlib>
#include <cstring>

#include "kernels/device/device_state.h"

namespace ptyfuse {
namespace {

std::string human(int64_t bytes) {
  constexpr int64_t mib = int64_t{1} << 20;
  return bytes >= 10 * mib ? std::to_string(bytes / mib) + " MiB" : std::to_string(bytes) + " bytes";
}

}  // namespace

void MemoryAccount::take(int64_t bytes, const std::string& name) {
  std::lock_guard lock(mutex_);
  if (limit_ > 0 && bytes > limit_ - in_use_)
    throw Error(ErrorKind::memory, "out of device memory: buffer '" + name + "' needs " + human(bytes) + ", " +
                                       human(in_use_) + " are in use, the limit is " + human(limit_) +
                                       "; use a smaller batch or raise --device-memory");
  in_use_ += bytes;
  if (in_use_ > peak_) peak_ = in_use_;
}

void MemoryAccount::give_back(int64_t bytes) {
  std::lock_guard lock(mutex_);
  in_use_ -= bytes;
}

Buffer::Buffer(const Device& device, int64_t bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {
  if (bytes < 0) throw Error(ErrorKind::memory, "buffer '" + name_ + "': negative size");
  if (bytes == 0) return;
  device.state_->memory.take(bytes, name_);
  // Zero-sized tails are never read: aligned_alloc wants a multiple of the alignment.
  data_ = std::aligned_alloc(64, (static_cast<size_t>(bytes) + 63) / 64 * 64);
  if (data_ == nullptr) {
    device.state_->memory.give_back(bytes);
    throw Error(ErrorKind::memory,
                "out of memory: buffer '" + name_ + "' needs " + human(bytes) + "; use a smaller batch");
  }
  state_ = device.state_;
}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  std::free(data_);
  state_->memory.give_back(bytes_);
}

void fill_zero_bytes(Stream&, void* data, int64_t bytes) {
  if (bytes > 0) std::memset(data, 0, static_cast<size_t>(bytes));
}
void copy_bytes_to_device(Stream&, void* device_memory, const void* host_memory, int64_t bytes) {
  if (bytes > 0) std::memcpy(device_memory, host_memory, static_cast<size_t>(bytes));
}
void copy_bytes_to_host(Stream&, void* host_memory, const void* device_memory, int64_t bytes) {
  if (bytes > 0) std::memcpy(host_memory, device_memory, static_cast<size_t>(bytes));
}

}  // namespace ptyfuse
