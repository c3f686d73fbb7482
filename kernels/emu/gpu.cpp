// The emu world behind Device, Stream and Buffer: one GPU, whose streams finish each piece of work at once, but for
// copies from and to pinned memory: those happen as late as a GPU may do them, when something waits for them, so that a
// wait that is missing shows. While a stream is captured its work is kept instead.
#include "kernels/device/gpu.h"

#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <memory>

#include "kernels/device/multiprocessors.h"
#include "kernels/emu/capture.h"
#include "kernels/emu/memory.h"

namespace ptyfuse::gpu {
namespace {

struct PinnedCopy {
  void* to;
  const void* from;
  int64_t bytes;
  bool to_host;

  void run() const { (to_host ? emu::copy_to_host : emu::copy_to_device)(to, from, bytes); }
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
      copy.run();
    }
  }
  void finish() { run_until(given()); }
};
using NativeStream = std::shared_ptr<Pending>;

struct NativeEvent {
  NativeStream stream;  // none before it is recorded
  int64_t point = 0;
};

void run_until(const NativeEvent& event) {
  if (event.stream != nullptr) event.stream->run_until(event.point);
}

Pending& pending(void* stream) {
  return **static_cast<NativeStream*>(stream);
}

// Behind the stream's copies, or into the graph that is captured.
void run_in_order(void* stream, const std::function<void()>& work) {
  if (emu::captured(stream, work)) return;
  pending(stream).finish();
  work();
}
void enqueue(void* stream, const PinnedCopy& copy) {
  if (!emu::captured(stream, [copy] { copy.run(); })) pending(stream).copies.push_back(copy);
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

int64_t free_memory_bytes(int) {
  return static_cast<int64_t>(sysconf(_SC_PAGESIZE)) * sysconf(_SC_AVPHYS_PAGES);
}

void* allocate(int, int64_t bytes, const std::string& name) {
  emu::forbid_in_capture("cudaMalloc");
  return emu::allocate(bytes, name);
}
void release(int, void* memory) noexcept {
  emu::break_capture("cudaFree");
  // Every launch checks the guards, and throws; nothing was launched since.
  static_cast<void>(emu::release(memory));
}
// A GPU takes these into the graph, as an allocation in each launch. Here they are refused: a graph is to have none.
void* allocate_in_stream(int, void*, int64_t bytes, const std::string& name) {
  emu::forbid_in_capture("cudaMallocAsync");
  return emu::allocate(bytes, name);
}
void release_in_stream(int, void*, void* memory) noexcept {
  emu::break_capture("cudaFreeAsync");
  static_cast<void>(emu::release(memory));
}

void* allocate_pinned(int, int64_t bytes, const std::string&) {
  emu::forbid_in_capture("cudaHostAlloc");
  return std::aligned_alloc(256, (static_cast<size_t>(bytes) + 255) / 256 * 256);
}
void release_pinned(int, void* memory) noexcept {
  emu::break_capture("cudaFreeHost");
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
  emu::forbid_on_captured(stream, "cudaStreamSynchronize");
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
  emu::forbid_on_captured(stream, "cudaEventRecord");
  *static_cast<NativeEvent*>(event) = {*static_cast<NativeStream*>(stream), pending(stream).given()};
}
void hold_back(int, void* stream, void* event) {
  emu::forbid_on_captured(stream, "cudaStreamWaitEvent");
  run_until(*static_cast<NativeEvent*>(event));
}
void synchronise_event(int, void* event) {
  run_until(*static_cast<NativeEvent*>(event));
}

void fill_zero(int, void* stream, void* memory, int64_t bytes) {
  run_in_order(stream, [=] { emu::fill_bytes(memory, 0, bytes); });
}
void copy_to_device(int, void* stream, void* device_memory, const void* host_memory, int64_t bytes) {
  emu::forbid_on_captured(stream, "cudaMemcpyAsync of pageable memory");
  pending(stream).finish();
  emu::copy_to_device(device_memory, host_memory, bytes);
}
void copy_to_host(int, void* stream, void* host_memory, const void* device_memory, int64_t bytes) {
  emu::forbid_on_captured(stream, "cudaMemcpyAsync of pageable memory");
  pending(stream).finish();
  emu::copy_to_host(host_memory, device_memory, bytes);
}
void enqueue_copy_to_device(int, void* stream, void* device_memory, const void* pinned_memory, int64_t bytes) {
  enqueue(stream, {device_memory, pinned_memory, bytes, false});
}
void enqueue_copy_to_host(int, void* stream, void* pinned_memory, const void* device_memory, int64_t bytes) {
  enqueue(stream, {pinned_memory, device_memory, bytes, true});
}
void enqueue_copy_on_device(int, void* stream, void* to, const void* from, int64_t bytes) {
  run_in_order(stream, [=] { emu::copy_on_device(to, from, bytes); });
}

void begin_capture(int, void* stream) {
  emu::begin_capture(stream);
}
void* end_capture(int, void* stream) {
  return emu::end_capture(stream).release();
}
void abandon_capture(int, void*) noexcept {
  emu::abandon_capture();
}
void launch_graph(int, void* stream, void* graph) {
  emu::forbid_on_captured(stream, "cudaGraphLaunch");
  pending(stream).finish();
  const emu::DeviceAccess access;
  for (const auto& work : *static_cast<emu::Graph*>(graph)) work();
}
void destroy_graph(int, void* graph) noexcept {
  delete static_cast<emu::Graph*>(graph);
}

}  // namespace ptyfuse::gpu
