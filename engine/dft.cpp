#include "engine/dft.h"

#include <fftw3.h>

#include <memory>
#include <mutex>
#include <numbers>

#include "kernels/device/error.h"

namespace ptyfuse {

namespace {

// FFTW's planner is one per process and not thread-safe; executing a plan is.
std::mutex& planner() {
  static std::mutex mutex;
  return mutex;
}

struct DestroyPlan {
  void operator()(fftw_plan_s* plan) const {
    const std::lock_guard lock(planner());
    fftw_destroy_plan(plan);
  }
};

std::vector<std::complex<double>> phasors(std::span<const double> places, std::span<const double> coordinates) {
  std::vector<std::complex<double>> out;
  out.reserve(places.size() * coordinates.size());
  for (const double place : places) {
    for (const double at : coordinates) out.push_back(std::polar(1.0, 2 * std::numbers::pi * place * at));
  }
  return out;
}

}  // namespace

void dft2(std::span<std::complex<double>> field, int64_t height, int64_t width, Direction direction) {
  if (height * width != static_cast<int64_t>(field.size())) throw_shape_error("dft2", "field and extents differ");
  if (field.empty()) return;
  auto* data = reinterpret_cast<fftw_complex*>(field.data());
  std::unique_ptr<fftw_plan_s, DestroyPlan> plan;
  {
    const std::lock_guard lock(planner());
    const int sign = direction == Direction::forward ? FFTW_FORWARD : FFTW_BACKWARD;
    plan.reset(fftw_plan_dft_2d(static_cast<int>(height), static_cast<int>(width), data, data, sign, FFTW_ESTIMATE));
  }
  if (!plan) throw Error(ErrorKind::memory, "dft2: FFTW has no plan for this size");
  fftw_execute(plan.get());
}

std::vector<std::complex<double>> partial_dft2(std::span<const std::complex<double>> field, std::span<const double> u,
                                               std::span<const double> v, std::span<const double> p,
                                               std::span<const double> q) {
  if (field.size() != u.size() * v.size()) throw_shape_error("partial_dft2", "field and coordinates differ");
  const size_t height = u.size(), width = v.size();
  const std::vector<std::complex<double>> rows = phasors(p, u), columns = phasors(q, v);
  std::vector<std::complex<double>> out(p.size() * q.size());
  for (size_t y = 0; y < height; ++y) {
    const std::complex<double>* line = field.data() + y * width;
    for (size_t b = 0; b < q.size(); ++b) {
      const std::complex<double>* wave = columns.data() + b * width;
      // Real and imaginary sums by hand: std::complex's product checks for NaN and does not vectorise.
      double real = 0, imag = 0;
#pragma omp simd reduction(+ : real, imag)
      for (size_t x = 0; x < width; ++x) {
        real += line[x].real() * wave[x].real() - line[x].imag() * wave[x].imag();
        imag += line[x].real() * wave[x].imag() + line[x].imag() * wave[x].real();
      }
      for (size_t a = 0; a < p.size(); ++a) out[a * q.size() + b] += rows[a * height + y] * std::complex(real, imag);
    }
  }
  return out;
}

}  // namespace ptyfuse
