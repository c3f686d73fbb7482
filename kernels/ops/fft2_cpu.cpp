#include "kernels/ops/fft2_cpu.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "kernels/ops/split_fft2_cpu.h"
#include "kernels/ops/split_image_cpu.h"

namespace ptyfuse::ops::cpu {
namespace {

// FFTW's planner keeps one state for the whole process, so making and destroying plans takes turns across all devices:
// static, like the mutexes of FFTW's double precision (engine/dft.cpp) and HDF5 (io/hdf5.cpp), and like them no value.
std::mutex& planner() {
  static std::mutex mutex;
  return mutex;
}

// Copies in to out scaled, rows and columns rotated so that in[y0,x0] comes to the origin.
void copy_rotated(const complex64* in, complex64* out, int64_t height, int64_t width, int64_t y0, int64_t x0,
                  float scale) {
  for (int64_t y = 0; y < height; ++y) {
    const complex64* from = in + (y + y0) % height * width;
    complex64* to = out + y * width;
    for (int64_t x = 0; x < width - x0; ++x) to[x] = scale * from[x + x0];
    for (int64_t x = width - x0; x < width; ++x) to[x] = scale * from[x + x0 - width];
  }
}

}  // namespace

FftwPlan::FftwPlan(int64_t height, int64_t width, FftDirection direction, const Layout& layout) {
  constexpr int64_t largest = 1 << 16;
  if (height > largest || width > largest)
    throw_shape_error("fft2", "image of " + std::to_string(height) + " x " + std::to_string(width) + " is too large");
  if (direction == FftDirection::forward)
    imaginary_ = layout.imaginary;
  else
    real_ = layout.imaginary, imaginary_ = 0;
  const int64_t floats = (height - 1) * layout.row + (width - 1) * layout.step + layout.imaginary + 1;
  const std::unique_ptr<float, decltype(&fftwf_free)> sample(fftwf_alloc_real(static_cast<size_t>(floats)), fftwf_free);
  const fftwf_iodim64 axes[2] = {{height, layout.row, layout.row}, {width, layout.step, layout.step}};
  const std::lock_guard lock(planner());
  if (sample) {
    float* const re = sample.get() + real_;
    float* const im = sample.get() + imaginary_;
    plan_.reset(fftwf_plan_guru64_split_dft(2, axes, 0, nullptr, re, im, re, im, FFTW_ESTIMATE));
  }
  if (!plan_)
    throw Error(ErrorKind::memory, "fft2: no plan for " + std::to_string(height) + " x " + std::to_string(width));
}

void FftwPlan::Destroy::operator()(fftwf_plan plan) const {
  const std::lock_guard lock(planner());
  fftwf_destroy_plan(plan);
}

void FftwPlan::run(float* data) const {
  fftwf_execute_split_dft(plan_.get(), data + real_, data + imaginary_, data + real_, data + imaginary_);
}

Fft2::Fft2(const Device& device, int64_t height, int64_t width) : device_(device), height_(height), width_(width) {
  Shape work{height, width};
  if (height == width && SplitFft2::has_own(height)) {
    const SplitImage image(height);
    planes_ = std::make_unique<SplitFft2>(height, image.pitch, image.plane);
    work = {height, image.pitch};
  } else {
    const FftwPlan::Layout interleaved{.step = 2, .row = 2 * width, .imaginary = 1};
    forward_ = std::make_unique<FftwPlan>(height, width, FftDirection::forward, interleaved);
    inverse_ = std::make_unique<FftwPlan>(height, width, FftDirection::inverse, interleaved);
  }
  for (int t = 0; t < device.threads(); ++t) scratch_.emplace_back(device, work, "fft2 scratch");
}

Fft2::~Fft2() = default;
Fft2::Fft2(Fft2&&) noexcept = default;
Fft2& Fft2::operator=(Fft2&&) noexcept = default;

void Fft2::run(FftDirection direction, TensorView<const complex64> in, TensorView<complex64> out) const {
  const int64_t pixels = height_ * width_;
  device_.parallel_for(in.extent(0), 4096 / pixels + 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t n = begin; n < end; ++n)
      transform(direction, in.data() + n * pixels, out.data() + n * pixels,
                scratch_[static_cast<size_t>(thread)].data());
  });
}

void Fft2::transform(FftDirection direction, const complex64* from, complex64* to, complex64* work) const {
  const int64_t pixels = height_ * width_, half_y = height_ / 2, half_x = width_ / 2;
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(pixels)));
  const bool forward = direction == FftDirection::forward;
  float* const floats = reinterpret_cast<float*>(work);
  if (planes_) {
    const SplitImage image(height_);
    to_planes(from, image, !forward, scale, floats);
    if (forward)
      planes_->forward(floats);
    else
      planes_->inverse(floats);
    from_planes(floats, image, forward, 1, to);
  } else if (forward) {
    std::copy_n(from, pixels, work);
    forward_->run(floats);
    copy_rotated(work, to, height_, width_, height_ - half_y, width_ - half_x, scale);
  } else {
    copy_rotated(from, work, height_, width_, half_y, half_x, scale);
    inverse_->run(floats);
    std::copy_n(work, pixels, to);
  }
}

}  // namespace ptyfuse::ops::cpu
