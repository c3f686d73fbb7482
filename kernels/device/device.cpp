#include "kernels/device/device.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "kernels/device/device_state.h"

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

DeviceKind Device::kind() const {
  return DeviceKind::cpu;
}
std::string Device::name() const {
  return "cpu";
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
  const CpuFeatures& f = cpu_features();
  return f.name + ", " + std::to_string(threads()) + (threads() == 1 ? " thread, " : " threads, ") +
         (f.amx_bf16 ? "AVX-512 and AMX"
          : f.avx512 ? "AVX-512"
                     : "AVX2");
}

void Device::parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& body) const {
  state_->pool.run(count, grain, body);
}

}  // namespace ptyfuse
