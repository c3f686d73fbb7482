// The CUDA runtime behind Device, Stream and Buffer.
#include <cuda_runtime.h>

#include "kernels/device/gpu.h"
#include "kernels/device/multiprocessors.h"
#include "kernels/device/nvml.h"

namespace ptyfuse::gpu {
namespace {

constexpr int least_major = 8;  // bfloat16 tensor cores and cp.async
// A pattern of 128 x 128 in the shared memory of a block, with what the step around its transform needs. The GPUs of
// data centres have it; those for desktops (8.6, 8.9, 12.0) have 99 KiB.
constexpr size_t least_shared_bytes = 160 * 1024;

void check(const char* what, int index, cudaError_t status) {
  if (status == cudaSuccess) return;
  throw Error(ErrorKind::device, "cuda:" + std::to_string(index) + ": " + what + ": " + cudaGetErrorString(status));
}

cudaStream_t native(void* stream) {
  return static_cast<cudaStream_t>(stream);
}

// What the runtime would take into a graph, and a Graph is to have none of.
void forbid_in_capture(const char* what, int index, void* stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(what, index, cudaStreamIsCapturing(native(stream), &status));
  if (status != cudaStreamCaptureStatusNone) check(what, index, cudaErrorStreamCaptureUnsupported);
}
cudaEvent_t native_event(void* event) {
  return static_cast<cudaEvent_t>(event);
}

std::string version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

}  // namespace

std::vector<GpuDescription> list(std::string& why_none) {
  int driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver <= 0) {
    why_none = "no NVIDIA driver is installed, or it does not answer";
    return {};
  }
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver) {
    why_none = "the NVIDIA driver is too old: it offers CUDA " + version(driver) + ", this build needs " +
               version(CUDART_VERSION) + "; update the driver";
    return {};
  }
  if (status != cudaSuccess) {
    why_none = std::string("the NVIDIA driver reports: ") + cudaGetErrorString(status);
    if (status == cudaErrorNoDevice) why_none += " (CUDA_VISIBLE_DEVICES?)";
    return {};
  }
  if (count == 0) why_none = "the NVIDIA driver shows no GPU (CUDA_VISIBLE_DEVICES?)";
  std::vector<GpuDescription> gpus;
  const Nvml nvml;
  for (int i = 0; i < count; ++i) {
    GpuDescription g;
    g.index = i;
    cudaDeviceProp properties;
    if (const cudaError_t e = cudaGetDeviceProperties(&properties, i); e != cudaSuccess) {
      g.name = "GPU";
      g.unusable = cudaGetErrorString(e);
      gpus.push_back(g);
      continue;
    }
    g.name = properties.name;
    g.major = properties.major;
    g.minor = properties.minor;
    g.multiprocessors = properties.multiProcessorCount;
    int compute_mode = cudaComputeModeDefault;
    if (g.major < least_major) {
      g.unusable = "compute capability " + std::to_string(g.major) + "." + std::to_string(g.minor) +
                   " is too old; 8.0 (Ampere) or later is needed";
    } else if (properties.sharedMemPerBlockOptin < least_shared_bytes) {
      g.unusable = "its blocks have " + std::to_string(properties.sharedMemPerBlockOptin / 1024) +
                   " KiB of shared memory; the kernels need " + std::to_string(least_shared_bytes / 1024) +
                   " KiB (A100, H100, H200, B200)";
    } else if (cudaDeviceGetAttribute(&compute_mode, cudaDevAttrComputeMode, i) == cudaSuccess &&
               compute_mode == cudaComputeModeProhibited) {
      g.unusable = "its compute mode is 'prohibited' (nvidia-smi -c DEFAULT allows work)";
    }
    g.memory_bytes = static_cast<int64_t>(properties.totalGlobalMem);
    g.free_bytes = nvml.free_bytes(i);
    gpus.push_back(g);
  }
  return gpus;
}

Multiprocessors multiprocessors(const Device& device) {
  int count = 0, shared_bytes = 0;
  check("properties", device.index(), cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device.index()));
  check("properties", device.index(),
        cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerMultiprocessor, device.index()));
  return {count, shared_bytes};
}

void* allocate(int index, int64_t bytes, const std::string& name) {
  make_current(index);
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, static_cast<size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(("allocation of '" + name + "'").c_str(), index, status);
  return memory;
}

void release(int index, void* memory) noexcept {
  if (cudaSetDevice(index) == cudaSuccess) cudaFree(memory);
}

void* allocate_in_stream(int index, void* stream, int64_t bytes, const std::string& name) {
  make_current(index);
  forbid_in_capture(("allocation of '" + name + "'").c_str(), index, stream);
  void* memory = nullptr;
  const cudaError_t status = cudaMallocAsync(&memory, static_cast<size_t>(bytes), native(stream));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(("allocation of '" + name + "'").c_str(), index, status);
  return memory;
}

void release_in_stream(int index, void* stream, void* memory) noexcept {
  if (cudaSetDevice(index) == cudaSuccess) cudaFreeAsync(memory, native(stream));
}

void* allocate_pinned(int index, int64_t bytes, const std::string& name) {
  make_current(index);
  void* memory = nullptr;
  const cudaError_t status = cudaHostAlloc(&memory, static_cast<size_t>(bytes), cudaHostAllocPortable);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(("allocation of pinned '" + name + "'").c_str(), index, status);
  return memory;
}

