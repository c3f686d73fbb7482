#pragma once
// A GPU's free memory as nvidia-smi tells it, without using the GPU: the CUDA runtime would begin a context for that,
// which takes some hundred MiB of each. NVML comes with the driver; what is asked of it here has been the same in all
// its versions.
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <cstdint>

namespace ptyfuse::gpu {

class Nvml {
 public:
  Nvml() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    find(init_, "nvmlInit_v2");
    find(shutdown_, "nvmlShutdown");
    find(handle_of_, "nvmlDeviceGetHandleByPciBusId_v2");
    find(memory_of_, "nvmlDeviceGetMemoryInfo");
    ready_ = init_ != nullptr && shutdown_ != nullptr && handle_of_ != nullptr && memory_of_ != nullptr && init_() == 0;
  }
  ~Nvml() {
    if (ready_) shutdown_();
    if (library_ != nullptr) dlclose(library_);
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  /// Of GPU `index`; 0: it is not to be known.
  int64_t free_bytes(int index) const {
    char bus[32];
    void* device = nullptr;
    Memory memory{};
    if (!ready_ || cudaDeviceGetPCIBusId(bus, sizeof bus, index) != cudaSuccess || handle_of_(bus, &device) != 0 ||
        memory_of_(device, &memory) != 0)
      return 0;
    return static_cast<int64_t>(memory.free);
  }

 private:
  struct Memory {
    unsigned long long total, free, used;
  };
  template <class Function>
  void find(Function*& function, const char* name) {
    if (library_ != nullptr) function = reinterpret_cast<Function*>(dlsym(library_, name));
  }

  void* library_;
  int (*init_)() = nullptr;
  int (*shutdown_)() = nullptr;
  int (*handle_of_)(const char*, void**) = nullptr;
  int (*memory_of_)(void*, Memory*) = nullptr;
  bool ready_ = false;
};

}  // namespace ptyfuse::gpu
