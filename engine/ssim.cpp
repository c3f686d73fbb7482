#include <algorithm>
#include <array>
#include <cmath>

#include "engine/gaussian_filter.h"
#include "engine/metrics.h"
#include "kernels/device/error.h"

namespace ptyfuse {

namespace {

constexpr int64_t window = 7;

void require_window(const char* name, const RealImage& a, const RealImage& b) {
  if (a.height != b.height || a.width != b.width) throw_shape_error(name, "the images' sizes differ");
  if (a.height < window || a.width < window) {
    throw_shape_error(name, "an image of " + std::to_string(a.height) + " x " + std::to_string(a.width) +
                                " pixels is smaller than the 7 x 7 window");
  }
}

double range(const RealImage& image) {
  const auto [low, high] = std::minmax_element(image.data.begin(), image.data.end());
  return *high - *low;
}

RealImage decimate(const RealImage& image) {
  RealImage out{(image.height + 1) / 2, (image.width + 1) / 2, {}};
  out.data.reserve(static_cast<size_t>(out.height * out.width));
  for (int64_t y = 0; y < image.height; y += 2) {
    for (int64_t x = 0; x < image.width; x += 2) out.data.push_back(image.data[y * image.width + x]);
  }
  return out;
}

}  // namespace

double ssim(const RealImage& a, const RealImage& b, double range) {
  require_window("ssim", a, b);
  const int64_t height = a.height, width = a.width, columns = width;
  const double c1 = 0.01 * range * (0.01 * range), c2 = 0.03 * range * (0.03 * range);
  constexpr double pixels = window * window, sample = pixels / (pixels - 1);
  enum { sum_a, sum_b, sum_aa, sum_bb, sum_ab, sums };
  // Sums over the window's seven rows, per column; then over seven columns.
  std::vector<std::array<double, sums>> column(static_cast<size_t>(columns));
  double total = 0;
  for (int64_t y = 0; y + window <= height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      std::array<double, sums> sum{};
      for (int64_t k = 0; k < window; ++k) {
        const double u = a.data[(y + k) * width + x], v = b.data[(y + k) * width + x];
        sum[sum_a] += u;
        sum[sum_b] += v;
        sum[sum_aa] += u * u;
        sum[sum_bb] += v * v;
        sum[sum_ab] += u * v;
      }
      column[x] = sum;
    }
    for (int64_t x = 0; x + window <= width; ++x) {
      std::array<double, sums> mean{};
      for (int64_t k = 0; k < window; ++k) {
        for (int i = 0; i < sums; ++i) mean[i] += column[x + k][i];
      }
      for (double& value : mean) value /= pixels;
      const double ma = mean[sum_a], mb = mean[sum_b];
      const double variance_a = sample * (mean[sum_aa] - ma * ma), variance_b = sample * (mean[sum_bb] - mb * mb);
      const double covariance = sample * (mean[sum_ab] - ma * mb);
      total += (2 * ma * mb + c1) * (2 * covariance + c2) / ((ma * ma + mb * mb + c1) * (variance_a + variance_b + c2));
    }
  }
  return total / static_cast<double>((height - window + 1) * (width - window + 1));
}

double ms_ssim(const RealImage& a, const RealImage& b, double sigma_px) {
  require_window("ms_ssim", a, b);
  RealImage first{a.height, a.width, gaussian_filter(a.data, a.height, a.width, sigma_px)};
  RealImage second{b.height, b.width, gaussian_filter(b.data, b.height, b.width, sigma_px)};
  const double span = std::max(range(first), range(second));
  double product = 1;
  for (const double weight : {0.0448, 0.2856, 0.3001, 0.2363, 0.1333}) {
    const double level = ssim(first, second, span);
    if (std::isnan(level)) return 0;
    product *= std::pow(level < 0 ? 1e-4 : level, weight);
    first = decimate(first);
    second = decimate(second);
    if (std::min(first.height, first.width) < window) break;
  }
  return product;
}

}  // namespace ptyfuse
