#include "engine/sample_objects.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <filesystem>
#include <numbers>
#include <optional>

#include "engine/dft.h"
#include "engine/gaussian_filter.h"
#include "engine/option_table.h"
#include "engine/part_progress.h"
#include "engine/random.h"
#include "engine/simulator.h"

namespace ptyfuse {
namespace {

/// Looks at whether to stop every few rows of an image.
template <class Row>
void for_each_row(int64_t rows, PartProgress& progress, const Row& row) {
  for (int64_t y = 0; y < rows; ++y) {
    row(y);
    if ((y + 1) % rows_between_looks == 0 || y + 1 == rows)
      progress.advance(static_cast<double>(y % rows_between_looks + 1));
  }
}

/// gaussian_filter() of sigma 1 px.
std::vector<double> softened(const std::vector<double>& image, int64_t size, PartProgress& progress) {
  std::vector<double> out;
  out.reserve(image.size());
  for (int64_t first = 0; first < size; first += rows_between_looks) {
    const int64_t rows = std::min(rows_between_looks, size - first);
    const std::vector<double> band = gaussian_filter_rows(image, size, size, 1, first, rows);
    out.insert(out.end(), band.begin(), band.end());
    progress.advance(static_cast<double>(rows));
  }
  return out;
}

/// Section 7's Gaussian random field: power k^-0.4 on a box of half the size, stretched to 0 .. 1, enlarged twice,
/// blurred.
std::vector<double> random_field(int64_t size, Random random, PartProgress& progress) {
  const int64_t box = (size + 1) / 2;
  std::vector<std::complex<double>> field(static_cast<size_t>(box * box));
  for_each_row(box, progress, [&](int64_t y) {
    for (int64_t x = 0; x < box; ++x) field[static_cast<size_t>(y * box + x)] = random.normal();
  });
  dft2(field, box, box, Direction::forward);
  for_each_row(box, progress, [&](int64_t y) {
    for (int64_t x = 0; x < box; ++x) {
      const int64_t ky = dft_frequency(y, box), kx = dft_frequency(x, box), k2 = ky * ky + kx * kx;
      field[static_cast<size_t>(y * box + x)] *= k2 == 0 ? 0.0 : std::pow(static_cast<double>(k2), -0.1);
    }
  });
  dft2(field, box, box, Direction::inverse);

  std::vector<double> values;
  values.reserve(field.size());
  for (const auto& value : field) values.push_back(value.real());
  field = {};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double lowest = *low, range = std::max(*high - *low, 1e-30);
  const auto at = [&](int64_t y, int64_t x) {
    const int64_t inside_y = std::clamp<int64_t>(y, 0, box - 1), inside_x = std::clamp<int64_t>(x, 0, box - 1);
    return (values[static_cast<size_t>(inside_y * box + inside_x)] - lowest) / range;
  };
  std::vector<double> image;
  image.reserve(static_cast<size_t>(size * size));
  for_each_row(size, progress, [&](int64_t y) {
    for (int64_t x = 0; x < size; ++x) {
      // Pixel centres: y of the image is (y + 1/2)/2 - 1/2 of the box, a quarter or three quarters between two pixels.
      const int64_t y0 = (y - 1) >> 1, x0 = (x - 1) >> 1;
      const double ty = y % 2 == 0 ? 0.75 : 0.25, tx = x % 2 == 0 ? 0.75 : 0.25;
      image.push_back((1 - ty) * ((1 - tx) * at(y0, x0) + tx * at(y0, x0 + 1)) +
                      ty * ((1 - tx) * at(y0 + 1, x0) + tx * at(y0 + 1, x0 + 1)));
    }
  });
  return softened(image, size, progress);
}

/// A Siemens star of 36 spokes, amplitude 0.6 and 1 with edges blurred by a pixel; the spokes are at least 2 px wide
/// and turned by a random angle.
std::vector<double> siemens_star(int64_t size, Random random, PartProgress& progress) {
  constexpr int spokes = 36, samples = 4;
  const double turn = random.uniform(0, 2 * std::numbers::pi), centre = static_cast<double>(size) / 2;
  const double inner = spokes * 4 / (2 * std::numbers::pi), outer = 0.45 * static_cast<double>(size);
  std::vector<double> image;
  image.reserve(static_cast<size_t>(size * size));
  for_each_row(size, progress, [&](int64_t y) {
    for (int64_t x = 0; x < size; ++x) {
      int dense = 0;
      for (int i = 0; i < samples * samples; ++i) {
        const double dy = static_cast<double>(y) + (i / samples + 0.5) / samples - centre;
        const double dx = static_cast<double>(x) + (i % samples + 0.5) / samples - centre;
        const double radius = std::hypot(dy, dx);
        if (radius >= inner && radius <= outer && std::cos(spokes * (std::atan2(dy, dx) + turn)) > 0) ++dense;
      }
      image.push_back(0.6 + 0.4 * dense / (samples * samples));
    }
  });
  return softened(image, size, progress);
}

void check_settings(const SimulateConfig& config) {
  if (config.object == ObjectKind::file) {
    if (config.object_file.empty())
      throw_shape_error("simulate", "no object file named; --object FILE[:DATASET], or lines, grf, siemens");
    if (std::error_code error; config.object_file.find_first_of(".:/") == std::string::npos &&
                               !std::filesystem::exists(config.object_file, error))
      throw UsageError("--object: '" + config.object_file +
                       "' is not one of lines, grf, siemens, and there is no file of this name");
    return;
  }
  if (config.size_px < 2 || config.size_px > 16384)
    throw_shape_error("simulate", "--size " + std::to_string(config.size_px) + ", expected 2 to 16384 px");
  if (config.images < 1)
    throw_shape_error("simulate", "--images " + std::to_string(config.images) + ", expected 1 or more");
}

}  // namespace

io::ComplexImage simulate_object(const SimulateConfig& config, const RunControl& control) {
  check_settings(config);
  io::ComplexImage object;
  std::vector<double> amplitude;
  const auto take = [&](std::vector<double> image) {
    if (config.images == 1) {
      amplitude = std::move(image);
      return;
    }
    amplitude.reserve(static_cast<size_t>(config.images) * image.size());
    amplitude.insert(amplitude.end(), image.begin(), image.end());
  };
  const auto draw_each = [&](std::vector<double> (*draw)(int64_t, Random, PartProgress&), double rows_an_image) {
    PartProgress progress(control, objects_drawn, static_cast<double>(config.images) * rows_an_image);
    for (int64_t n = 0; n < config.images; ++n)
      take(draw(config.size_px, Random(config.object_seed, static_cast<uint64_t>(n)), progress));
  };
  const auto rows = static_cast<double>(config.size_px);
  switch (config.object) {
    case ObjectKind::lines:
      draw_lines_images(config.size_px, config.images, config.object_seed, lines_of_an_image, control, take);
      break;
    case ObjectKind::grf:
      draw_each(random_field, 3 * rows);  // twice half the rows, then twice all
      break;
    case ObjectKind::siemens:
      draw_each(siemens_star, 2 * rows);
      break;
    case ObjectKind::file:
      object = io::read_complex_image(config.object_file, "object");
      if (config.phase == PhaseKind::none) return object;
      for (const auto& value : object.data) amplitude.push_back(std::abs(std::complex<double>(value)));
      break;
  }
  if (config.object != ObjectKind::file) object = {config.images, config.size_px, config.size_px, {}};
  std::optional<TanhPhase> phase;
  if (config.phase == PhaseKind::tanh) phase.emplace(amplitude);
  object.data.clear();
  object.data.reserve(amplitude.size());
  // Not std::polar: an amplitude may be negative by rounding.
  constexpr size_t between_looks = 1 << 20;
  for (size_t i = 0; i < amplitude.size(); ++i) {
    if (i % between_looks == 0) end_if_stopped(control);
    const double angle = phase ? (*phase)(amplitude[i]) : 0;
    object.data.emplace_back(amplitude[i] * std::complex<double>(std::cos(angle), std::sin(angle)));
  }
  return object;
}

}  // namespace ptyfuse
