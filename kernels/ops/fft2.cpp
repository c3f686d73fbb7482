#include "kernels/ops/fft2.h"

#include <cmath>

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/fft2_cpu.h"
#ifdef PTYFUSE_CUDA
#include "kernels/ops/fft2_cuda.h"
#endif

namespace ptyfuse::ops {

struct Fft2::Impl {
  Impl(const Device& d, int64_t h, int64_t w) : device(d), height(h), width(w) {
    switch (device.kind()) {
      case DeviceKind::cpu:
        cpu_body = std::make_unique<cpu::Fft2>(device, height, width);
        return;
#ifdef PTYFUSE_CUDA
      case DeviceKind::cuda:
        cuda_body = std::make_unique<cuda::Fft2>(device, height, width);
        return;
#endif
    }
  }
  Device device;
  int64_t height, width;
  std::unique_ptr<cpu::Fft2> cpu_body;
#ifdef PTYFUSE_CUDA
  std::unique_ptr<cuda::Fft2> cuda_body;
#endif
};

Fft2::Fft2(const Device& device, int64_t height, int64_t width) {
  if (height < 1 || width < 1)
    throw_shape_error("fft2", "image of " + std::to_string(height) + " x " + std::to_string(width));
  impl_ = std::make_unique<Impl>(device, height, width);
}
Fft2::~Fft2() = default;
Fft2::Fft2(Fft2&&) noexcept = default;
Fft2& Fft2::operator=(Fft2&&) noexcept = default;

int64_t Fft2::height() const {
  return impl_->height;
}
int64_t Fft2::width() const {
  return impl_->width;
}

void Fft2::run(Stream& stream, FftDirection direction, TensorView<const complex64> in,
               TensorView<complex64> out) const {
  require_rank("fft2", "in", in, 3);
  require_dense("fft2", "in", in, {in.extent(0), impl_->height, impl_->width});
  require_dense("fft2", "out", out, in.shape());
  if (!(stream.device() == impl_->device))
    throw Error(ErrorKind::device, "fft2: the stream is of another device than the transform was made for");
  switch (impl_->device.kind()) {
    case DeviceKind::cpu:
      return impl_->cpu_body->run(direction, in, out);
      PTYFUSE_ON_CUDA(impl_->cuda_body->run(stream, direction, in, out));
  }
}

Cost Fft2::cost(const Shape& in) {
  const auto n = static_cast<double>(in.elements());
  const auto pixels = static_cast<double>(in[1] * in[2]);
  return {.flop = pixels > 1 ? 5 * n * std::log2(pixels) : 0, .bytes = 16 * n};
}

}  // namespace ptyfuse::ops
