#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/dft.h"
#include "engine/metrics.h"
#include "kernels/device/error.h"

namespace ptyfuse {

namespace {

std::vector<std::complex<double>> spectrum_of_central_square(const RealImage& image, int64_t side) {
  const int64_t top = (image.height - side) / 2, left = (image.width - side) / 2;
  std::vector<std::complex<double>> field;
  field.reserve(static_cast<size_t>(side * side));
  for (int64_t y = 0; y < side; ++y) {
    const auto line = image.data.begin() + (top + y) * image.width + left;
    field.insert(field.end(), line, line + side);
  }
  dft2(field, side, side, Direction::forward);
  return field;
}

}  // namespace

std::vector<double> fourier_ring_correlation(const RealImage& a, const RealImage& b) {
  if (a.height != b.height || a.width != b.width) {
    throw_shape_error("fourier_ring_correlation", "the images' sizes differ");
  }
  const int64_t side = std::min(a.height, a.width);
  const std::vector<std::complex<double>> fa = spectrum_of_central_square(a, side);
  const std::vector<std::complex<double>> fb = spectrum_of_central_square(b, side);
  const auto ring_of = [](int64_t ky, int64_t kx) {
    return static_cast<size_t>(std::nearbyint(std::sqrt(static_cast<double>(ky * ky + kx * kx))));
  };
  const size_t rings = side == 0 ? 0 : ring_of(side / 2, side / 2) + 1;
  std::vector<std::complex<double>> cross(rings);
  std::vector<double> power_a(rings), power_b(rings);
  for (int64_t y = 0; y < side; ++y) {
    for (int64_t x = 0; x < side; ++x) {
      const size_t ring = ring_of(dft_frequency(y, side), dft_frequency(x, side));
      const std::complex<double> u = fa[y * side + x], v = fb[y * side + x];
      cross[ring] += u * std::conj(v);
      power_a[ring] += std::norm(u);
      power_b[ring] += std::norm(v);
    }
  }
  std::vector<double> curve(rings);
  for (size_t ring = 0; ring < rings; ++ring) {
    const double power = std::sqrt(power_a[ring]) * std::sqrt(power_b[ring]);
    curve[ring] = power > 0 ? std::abs(cross[ring]) / power : 0;
  }
  return curve;
}

double first_below(std::span<const double> curve, double level) {
  for (size_t i = 0; i < curve.size(); ++i) {
    if (curve[i] >= level) continue;
    if (i == 0) return 0;
    return static_cast<double>(i - 1) + (curve[i - 1] - level) / (curve[i - 1] - curve[i]);
  }
  return static_cast<double>(curve.size());
}

double pearson(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) throw_shape_error("pearson", "the images' sizes differ");
  const auto n = static_cast<double>(a.size());
  double mean_a = 0, mean_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    mean_a += a[i] / n;
    mean_b += b[i] / n;
  }
  double aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double u = a[i] - mean_a, v = b[i] - mean_b;
    aa += u * u;
    bb += v * v;
    ab += u * v;
  }
  if (aa == 0 || bb == 0) return std::numeric_limits<double>::quiet_NaN();
  return ab / (std::sqrt(aa) * std::sqrt(bb));
}

}  // namespace ptyfuse
