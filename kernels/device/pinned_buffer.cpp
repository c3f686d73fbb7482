#include "kernels/device/pinned_buffer.h"

#include <cstdlib>
#include <cstring>

#ifdef PTYFUSE_CUDA
#include "kernels/device/gpu.h"
#endif

namespace ptyfuse {
namespace {

// Null when it is not to be had.
std::shared_ptr<void> allocate(const Device& device, int64_t bytes, [[maybe_unused]] const std::string& name) {
  switch (device.kind()) {
    case DeviceKind::cpu:
      return {std::aligned_alloc(64, (static_cast<size_t>(bytes) + 63) / 64 * 64), std::free};
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda: {
      const int index = device.index();
      return {gpu::allocate_pinned(index, bytes, name), [index](void* m) { gpu::release_pinned(index, m); }};
    }
#endif
  }
  return nullptr;
}

void require_run(const char* operation, const PinnedBuffer& buffer, int64_t offset_bytes, int64_t bytes) {
  if (offset_bytes < 0 || bytes < 0 || bytes > buffer.bytes() - offset_bytes)
    throw_shape_error(operation, std::to_string(bytes) + " bytes from byte " + std::to_string(offset_bytes) +
                                     " of pinned buffer '" + buffer.name() + "' of " + std::to_string(buffer.bytes()));
}

}  // namespace

PinnedBuffer::PinnedBuffer(const Device& device, int64_t bytes, std::string name)
    : bytes_(bytes), name_(std::move(name)) {
  if (bytes < 0) throw Error(ErrorKind::memory, "pinned buffer '" + name_ + "': negative size");
  if (bytes == 0) return;
  memory_ = allocate(device, bytes, name_);
  if (memory_ == nullptr)
    throw Error(ErrorKind::memory, "out of host memory: pinned buffer '" + name_ + "' for " + device.name() +
                                       " needs " + std::to_string(bytes) + " bytes; use a smaller batch");
}

void enqueue_copy_to_device(Stream& stream, void* device_memory, const PinnedBuffer& from, int64_t offset_bytes,
                            int64_t bytes) {
  require_run("enqueue_copy_to_device", from, offset_bytes, bytes);
  if (bytes == 0) return;
  const char* const source = static_cast<const char*>(from.data()) + offset_bytes;
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      std::memcpy(device_memory, source, static_cast<size_t>(bytes));
      break;
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda:
      gpu::enqueue_copy_to_device(stream.device().index(), stream.native_handle(), device_memory, source, bytes);
      break;
#endif
  }
}

void enqueue_copy_to_host(Stream& stream, const PinnedBuffer& to, int64_t offset_bytes, const void* device_memory,
                          int64_t bytes) {
  require_run("enqueue_copy_to_host", to, offset_bytes, bytes);
  if (bytes == 0) return;
  char* const target = static_cast<char*>(to.data()) + offset_bytes;
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      std::memcpy(target, device_memory, static_cast<size_t>(bytes));
      break;
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda:
      gpu::enqueue_copy_to_host(stream.device().index(), stream.native_handle(), target, device_memory, bytes);
      break;
#endif
  }
}

void enqueue_copy_on_device(Stream& stream, void* to, const void* from, int64_t bytes) {
  if (bytes <= 0) return;
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      std::memcpy(to, from, static_cast<size_t>(bytes));
      break;
#ifdef PTYFUSE_CUDA
    case DeviceKind::cuda:
      gpu::enqueue_copy_on_device(stream.device().index(), stream.native_handle(), to, from, bytes);
      break;
#endif
  }
}

}  // namespace ptyfuse