void release_pinned(int index, void* memory) noexcept {
  if (memory != nullptr && cudaSetDevice(index) == cudaSuccess) cudaFreeHost(memory);
}

void* make_stream(int index) {
  make_current(index);
  // The pool behind allocate_in_stream keeps what it once had, else every wait for the GPU would give it back.
  uint64_t kept_bytes = uint64_t{32} << 20;
  cudaMemPool_t pool = nullptr;
  check("memory pool", index, cudaDeviceGetDefaultMemPool(&pool, index));
  check("memory pool", index, cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept_bytes));
  cudaStream_t stream = nullptr;
  check("stream", index, cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}

void destroy_stream(int index, void* stream) noexcept {
  if (cudaSetDevice(index) == cudaSuccess) cudaStreamDestroy(native(stream));
}

void synchronise(int index, void* stream) {
  make_current(index);
  check("work on the GPU", index, cudaStreamSynchronize(native(stream)));
}

void make_current(int index) {
  check("selection", index, cudaSetDevice(index));
}

void* make_event(int index) {
  make_current(index);
  cudaEvent_t event = nullptr;
  check("event", index, cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return event;
}

void destroy_event(int index, void* event) noexcept {
  if (cudaSetDevice(index) == cudaSuccess) cudaEventDestroy(native_event(event));
}

void record(int index, void* event, void* stream) {
  make_current(index);
  forbid_in_capture("recording an event", index, stream);
  check("recording an event", index, cudaEventRecord(native_event(event), native(stream)));
}

void hold_back(int index, void* stream, void* event) {
  make_current(index);
  forbid_in_capture("waiting for an event", index, stream);
  check("waiting for an event", index, cudaStreamWaitEvent(native(stream), native_event(event), 0));
}

void synchronise_event(int index, void* event) {
  make_current(index);
  check("work on the GPU", index, cudaEventSynchronize(native_event(event)));
}

void fill_zero(int index, void* stream, void* memory, int64_t bytes) {
  make_current(index);
  check("clearing memory", index, cudaMemsetAsync(memory, 0, static_cast<size_t>(bytes), native(stream)));
}

void copy_to_device(int index, void* stream, void* device_memory, const void* host_memory, int64_t bytes) {
  make_current(index);
  check(
      "copy to the GPU", index,
      cudaMemcpyAsync(device_memory, host_memory, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, native(stream)));
  // When memory has been read, the runtime leaves open, pinned or not.
  synchronise(index, stream);
}

void copy_to_host(int index, void* stream, void* host_memory, const void* device_memory, int64_t bytes) {
  make_current(index);
  check(
      "copy from the GPU", index,
      cudaMemcpyAsync(host_memory, device_memory, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, native(stream)));
  synchronise(index, stream);
}

void enqueue_copy_to_device(int index, void* stream, void* device_memory, const void* pinned_memory, int64_t bytes) {
  make_current(index);
  check("copy to the GPU", index,
        cudaMemcpyAsync(device_memory, pinned_memory, static_cast<size_t>(bytes), cudaMemcpyHostToDevice,
                        native(stream)));
}

void enqueue_copy_on_device(int index, void* stream, void* to, const void* from, int64_t bytes) {
  make_current(index);
  check("copy on the GPU", index,
        cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, native(stream)));
}

void enqueue_copy_to_host(int index, void* stream, void* pinned_memory, const void* device_memory, int64_t bytes) {
  make_current(index);
  check("copy from the GPU", index,
        cudaMemcpyAsync(pinned_memory, device_memory, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost,
                        native(stream)));
}

void begin_capture(int index, void* stream) {
  make_current(index);
  // Of this thread alone: another one may train another model, and allocate, at the same time.
  check("beginning a graph", index, cudaStreamBeginCapture(native(stream), cudaStreamCaptureModeThreadLocal));
}

void* end_capture(int index, void* stream) {
  make_current(index);
  cudaGraph_t graph = nullptr;
  check("ending a graph", index, cudaStreamEndCapture(native(stream), &graph));
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check("making a graph", index, status);
  return executable;
}

void abandon_capture(int index, void* stream) noexcept {
  cudaGraph_t graph = nullptr;
  // Of a capture that a call has broken there is no graph, and the call's error stays behind otherwise.
  if (cudaSetDevice(index) == cudaSuccess && cudaStreamEndCapture(native(stream), &graph) == cudaSuccess)
    cudaGraphDestroy(graph);
  cudaGetLastError();
}

void launch_graph(int index, void* stream, void* graph) {
  make_current(index);
  forbid_in_capture("launch of a graph", index, stream);
  check("launch of a graph", index, cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), native(stream)));
}

void destroy_graph(int index, void* graph) noexcept {
  if (cudaSetDevice(index) == cudaSuccess) cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
}

int64_t free_memory_bytes(int index) {
  make_current(index);
  size_t free_bytes = 0, total_bytes = 0;
  check("free memory", index, cudaMemGetInfo(&free_bytes, &total_bytes));
  return static_cast<int64_t>(free_bytes);
}

}  // namespace ptyfuse::gpu
