// cuFFT behind FftPlan.
#include <cufft.h>

#include "kernels/device/fft.h"

namespace ptyfuse::gpu {
namespace {

void check(cufftResult result, int64_t batch, int64_t height, int64_t width) {
  if (result == CUFFT_SUCCESS) return;
  const std::string what =
      std::to_string(batch) + " images of " + std::to_string(height) + " x " + std::to_string(width);
  if (result == CUFFT_ALLOC_FAILED) throw Error(ErrorKind::memory, "fft2: no memory on the GPU to transform " + what);
  throw Error(ErrorKind::device, "fft2: cuFFT fails on " + what + " with code " + std::to_string(result));
}

}  // namespace

struct FftPlan::Impl {
  Impl(const Device& device, int64_t images, int64_t h, int64_t w) : batch(images), height(h), width(w) {
    constexpr int64_t largest = 1 << 16;
    if (height > largest || width > largest)
      throw_shape_error("fft2", "image of " + std::to_string(height) + " x " + std::to_string(width) + " is too large");
    // Axes of one sample are none; an image of one pixel is its own transform.
    int extent[2], axes = 0;
    if (height > 1) extent[axes++] = static_cast<int>(height);
    if (width > 1) extent[axes++] = static_cast<int>(width);
    if (axes == 0) return;
    Stream(device).native_handle();  // makes this GPU the thread's current one
    check(cufftPlanMany(&plan, axes, extent, nullptr, 1, 0, nullptr, 1, 0, CUFFT_C2C, static_cast<int>(batch)), batch,
          height, width);
    planned = true;
  }
  ~Impl() {
    if (planned) cufftDestroy(plan);
  }
  int64_t batch, height, width;
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

void FftPlan::run(const Stream& stream, bool inverse, void* images) const {
  if (!impl_->planned) return;
  auto* const data = static_cast<cufftComplex*>(images);
  const auto native = static_cast<cudaStream_t>(stream.native_handle());
  cufftResult result = cufftSetStream(impl_->plan, native);
  if (result == CUFFT_SUCCESS) result = cufftExecC2C(impl_->plan, data, data, inverse ? CUFFT_INVERSE : CUFFT_FORWARD);
  check(result, impl_->batch, impl_->height, impl_->width);
}

}  // namespace ptyfuse::gpu
