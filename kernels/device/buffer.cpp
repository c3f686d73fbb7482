#include "kernels/device/buffer.h"

#include <cstdlib>
#include <cstring>

#include "kernels/device/device_state.h"
#include "kernels/device/huge_pages.h"
#ifdef PTYFUSE_CUDA
#include "kernels/device/gpu.h"
#endif

namespace ptyfuse {
namespace {

std::string human(int64_t bytes) {
  constexpr int64_t mib = int64_t{1} << 20;
  return bytes >= 10 * mib ? std::to_string(bytes / mib) + " MiB" : std::to_string(bytes) + " bytes";
}

// Aligned to 64 bytes; null when it is not to be had.
void* allocate(const Device& device, int64_t bytes, [[maybe_unused]] const std::string& name) {
  switch (device.kind()) {
    case DeviceKind::cpu: {
      // Zero-sized tails are never read: aligned_alloc wants a multiple of the alignment.
      void* memory = std::aligned_alloc(64, (static_cast<size_t>(bytes) + 63) / 64 * 64);
      if (memory != nullptr) prefer_huge_pages(memory, bytes);
      return memory;
    }
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda:
      return gpu::allocate(device.index(), bytes, name);
#endif
  }
  return nullptr;
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
  try {
    data_ = allocate(device, bytes, name_);
  } catch (...) {
    device.state_->memory.give_back(bytes);
    throw;
  }
  if (data_ == nullptr) {
    device.state_->memory.give_back(bytes);
    throw Error(ErrorKind::memory, "out of memory on " + device.name() + ": buffer '" + name_ + "' needs " +
                                       human(bytes) + ", this process holds " + human(device.memory_in_use_bytes()) +
                                       " there; use a smaller batch");
  }
  state_ = device.state_;
}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  switch (state_->kind) {
    case DeviceKind::cpu:
      std::free(data_);
      break;
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda:
      gpu::release(state_->gpu.index, data_);
      break;
#endif
  }
  state_->memory.give_back(bytes_);
}

void fill_zero_bytes(Stream& stream, void* data, int64_t bytes) {
  if (bytes <= 0) return;
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      std::memset(data, 0, static_cast<size_t>(bytes));
      break;
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda:
      gpu::fill_zero(stream.device().index(), stream.native_handle(), data, bytes);
      break;
#endif
  }
}

void copy_bytes_to_device(Stream& stream, void* device_memory, const void* host_memory, int64_t bytes) {
  if (bytes <= 0) return;
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      std::memcpy(device_memory, host_memory, static_cast<size_t>(bytes));
      break;
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda:
      gpu::copy_to_device(stream.device().index(), stream.native_handle(), device_memory, host_memory, bytes);
      break;
#endif
  }
}

void copy_bytes_to_host(Stream& stream, void* host_memory, const void* device_memory, int64_t bytes) {
  if (bytes <= 0) return;
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      std::memcpy(host_memory, device_memory, static_cast<size_t>(bytes));
      break;
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda:
      gpu::copy_to_host(stream.device().index(), stream.native_handle(), host_memory, device_memory, bytes);
      break;
#endif
  }
}

}  // namespace ptyfuse
