#include "engine/gaussian_filter.h"

#include <cmath>
#include <string>

#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

/// Weights of distances 0 .. radius; both sides together have sum 1.
std::vector<double> half_kernel(double sigma) {
  const auto radius = static_cast<int64_t>(4 * sigma + 0.5);
  std::vector<double> weights(static_cast<size_t>(radius + 1));
  double sum = 0;
  for (int64_t d = 0; d <= radius; ++d) {
    const auto x = static_cast<double>(d);
    weights[static_cast<size_t>(d)] = std::exp(-0.5 * x * x / (sigma * sigma));
    sum += (d == 0 ? 1 : 2) * weights[static_cast<size_t>(d)];
  }
  for (double& w : weights) w /= sum;
  return weights;
}

int64_t mirrored(int64_t i, int64_t n) {
  i %= 2 * n;
  if (i < 0) i += 2 * n;
  return i < n ? i : 2 * n - 1 - i;
}

}  // namespace

std::vector<double> gaussian_filter(std::span<const double> image, int64_t height, int64_t width, double sigma_px) {
  return gaussian_filter_rows(image, height, width, sigma_px, 0, height);
}

std::vector<double> gaussian_filter_rows(std::span<const double> image, int64_t height, int64_t width, double sigma_px,
                                         int64_t first_row, int64_t rows) {
  if (height < 0 || width < 0 || static_cast<int64_t>(image.size()) != height * width)
    throw_shape_error("gaussian_filter", std::to_string(image.size()) + " pixels for an image of " +
                                             std::to_string(height) + " x " + std::to_string(width));
  if (!(sigma_px >= 0) || std::isinf(sigma_px))
    throw_shape_error("gaussian_filter", "sigma " + std::to_string(sigma_px) + " px, expected a finite one >= 0");
  if (first_row < 0 || rows < 0 || first_row > height - rows)
    throw_shape_error("gaussian_filter", std::to_string(rows) + " rows from row " + std::to_string(first_row) +
                                             " of an image of " + std::to_string(height));
  const std::span<const double> wanted =
      image.subspan(static_cast<size_t>(first_row * width), static_cast<size_t>(rows * width));
  std::vector<double> out(wanted.begin(), wanted.end());
  if (out.empty() || sigma_px < 1e-15) return out;
  const std::vector<double> weights = half_kernel(sigma_px);
  const auto radius = static_cast<int64_t>(weights.size()) - 1;

  // Down the columns, a row at a time.
  std::vector<double> vertical(out.size());
  for (int64_t y = first_row; y < first_row + rows; ++y) {
    double* to = vertical.data() + (y - first_row) * width;
    const double* centre = image.data() + y * width;
    for (int64_t x = 0; x < width; ++x) to[x] = weights[0] * centre[x];
    for (int64_t d = radius; d >= 1; --d) {
      const double w = weights[static_cast<size_t>(d)];
      const double* above = image.data() + mirrored(y - d, height) * width;
      const double* below = image.data() + mirrored(y + d, height) * width;
      for (int64_t x = 0; x < width; ++x) to[x] += w * (above[x] + below[x]);
    }
  }
  // Along the rows, each with its mirrored ends laid out.
  std::vector<double> row(static_cast<size_t>(width + 2 * radius));
  for (int64_t y = 0; y < rows; ++y) {
    const double* from = vertical.data() + y * width;
    for (int64_t x = -radius; x < width + radius; ++x) row[static_cast<size_t>(x + radius)] = from[mirrored(x, width)];
    const double* centre = row.data() + radius;
    double* to = out.data() + y * width;
    for (int64_t x = 0; x < width; ++x) to[x] = weights[0] * centre[x];
    for (int64_t d = radius; d >= 1; --d) {
      const double w = weights[static_cast<size_t>(d)];
      for (int64_t x = 0; x < width; ++x) to[x] += w * (centre[x - d] + centre[x + d]);
    }
  }
  return out;
}

}  // namespace ptyfuse
