// Fourier transforms of the emulated GPU, behind FftPlan: plain, in double. FFTW's planner would take turns with the
// CPU operations' one, whose room this must not know.
#include "kernels/device/fft.h"

#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "kernels/emu/capture.h"
#include "kernels/emu/memory.h"

namespace ptyfuse::gpu {
namespace {

using Wave = std::vector<std::complex<double>>;

// The transform of `n` samples, `step` apart from `in` on, by its smallest factor.
void transform(const std::complex<double>* in, size_t n, size_t step, double sign, std::complex<double>* out) {
  if (n == 1) {
    *out = *in;
    return;
  }
  size_t factor = 2;
  while (n % factor != 0) factor += 1;
  const size_t part = n / factor;
  Wave parts(n);
  for (size_t i = 0; i < factor; ++i) transform(in + i * step, part, step * factor, sign, parts.data() + i * part);
  const double turn = sign * 2 * std::numbers::pi / static_cast<double>(n);
  for (size_t k = 0; k < n; ++k) {
    out[k] = 0;
    for (size_t i = 0; i < factor; ++i)
      out[k] += std::polar(1.0, turn * static_cast<double>(i * k % n)) * parts[i * part + k % part];
  }
}

}  // namespace

struct FftPlan::Impl {
  int64_t batch;
  size_t height, width;

  void run(bool inverse, void* images, int64_t count) const;
};

FftPlan::FftPlan(const Device&, int64_t batch, int64_t height, int64_t width)
    : impl_(std::make_unique<Impl>(Impl{batch, static_cast<size_t>(height), static_cast<size_t>(width)})) {}
FftPlan::~FftPlan() = default;
FftPlan::FftPlan(FftPlan&&) noexcept = default;
FftPlan& FftPlan::operator=(FftPlan&&) noexcept = default;

int64_t FftPlan::batch() const {
  return impl_->batch;
}

void FftPlan::run(const Stream& stream, bool inverse, void* images, int64_t count) const {
  const auto transform_all = [plan = impl_.get(), inverse, images, count] {
    const emu::DeviceAccess access;
    plan->run(inverse, images, count);
  };
  if (!emu::captured(stream.native_handle(), transform_all)) transform_all();
}

void FftPlan::Impl::run(bool inverse, void* images, int64_t count) const {
  const double sign = inverse ? 1 : -1;
  Wave image(height * width), rows(image.size()), column(height);
  for (int64_t b = 0; b < count; ++b) {
    auto* const data = static_cast<std::complex<float>*>(images) + b * static_cast<int64_t>(image.size());
    for (size_t i = 0; i < image.size(); ++i) image[i] = data[i];
    for (size_t y = 0; y < height; ++y) transform(image.data() + y * width, width, 1, sign, rows.data() + y * width);
    for (size_t x = 0; x < width; ++x) {
      transform(rows.data() + x, height, width, sign, column.data());
      for (size_t y = 0; y < height; ++y) data[y * width + x] = std::complex<float>(column[y]);
    }
  }
}

}  // namespace ptyfuse::gpu
