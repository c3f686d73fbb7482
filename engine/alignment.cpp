#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "engine/dft.h"
#include "engine/metrics.h"
#include "kernels/device/error.h"

namespace ptyfuse {

namespace {

void require_equal_sizes(const char* name, const FieldImage& a, const FieldImage& b) {
  if (a.height != b.height || a.width != b.width) throw_shape_error(name, "the fields' sizes differ");
}

/// sum conj(a) b
std::complex<double> inner_product(std::span<const std::complex<double>> a, std::span<const std::complex<double>> b) {
  std::complex<double> sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::conj(a[i]) * b[i];
  return sum;
}

FieldImage without_mean(const FieldImage& field) {
  FieldImage out = field;
  const std::complex<double> mean = std::accumulate(field.data.begin(), field.data.end(), std::complex<double>(0)) /
                                    static_cast<double>(std::max<size_t>(1, field.data.size()));
  for (auto& value : out.data) value -= mean;
  return out;
}

/// 0, 1/n, 2/n ...: places as fractions of the image.
std::vector<double> fractions(int64_t n) {
  std::vector<double> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<double>(i) / static_cast<double>(n);
  return out;
}

RealImage angles(const FieldImage& field, std::complex<double> factor) {
  RealImage out{field.height, field.width, std::vector<double>(field.data.size())};
  std::transform(field.data.begin(), field.data.end(), out.data.begin(),
                 [factor](std::complex<double> value) { return std::arg(value * factor); });
  return out;
}

/// Neighbours that differ by more than pi.
int64_t count_jumps(const RealImage& phase) {
  int64_t jumps = 0;
  for (int64_t y = 0; y < phase.height; ++y) {
    const double* line = phase.data.data() + y * phase.width;
    for (int64_t x = 1; x < phase.width; ++x) jumps += std::abs(line[x] - line[x - 1]) > std::numbers::pi;
    if (y == 0) continue;
    for (int64_t x = 0; x < phase.width; ++x) jumps += std::abs(line[x] - line[x - phase.width]) > std::numbers::pi;
  }
  return jumps;
}

RealImage with_fewer_jumps(RealImage plain, RealImage turned) {
  return count_jumps(plain) <= count_jumps(turned) ? std::move(plain) : std::move(turned);
}

RealImage remove_mean(RealImage image) {
  const double mean = std::accumulate(image.data.begin(), image.data.end(), 0.0) /
                      static_cast<double>(std::max<size_t>(1, image.data.size()));
  for (double& value : image.data) value -= mean;
  return image;
}

}  // namespace

RealImage remove_plane(const RealImage& image) {
  // About their means, x and y are orthogonal on a full grid, so that each coefficient stands alone.
  const double centre_y = static_cast<double>(image.height - 1) / 2,
               centre_x = static_cast<double>(image.width - 1) / 2;
  RealImage out = remove_mean(image);
  double with_y = 0, with_x = 0, yy = 0, xx = 0;
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      const double value = out.data[y * image.width + x];
      const double dy = static_cast<double>(y) - centre_y, dx = static_cast<double>(x) - centre_x;
      with_y += dy * value;
      with_x += dx * value;
      yy += dy * dy;
      xx += dx * dx;
    }
  }
  const double slope_y = yy > 0 ? with_y / yy : 0, slope_x = xx > 0 ? with_x / xx : 0;
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      out.data[y * image.width + x] -=
          slope_y * (static_cast<double>(y) - centre_y) + slope_x * (static_cast<double>(x) - centre_x);
    }
  }
  return out;
}

std::array<double, 2> fit_ramp(const FieldImage& field) {
  if (field.data.empty()) return {0, 0};
  std::vector<std::complex<double>> spectrum = field.data;
  dft2(spectrum, field.height, field.width, Direction::forward);
  size_t peak = 0;
  for (size_t i = 1; i < spectrum.size(); ++i) {
    if (std::norm(spectrum[i]) > std::norm(spectrum[peak])) peak = i;
  }
  const auto width = static_cast<size_t>(field.width);
  std::array<double, 2> best{static_cast<double>(dft_frequency(static_cast<int64_t>(peak / width), field.height)),
                             static_cast<double>(dft_frequency(static_cast<int64_t>(peak % width), field.width))};
  // The maximum lies within half a bin of the largest bin; a grid of 5 x 5 closes in on it.
  const std::vector<double> u = fractions(field.height), v = fractions(field.width);
  for (double step = 0.25; step > 1e-7; step /= 2.5) {
    std::vector<double> p, q;
    for (int i = -2; i <= 2; ++i) {
      p.push_back(-(best[0] + i * step));
      q.push_back(-(best[1] + i * step));
    }
    const std::vector<std::complex<double>> around = partial_dft2(field.data, u, v, p, q);
    size_t at = 12;  // the grid's centre: it stays where nothing is larger
    for (size_t i = 0; i < around.size(); ++i) {
      if (std::norm(around[i]) > std::norm(around[at])) at = i;
    }
    best = {-p[at / 5], -q[at % 5]};
  }
  return best;
}

FieldImage remove_ramp(const FieldImage& field, std::array<double, 2> cycles) {
  FieldImage out = field;
  std::vector<std::complex<double>> row;
  for (const double x : fractions(field.width)) row.push_back(std::polar(1.0, -2 * std::numbers::pi * cycles[1] * x));
  const std::vector<double> places = fractions(field.height);
  for (int64_t y = 0; y < field.height; ++y) {
    const std::complex<double> line = std::polar(1.0, -2 * std::numbers::pi * cycles[0] * places[y]);
    for (int64_t x = 0; x < field.width; ++x) out.data[y * field.width + x] *= line * row[x];
  }
  return out;
}

