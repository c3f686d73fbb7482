// cuFFT behind FftPlan. The library, ten times as large as the program, is opened by the first plan: sizes that kernels
// of this project transform do without it.
#include <cufft.h>
#include <dlfcn.h>

#include "kernels/device/buffer.h"
#include "kernels/device/fft.h"
#include "kernels/device/gpu.h"

namespace ptyfuse::gpu {
namespace {

std::string size_text(int64_t batch, int64_t height, int64_t width) {
  return std::to_string(batch) + " images of " + std::to_string(height) + " x " + std::to_string(width);
}

void check(cufftResult result, int64_t batch, int64_t height, int64_t width) {
  if (result == CUFFT_SUCCESS) return;
  const std::string what = size_text(batch, height, width);
  if (result == CUFFT_ALLOC_FAILED) throw Error(ErrorKind::memory, "fft2: no memory on the GPU to transform " + what);
  throw Error(ErrorKind::device, "fft2: cuFFT fails on " + what + " with code " + std::to_string(result));
}

// Error(device): it is not to be found, or lacks a function.
class CuFft {
 public:
  CuFft() : handle_(dlopen(file().c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) {
    if (handle_ == nullptr) fail();
    try {
      find(create, "cufftCreate");
      find(set_auto_allocation, "cufftSetAutoAllocation");
      find(make_plan_many, "cufftMakePlanMany");
      find(set_work_area, "cufftSetWorkArea");
      find(destroy, "cufftDestroy");
      find(set_stream, "cufftSetStream");
      find(exec_c2c, "cufftExecC2C");
    } catch (...) {
      dlclose(handle_);
      throw;
    }
  }
  ~CuFft() { dlclose(handle_); }
  CuFft(const CuFft&) = delete;
  CuFft& operator=(const CuFft&) = delete;

  decltype(&cufftCreate) create;
  decltype(&cufftSetAutoAllocation) set_auto_allocation;
  decltype(&cufftMakePlanMany) make_plan_many;
  decltype(&cufftSetWorkArea) set_work_area;
  decltype(&cufftDestroy) destroy;
  decltype(&cufftSetStream) set_stream;
  decltype(&cufftExecC2C) exec_c2c;

 private:
  static std::string file() { return "libcufft.so." + std::to_string(CUFFT_VER_MAJOR); }
  [[noreturn]] static void fail() {
    const char* const why = dlerror();
    throw Error(ErrorKind::device, "fft2: images of this size need cuFFT (" + file() +
                                       "), which cannot be opened: " + (why == nullptr ? "no reason given" : why) +
                                       "; install CUDA's libraries (LD_LIBRARY_PATH says where), or use --device cpu");
  }
  template <class Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(handle_, name));
    if (function == nullptr) fail();
  }
  void* handle_;
};

}  // namespace

struct FftPlan::Impl {
  Impl(const Device& device, int64_t images, int64_t h, int64_t w)
      : batch(images), height(h), width(w), index(device.index()) {
    constexpr int64_t largest = 1 << 16;
    if (height > largest || width > largest)
      throw_shape_error("fft2", "image of " + std::to_string(height) + " x " + std::to_string(width) + " is too large");
    // Axes of one sample are none; an image of one pixel is its own transform.
    int extent[2], axes = 0;
    if (height > 1) extent[axes++] = static_cast<int>(height);
    if (width > 1) extent[axes++] = static_cast<int>(width);
    if (axes == 0) return;
    make_current(device.index());
    library = std::make_unique<CuFft>();
    check(library->create(&plan), batch, height, width);
    try {
      make(device, axes, extent);
    } catch (...) {
      library->destroy(plan);
      throw;
    }
    planned = true;
  }
  ~Impl() {
    if (planned && cudaSetDevice(index) == cudaSuccess) library->destroy(plan);
  }
  // With working memory that the device's account knows.
  void make(const Device& device, int axes, int* extent) {
    size_t work_bytes = 0;
    check(library->set_auto_allocation(plan, 0), batch, height, width);
    check(library->make_plan_many(plan, axes, extent, nullptr, 1, 0, nullptr, 1, 0, CUFFT_C2C, static_cast<int>(batch),
                                  &work_bytes),
          batch, height, width);
    work = Buffer(device, static_cast<int64_t>(work_bytes), "fft2 work");
    if (work_bytes > 0) check(library->set_work_area(plan, work.data()), batch, height, width);
  }
  int64_t batch, height, width;
  int index;
  std::unique_ptr<CuFft> library;
  Buffer work;
  cufftHandle plan = 0;
  bool planned = false;
};

FftPlan::FftPlan(const Device& device, int64_t batch, int64_t height, int64_t width)
    : impl_(std::make_unique<Impl>(device, batch, height, width)) {}
FftPlan::~FftPlan() = default;
FftPlan::FftPlan(FftPlan&&) noexcept = default;
FftPlan& FftPlan::operator=(FftPlan&&) noexcept = default;

int64_t FftPlan::batch() const {
  return impl_->batch;
}

void FftPlan::run(const Stream& stream, bool inverse, void* images, int64_t) const {
  if (!impl_->planned) return;
  auto* const data = static_cast<cufftComplex*>(images);
  const auto native = static_cast<cudaStream_t>(stream.native_handle());
  cufftResult result = impl_->library->set_stream(impl_->plan, native);
  if (result == CUFFT_SUCCESS)
    result = impl_->library->exec_c2c(impl_->plan, data, data, inverse ? CUFFT_INVERSE : CUFFT_FORWARD);
  check(result, impl_->batch, impl_->height, impl_->width);
}

}  // namespace ptyfuse::gpu
