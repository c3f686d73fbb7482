#pragma once
// What a CUDA device consists of, behind Device, Stream and Buffer; private to this room. One body talks to the CUDA
// runtime (gpu_cuda.cu), one to the emu world (kernels/emu/gpu.cpp); builds without CUDA have none.
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/device/device.h"

namespace ptyfuse::gpu {

/// The GPUs that the driver shows, usable or not; empty with the reason in `why_none`. None is put to use for that: a
/// GPU whose use the driver refuses right now says so in make_current(). free_bytes is 0 where it is not to be known.
std::vector<GpuDescription> list(std::string& why_none);

/// Aligned to 256 bytes; null when the memory is not to be had. Error(device): the GPU fails.
void* allocate(int index, int64_t bytes, const std::string& name);
void release(int index, void* memory) noexcept;
/// The same from a pool, in the order of the stream's work: no wait for the GPU.
void* allocate_in_stream(int index, void* stream, int64_t bytes, const std::string& name);
void release_in_stream(int index, void* stream, void* memory) noexcept;
/// Host memory that copies of GPU `index` read by themselves; null when it is not to be had.
void* allocate_pinned(int index, int64_t bytes, const std::string& name);
void release_pinned(int index, void* memory) noexcept;

/// Work of one stream runs in order. Error(device): the GPU fails, at the latest in synchronise().
void* make_stream(int index);
void destroy_stream(int index, void* stream) noexcept;
void synchronise(int index, void* stream);
/// Kernels that this thread launches next go to GPU `index`.
void make_current(int index);

/// See Event.
void* make_event(int index);
void destroy_event(int index, void* event) noexcept;
void record(int index, void* event, void* stream);
void hold_back(int index, void* stream, void* event);
void synchronise_event(int index, void* event);

void fill_zero(int index, void* stream, void* memory, int64_t bytes);
/// Ordered in the stream; the host's memory may be used again at return.
void copy_to_device(int index, void* stream, void* device_memory, const void* host_memory, int64_t bytes);
/// Complete at return.
void copy_to_host(int index, void* stream, void* host_memory, const void* device_memory, int64_t bytes);
/// Ordered in the stream; from pinned memory, which is read some time after the return.
void enqueue_copy_to_device(int index, void* stream, void* device_memory, const void* pinned_memory, int64_t bytes);
void enqueue_copy_on_device(int index, void* stream, void* to, const void* from, int64_t bytes);
/// Ordered in the stream; to pinned memory, which is written some time after the return.
void enqueue_copy_to_host(int index, void* stream, void* pinned_memory, const void* device_memory, int64_t bytes);

/// See Graph. Work given to `stream` is recorded from begin_capture() to end_capture() and not done; what this thread
/// must not do meanwhile is an Error(device), after which the capture can only be abandoned.
void begin_capture(int index, void* stream);
void* end_capture(int index, void* stream);
void abandon_capture(int index, void* stream) noexcept;
void launch_graph(int index, void* stream, void* graph);
void destroy_graph(int index, void* graph) noexcept;

/// What the driver says is free on GPU `index`, where this process works.
int64_t free_memory_bytes(int index);

}  // namespace ptyfuse::gpu
