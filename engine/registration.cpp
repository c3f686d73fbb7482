#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/dft.h"
#include "engine/metrics.h"
#include "kernels/device/error.h"

namespace ptyfuse {

namespace {

std::vector<std::complex<double>> spectrum_of_magnitude(const FieldImage& image) {
  std::vector<std::complex<double>> out(image.data.size());
  std::transform(image.data.begin(), image.data.end(), out.begin(), [](auto value) { return std::abs(value); });
  dft2(out, image.height, image.width, Direction::forward);
  return out;
}

size_t place_of_largest(const std::vector<std::complex<double>>& values) {
  size_t best = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    if (std::norm(values[i]) > std::norm(values[best])) best = i;
  }
  return best;
}

std::vector<double> frequencies_per_px(int64_t n) {
  std::vector<double> out;
  for (int64_t k = 0; k < n; ++k) out.push_back(static_cast<double>(dft_frequency(k, n)) / static_cast<double>(n));
  return out;
}

// A periodic shift up to half the image, n/2 itself counted as positive.
double signed_shift(size_t place, int64_t n) {
  const auto at = static_cast<int64_t>(place);
  return static_cast<double>(at > n / 2 ? at - n : at);
}

}  // namespace

std::array<double, 2> register_shift(const FieldImage& fixed, const FieldImage& moving, int upsample) {
  if (fixed.height != moving.height || fixed.width != moving.width || fixed.data.empty()) {
    throw_shape_error("register_shift", "two images of one size, not empty, are needed");
  }
  if (upsample < 1) throw_shape_error("register_shift", "upsample must be at least 1");
  const int64_t height = fixed.height, width = fixed.width;
  std::vector<std::complex<double>> product = spectrum_of_magnitude(fixed);
  const std::vector<std::complex<double>> other = spectrum_of_magnitude(moving);
  constexpr double floor = 100 * std::numeric_limits<double>::epsilon();
  for (size_t i = 0; i < product.size(); ++i) {
    product[i] *= std::conj(other[i]);
    product[i] /= std::max(std::abs(product[i]), floor);
  }

  std::vector<std::complex<double>> correlation = product;
  dft2(correlation, height, width, Direction::inverse);
  const size_t peak = place_of_largest(correlation);
  std::array<double, 2> shift{signed_shift(peak / static_cast<size_t>(width), height),
                              signed_shift(peak % static_cast<size_t>(width), width)};
  if (upsample > 1) {
    // 1.5 px about the coarse peak, in steps of 1/upsample.
    const int steps = static_cast<int>(std::ceil(1.5 * upsample));
    std::vector<double> rows, columns;
    for (int i = 0; i < steps; ++i) {
      const double step = static_cast<double>(i - steps / 2) / upsample;
      rows.push_back(shift[0] + step);
      columns.push_back(shift[1] + step);
    }
    const size_t fine =
        place_of_largest(partial_dft2(product, frequencies_per_px(height), frequencies_per_px(width), rows, columns));
    shift = {rows[fine / columns.size()], columns[fine % columns.size()]};
  }
  if (height == 1) shift[0] = 0;
  if (width == 1) shift[1] = 0;
  return shift;
}

FieldImage fourier_shift(const FieldImage& image, std::array<double, 2> shift_px) {
  FieldImage out = image;
  dft2(out.data, image.height, image.width, Direction::forward);
  const std::vector<double> fy = frequencies_per_px(image.height), fx = frequencies_per_px(image.width);
  const double scale = 1.0 / static_cast<double>(std::max<int64_t>(1, image.height * image.width));
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      const double turns = fy[y] * shift_px[0] + fx[x] * shift_px[1];
      out.data[y * image.width + x] *= std::polar(scale, -2 * std::numbers::pi * turns);
    }
  }
  dft2(out.data, image.height, image.width, Direction::inverse);
  return out;
}

}  // namespace ptyfuse
