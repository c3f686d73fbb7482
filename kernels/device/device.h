#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/device/error.h"

namespace ptyfuse {

/// Every operation dispatches on this with a switch and no default, so that adding a kind makes the compiler name each
/// operation that lacks a body for it.
enum class DeviceKind {
  cpu,
#ifdef PTYFUSE_CUDA
  cuda,
#endif
};

/// What the processor offers beyond the baseline the binary was built for (x86-64-v3: AVX2 and FMA).
struct CpuFeatures {
  bool avx512 = false;    ///< AVX-512 F, CD, BW, DQ, VL
  bool amx_bf16 = false;  ///< AMX tiles with bfloat16, usable by this process
  std::string name;       ///< the processor's own name
};

struct CpuOptions {
  int threads = 0;                 ///< 0: as many as this process may run on
  int64_t memory_limit_bytes = 0;  ///< of all Buffers of this device together; 0: no limit
};

struct CudaOptions {
  int index = 0;                   ///< K of cuda:K
  int threads = 0;                 ///< of the host, for work around the GPU's; 0: as many as this process may run on
  int64_t memory_limit_bytes = 0;  ///< of all Buffers of this device together; 0: what the GPU has
};

/// A GPU of this machine.
struct GpuDescription {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  ///< compute capability
  int multiprocessors = 0;
  int64_t memory_bytes = 0, free_bytes = 0;
  std::string unusable;  ///< why it cannot be used; empty: it can
};

/// The GPUs of this machine, usable or not; where there are none, `why_none` says why (no driver, no GPU, a build
/// without CUDA).
std::vector<GpuDescription> list_gpus(std::string& why_none);

/// A place that computes: a cheap handle to shared state (its worker threads, its memory account). Copies mean the same
/// device. Any number of devices may live in one process; there is no default one and no global state.
class Device {
 public:
  /// The host processor with its own worker threads. Error(device): the processor lacks AVX2 or FMA; threads < 0.
  static Device cpu(const CpuOptions& options = {});
  /// A GPU and the host's worker threads. Error(device): there is none of this index, it is too old (compute capability
  /// below 8.0), its driver is too old, or this build has no CUDA.
  static Device cuda(const CudaOptions& options = {});

  DeviceKind kind() const;
  /// K of cuda:K; 0 on the CPU.
  int index() const;
  /// "cpu" or "cuda:K"
  std::string name() const;
  /// For people: "AMD EPYC, 2 threads, AVX2" or "NVIDIA H200, 132 multiprocessors, 140 GiB"
  std::string description() const;
  int threads() const;
  const CpuFeatures& cpu_features() const;

  int64_t memory_limit_bytes() const;
  int64_t memory_in_use_bytes() const;
  /// Largest memory_in_use_bytes() so far.
  int64_t memory_peak_bytes() const;

  /// Calls body(begin, end, thread) on the workers for a static, even partition of [0, count) into at most threads()
  /// runs, none smaller than `grain` unless it is the last; returns when all are done. The partition depends on count,
  /// grain and threads() alone, so results that are reduced in the order of `thread` repeat bit for bit. The first
  /// exception of a body is rethrown here. Bodies must not call parallel_for of the same device (Error(device)).
  void parallel_for(int64_t count, int64_t grain,
                    const std::function<void(int64_t begin, int64_t end, int thread)>& body) const;

  friend bool operator==(const Device& a, const Device& b) { return a.state_ == b.state_; }

 private:
  friend class Buffer;
  friend class Stream;
  struct State;
  explicit Device(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

/// An order of work on one device; copies mean the same stream. On the CPU every operation has finished when its call
/// returns; on a GPU operations of one stream run in order and synchronise() waits for them.
class Stream {
 public:
  explicit Stream(Device device);
  const Device& device() const { return device_; }
  /// Error(device): work of this stream failed.
  void synchronise() const;
  /// The CUDA stream (cudaStream_t), whose GPU becomes this thread's current one; null on the CPU.
  void* native_handle() const;

 private:
  Device device_;
  std::shared_ptr<void> native_;
};

}  // namespace ptyfuse
