// The emu world behind Device, Stream and Buffer: one GPU, whose streams finish each piece of work at once.
#include "kernels/device/gpu.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "kernels/device/multiprocessors.h"
#include "kernels/emu/memory.h"

namespace ptyfuse::gpu {

std::vector<GpuDescription> list(std::string&) {
  GpuDescription g;
  g.name = "emulated GPU";
  g.major = 9;
  g.multiprocessors = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
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

void* make_stream(int) {
  return new char;
}
void destroy_stream(int, void* stream) noexcept {
  delete static_cast<char*>(stream);
}
void synchronise(int, void*) {}
void make_current(int) {}

void fill_zero(int, void*, void* memory, int64_t bytes) {
  emu::fill_bytes(memory, 0, bytes);
}
void copy_to_device(int, void*, void* device_memory, const void* host_memory, int64_t bytes) {
  emu::copy_to_device(device_memory, host_memory, bytes);
}
void copy_to_host(int, void*, void* host_memory, const void* device_memory, int64_t bytes) {
  emu::copy_to_host(host_memory, device_memory, bytes);
}

}  // namespace ptyfuse::gpu
