#pragma once
// Diffraction of an object by definition, in double.
#include <array>
#include <cmath>
#include <complex>
#include <cstdint>
#include <numbers>
#include <vector>

#include "io/scan.h"

namespace ptyfuse::tests {

/// Section 2 and 0.3 as written, in double: T_{-r} of the padded object, times the probe, orthonormal DFT.
inline std::vector<double> reference_pattern(const io::ComplexImage& objects, int32_t image,
                                             const io::ComplexImage& probe, std::array<double, 2> position) {
  const int64_t n = probe.width;
  const auto pixel = [&](int64_t y, int64_t x) {
    return y < 0 || x < 0 || y >= objects.height || x >= objects.width
               ? std::complex<double>()
               : std::complex<double>(
                     objects.data[static_cast<size_t>((image * objects.height + y) * objects.width + x)]);
  };
  std::vector<double> intensity(static_cast<size_t>(n * n), 0);
  for (int64_t mode = 0; mode < probe.depth; ++mode) {
    std::vector<std::complex<double>> field;
    for (int64_t y = 0; y < n; ++y)
      for (int64_t x = 0; x < n; ++x) {
        const double sy = static_cast<double>(y - n / 2) + position[0],
                     sx = static_cast<double>(x - n / 2) + position[1];
        std::complex<double> value;
        for (int64_t cy = 0; cy < 2; ++cy)
          for (int64_t cx = 0; cx < 2; ++cx) {
            const double fy = sy - std::floor(sy), fx = sx - std::floor(sx);
            value += (cy ? fy : 1 - fy) * (cx ? fx : 1 - fx) *
                     pixel(static_cast<int64_t>(std::floor(sy)) + cy, static_cast<int64_t>(std::floor(sx)) + cx);
          }
        field.push_back(value * std::complex<double>(probe.data[static_cast<size_t>((mode * n + y) * n + x)]));
      }
    for (int64_t ky = 0; ky < n; ++ky)
      for (int64_t kx = 0; kx < n; ++kx) {
        std::complex<double> sum;
        for (int64_t y = 0; y < n; ++y)
          for (int64_t x = 0; x < n; ++x)
            sum += field[static_cast<size_t>(y * n + x)] *
                   std::polar(1.0, -2 * std::numbers::pi * static_cast<double>((ky - n / 2) * y + (kx - n / 2) * x) /
                                       static_cast<double>(n));
        intensity[static_cast<size_t>(ky * n + kx)] += std::norm(sum) / static_cast<double>(n * n);
      }
  }
  for (double& value : intensity) value = std::sqrt(value);
  return intensity;
}

}  // namespace ptyfuse::tests