FieldImage align_complex(const FieldImage& reconstruction, const FieldImage& truth, bool ramp) {
  require_equal_sizes("align_complex", reconstruction, truth);
  FieldImage out = reconstruction;
  if (ramp) {
    FieldImage cross = reconstruction;
    for (size_t i = 0; i < cross.data.size(); ++i) cross.data[i] *= std::conj(truth.data[i]);
    out = remove_ramp(reconstruction, fit_ramp(cross));
  }
  const double power = inner_product(out.data, out.data).real();
  const std::complex<double> scale = power > 0 ? inner_product(out.data, truth.data) / power : 0;
  for (auto& value : out.data) value *= scale;
  return out;
}

double complex_correlation(const FieldImage& a, const FieldImage& b) {
  require_equal_sizes("complex_correlation", a, b);
  const double power_a = inner_product(a.data, a.data).real(), power_b = inner_product(b.data, b.data).real();
  if (!(power_a > 0) || !(power_b > 0)) return std::numeric_limits<double>::quiet_NaN();
  return std::abs(inner_product(a.data, b.data)) / (std::sqrt(power_a) * std::sqrt(power_b));
}

double contrast(const FieldImage& a, const FieldImage& b) {
  require_equal_sizes("contrast", a, b);
  const FieldImage structure_a = without_mean(a), structure_b = without_mean(b);
  // What is left of a constant field is rounding, which correlates with anything.
  constexpr double rounding = 1e-12;
  const auto constant = [](const FieldImage& structure, const FieldImage& field) {
    return inner_product(structure.data, structure.data).real() <=
           rounding * inner_product(field.data, field.data).real();
  };
  if (constant(structure_a, a) || constant(structure_b, b)) return std::numeric_limits<double>::quiet_NaN();
  return complex_correlation(structure_a, structure_b);
}

PhaseImages phase_images(const FieldImage& reconstruction, const FieldImage& truth, PhaseAlign align) {
  require_equal_sizes("phase_images", reconstruction, truth);
  const bool plane = align == PhaseAlign::plane;
  const std::array<double, 2> tilt = plane ? fit_ramp(truth) : std::array<double, 2>{0, 0};
  const FieldImage level_truth = remove_ramp(truth, tilt);
  const std::complex<double> mean =
      std::accumulate(level_truth.data.begin(), level_truth.data.end(), std::complex<double>(0));
  const std::complex<double> turn = mean == 0.0 ? 1.0 : std::conj(mean) / std::abs(mean);
  const FieldImage level_reconstruction = remove_ramp(align_complex(reconstruction, truth, plane), tilt);

  PhaseImages out{with_fewer_jumps(angles(reconstruction, 1), angles(level_reconstruction, turn)),
                  with_fewer_jumps(angles(truth, 1), angles(level_truth, turn))};
  for (RealImage* image : {&out.reconstruction, &out.truth})
    *image = plane ? remove_plane(*image) : remove_mean(*image);
  return out;
}

FieldImage crop(const FieldImage& image, const Rectangle& region) {
  if (region.y0 < 0 || region.x0 < 0 || region.y1 > image.height || region.x1 > image.width || region.height() <= 0 ||
      region.width() <= 0) {
    throw_shape_error("crop", "the region must be inside the image and not empty");
  }
  FieldImage out{region.height(), region.width(), {}};
  out.data.reserve(static_cast<size_t>(out.height * out.width));
  for (int64_t y = region.y0; y < region.y1; ++y) {
    const auto line = image.data.begin() + y * image.width;
    out.data.insert(out.data.end(), line + region.x0, line + region.x1);
  }
  return out;
}

Bounds bounds_of(std::span<const std::array<double, 2>> positions_px) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Bounds bounds{{infinity, infinity}, {-infinity, -infinity}};
  for (const auto& position : positions_px)
    for (size_t axis : {0, 1}) {
      bounds.low[axis] = std::min(bounds.low[axis], position[axis]);
      bounds.high[axis] = std::max(bounds.high[axis], position[axis]);
    }
  return bounds;
}

Rectangle scan_rectangle(std::span<const std::array<double, 2>> positions_px, int64_t crop_px, int64_t height,
                         int64_t width) {
  if (positions_px.empty()) throw_shape_error("scan_rectangle", "there are no positions");
  for (const auto& position : positions_px)
    for (const double coordinate : position)
      if (!(std::abs(coordinate) < 1e15)) throw_shape_error("scan_rectangle", "a position is not finite");
  const Bounds bounds = bounds_of(positions_px);
  const auto first = [&](size_t axis, int64_t extent) {
    return std::clamp<int64_t>(static_cast<int64_t>(bounds.low[axis]) - crop_px / 2, 0, extent);
  };
  const auto last = [&](size_t axis, int64_t extent) {
    return std::clamp<int64_t>(static_cast<int64_t>(bounds.high[axis]) + crop_px / 2, 0, extent);
  };
  return {first(0, height), last(0, height), first(1, width), last(1, width)};
}

void centre_crop_to_common(FieldImage& a, FieldImage& b) {
  const int64_t height = std::min(a.height, b.height), width = std::min(a.width, b.width);
  for (FieldImage* image : {&a, &b}) {
    const int64_t top = (image->height - height) / 2, left = (image->width - width) / 2;
    *image = crop(*image, {top, top + height, left, left + width});
  }
}

}  // namespace ptyfuse
