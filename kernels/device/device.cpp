#include "kernels/device/device.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "kernels/device/device_state.h"
#ifdef PTYFUSE_CUDA
#include "kernels/device/gpu.h"
#endif

namespace ptyfuse {
namespace {

std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("model name", 0) == 0) {
      const size_t colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "x86-64 processor";
}

// Linux hands out the AMX tile registers on request only.
bool amx_allowed() {
  constexpr long arch_req_xcomp_perm = 0x1023;
  constexpr long xfeature_xtiledata = 18;
  return syscall(SYS_arch_prctl, arch_req_xcomp_perm, xfeature_xtiledata) == 0;
}

CpuFeatures detect_cpu() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    throw Error(ErrorKind::device, "this processor lacks AVX2 or FMA, which the CPU device needs (x86-64-v3)");
  CpuFeatures f;
  f.name = processor_name();
  f.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("flags", 0) != 0) continue;
    f.amx_bf16 = line.find(" amx_bf16") != std::string::npos && line.find(" amx_tile") != std::string::npos;
    break;
  }
  f.amx_bf16 = f.amx_bf16 && f.avx512 && amx_allowed();
  return f;
}

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

Device Device::cpu(const CpuOptions& options) {
  if (options.threads < 0) throw Error(ErrorKind::device, "threads: expected 0 (all) or a positive number");
  if (options.memory_limit_bytes < 0) throw Error(ErrorKind::device, "memory limit: expected 0 (none) or more bytes");
  const int threads = options.threads > 0 ? options.threads : usable_processors();
  return Device(std::make_shared<State>(detect_cpu(), threads, options.memory_limit_bytes));
}

#ifdef PTYFUSE_CUDA
std::vector<GpuDescription> list_gpus(std::string& why_none) {
  return gpu::list(why_none);
}

Device Device::cuda(const CudaOptions& options) {
  std::string why_none;
  const std::vector<GpuDescription> gpus = list_gpus(why_none);
  if (gpus.empty()) throw Error(ErrorKind::device, "no usable GPU: " + why_none);
  const auto wanted = std::find_if(gpus.begin(), gpus.end(), [&](const auto& g) { return g.index == options.index; });
  if (wanted == gpus.end())
    throw Error(ErrorKind::device,
                "cuda:" + std::to_string(options.index) + ": there is no such GPU; this machine has " +
                    (gpus.size() == 1 ? "cuda:0 alone" : "cuda:0 to cuda:" + std::to_string(gpus.size() - 1)));
  if (!wanted->unusable.empty())
    throw Error(ErrorKind::device,
                "cuda:" + std::to_string(options.index) + " (" + wanted->name + "): " + wanted->unusable);
  gpu::make_current(options.index);  // its driver may refuse
  Device device = cpu({.threads = options.threads, .memory_limit_bytes = options.memory_limit_bytes});
  device.state_->kind = DeviceKind::cuda;
  device.state_->gpu = *wanted;
  return device;
}
#else
std::vector<GpuDescription> list_gpus(std::string& why_none) {
  why_none = "this build has no CUDA device; ./bin/build cuda makes a build that has";
  return {};
}

Device Device::cuda(const CudaOptions&) {
  std::string why_none;
  list_gpus(why_none);
  throw Error(ErrorKind::device, "no usable GPU: " + why_none);
}
#endif

DeviceKind Device::kind() const {
  return state_->kind;
}
int Device::index() const {
  return state_->gpu.index;
}
std::string Device::name() const {
  return kind() == DeviceKind::cpu ? "cpu" : "cuda:" + std::to_string(index());
}
int Device::threads() const {
  return state_->pool.threads();
}
const CpuFeatures& Device::cpu_features() const {
  return state_->features;
}
int64_t Device::memory_limit_bytes() const {
  return state_->memory.limit_bytes();
}
int64_t Device::memory_in_use_bytes() const {
  return state_->memory.in_use_bytes();
}
int64_t Device::memory_peak_bytes() const {
  return state_->memory.peak_bytes();
}

std::string Device::description() const {
  if (kind() != DeviceKind::cpu) {
    const GpuDescription& g = state_->gpu;
    return g.name + ", " + std::to_string(g.multiprocessors) + " multiprocessors, " +
           std::to_string(g.memory_bytes >> 30) + " GiB";
  }
  const CpuFeatures& f = cpu_features();
  return f.name + ", " + std::to_string(threads()) + (threads() == 1 ? " thread, " : " threads, ") +
         (f.amx_bf16 ? "AVX-512 and AMX"
          : f.avx512 ? "AVX-512"
                     : "AVX2");
}

void Device::parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& body) const {
  state_->pool.run(count, grain, body);
}

#ifdef PTYFUSE_CUDA
Stream::Stream(Device device) : device_(std::move(device)) {
  if (device_.kind() == DeviceKind::cpu) return;
  const int index = device_.index();
  native_ =
      std::shared_ptr<void>(gpu::make_stream(index), [index](void* stream) { gpu::destroy_stream(index, stream); });
}
void Stream::synchronise() const {
  if (device_.kind() != DeviceKind::cpu) gpu::synchronise(device_.index(), native_.get());
}
void* Stream::native_handle() const {
  if (device_.kind() != DeviceKind::cpu) gpu::make_current(device_.index());
  return native_.get();
}
#else
Stream::Stream(Device device) : device_(std::move(device)) {}
void Stream::synchronise() const {}
void* Stream::native_handle() const {
  return nullptr;
}
#endif

}  // namespace ptyfuse
