// The emu world behind Device, Stream and Buffer: one GPU, whose streams finish each piece of work at once, but for
// copies from pinned memory: those happen as late as a GPU may do them, when something waits for them, so that a wait
// that is missing shows.
#include "kernels/device/gpu.h"

#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <memory>

#include "kernels/device/multiprocessors.h"
#include "kernels/emu/memory.h"

namespace ptyfuse::gpu {
namespace {

struct PinnedCopy {
  void* device_memory;
  const void* pinned_memory;
  int64_t bytes;
};

/// What a stream has yet to do. Shared with the events that were recorded in it.
struct Pending {
  std::deque<PinnedCopy> copies;
  int64_t done = 0;

  int64_t given() const { return done + static_cast<int64_t>(copies.size()); }
  void run_until(int64_t point) {
    for (; done < point; ++done) {
      const PinnedCopy copy = copies.front();
      copies.pop_front();
      emu::copy_to_device(copy.device_memory, copy.pinned_memory, copy.bytes);
    }
  }
  void finish() { run_until(given()); }
};
using NativeStream = std::shared_ptr<Pending>;

struct NativeEvent {
  NativeStream stream;  // none before it is recorded
  int64_t point = 0;
};

Pending& pending(void* stream) {
  return **static_cast<NativeStream*>(stream);
}

}  // namespace

std::vector<GpuDescription> list(std::string&) {
  GpuDescription g;
  g.name = "emulated GPU";
  g.major = 9;
  // The same on every machine: grids, and so counters and rounding, depend on it.
  g.multiprocessors = 16;
  const int64_t page_bytes = sysconf(_SC_PAGESIZE);
  g.memory_bytes = page_bytes * sysconf(_SC_PHYS_PAGES);
  g.free_bytes = page_bytes * sysconf(_SC_AVPHYS_PAGES);
  return {g};
}

Multiprocessors multiprocessors(const Device&) {
  std::string why_none;
  return {list(why_none).front().multiprocessors, 228 * 1024};
}

void* allocate(int, int64_t bytes, const std::string& name) {
  return emu::allocate(bytes, name);
}
void release(int, void* memory) noexcept {
  // Every launch checks the guards, and throws; nothing was launched since.
  static_cast<void>(emu::release(memory));
}
void* allocate_in_stream(int index, void*, int64_t bytes, const std::string& name) {
  return allocate(index, bytes, name);
}
void release_in_stream(int index, void*, void* memory) noexcept {
  release(index, memory);
}

void* allocate_pinned(int, int64_t bytes, const std::string&) {
  return std::aligned_alloc(256, (static_cast<size_t>(bytes) + 255) / 256 * 256);
}
void release_pinned(int, void* memory) noexcept {
  std::free(memory);
}

void* make_stream(int) {
  return new NativeStream(std::make_shared<Pending>());
}
void destroy_stream(int, void* stream) noexcept {
  pending(stream).finish();
  delete static_cast<NativeStream*>(stream);
}
void synchronise(int, void* stream) {
  pending(stream).finish();
}
void make_current(int) {}

void* make_event(int) {
  return new NativeEvent;
}
void destroy_event(int, void* event) noexcept {
  delete static_cast<NativeEvent*>(event);
}
void record(int, void* event, void* stream) {
  *static_cast<NativeEvent*>(event) = {*static_cast<NativeStream*>(stream), pending(stream).given()};
}
void hold_back(int index, void*, void* event) {
  synchronise_event(index, event);
}
void synchronise_event(int, void* event) {
  const NativeEvent& e = *static_cast<NativeEvent*>(event);
  if (e.stream != nullptr) e.stream->run_until(e.point);
}

void fill_zero(int, void* stream, void* memory, int64_t bytes) {
  pending(stream).finish();
  emu::fill_bytes(memory, 0, bytes);
}
void copy_to_device(int, void* stream, void* device_memory, const void* host_memory, int64_t bytes) {
  pending(stream).finish();
  emu::copy_to_device(device_memory, host_memory, bytes);
}
void copy_to_host(int, void* stream, void* host_memory, const void* device_memory, int64_t bytes) {
  pending(stream).finish();
  emu::copy_to_host(host_memory, device_memory, bytes);
}
void enqueue_copy_to_device(int, void* stream, void* device_memory, const void* pinned_memory, int64_t bytes) {
  pending(stream).copies.push_back({device_memory, pinned_memory, bytes});
}
void enqueue_copy_on_device(int, void* stream, void* to, const void* from, int64_t bytes) {
  pending(stream).finish();
  emu::copy_to_device(to, from, bytes);
}

}  // namespace ptyfuse::gpu
