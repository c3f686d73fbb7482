#include <algorithm>
#include <cmath>
#include <complex>
#include <filesystem>
#include <numbers>

#include "engine/dft.h"
#include "engine/gaussian_filter.h"
#include "engine/option_table.h"
#include "engine/random.h"
#include "engine/simulator.h"

namespace ptyfuse {
namespace {

/// Section 7's Gaussian random field: power k^-0.4 on a box of half the size, stretched to 0 .. 1, enlarged twice,
/// blurred.
std::vector<double> random_field(int64_t size, Random random) {
  const int64_t box = (size + 1) / 2;
  std::vector<std::complex<double>> field(static_cast<size_t>(box * box));
  for (auto& value : field) value = random.normal();
  dft2(field, box, box, Direction::forward);
  for (int64_t y = 0; y < box; ++y)
    for (int64_t x = 0; x < box; ++x) {
      const int64_t ky = dft_frequency(y, box), kx = dft_frequency(x, box), k2 = ky * ky + kx * kx;
      field[static_cast<size_t>(y * box + x)] *= k2 == 0 ? 0.0 : std::pow(static_cast<double>(k2), -0.1);
    }
  dft2(field, box, box, Direction::inverse);

  std::vector<double> values;
  for (const auto& value : field) values.push_back(value.real());
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double lowest = *low, range = std::max(*high - *low, 1e-30);
  const auto at = [&](int64_t y, int64_t x) {
    const int64_t inside_y = std::clamp<int64_t>(y, 0, box - 1), inside_x = std::clamp<int64_t>(x, 0, box - 1);
    return (values[static_cast<size_t>(inside_y * box + inside_x)] - lowest) / range;
  };
  std::vector<double> image;
  for (int64_t y = 0; y < size; ++y)
    for (int64_t x = 0; x < size; ++x) {
      // Pixel centres: y of the image is (y + 1/2)/2 - 1/2 of the box, a quarter or three quarters between two pixels.
      const int64_t y0 = (y - 1) >> 1, x0 = (x - 1) >> 1;
      const double ty = y % 2 == 0 ? 0.75 : 0.25, tx = x % 2 == 0 ? 0.75 : 0.25;
      image.push_back((1 - ty) * ((1 - tx) * at(y0, x0) + tx * at(y0, x0 + 1)) +
                      ty * ((1 - tx) * at(y0 + 1, x0) + tx * at(y0 + 1, x0 + 1)));
    }
  return gaussian_filter(image, size, size, 1);
}

/// A Siemens star of 36 spokes, amplitude 0.6 and 1 with edges blurred by a pixel; the spokes are at least 2 px wide
/// and turned by a random angle.
std::vector<double> siemens_star(int64_t size, Random random) {
  constexpr int spokes = 36, samples = 4;
  const double turn = random.uniform(0, 2 * std::numbers::pi), centre = static_cast<double>(size) / 2;
  const double inner = spokes * 4 / (2 * std::numbers::pi), outer = 0.45 * static_cast<double>(size);
  std::vector<double> image;
  for (int64_t y = 0; y < size; ++y)
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
  return gaussian_filter(image, size, size, 1);
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

io::ComplexImage simulate_object(const SimulateConfig& config) {
  check_settings(config);
  io::ComplexImage object;
  std::vector<double> amplitude;
  const auto draw_each = [&](std::vector<double> (*draw)(int64_t, Random)) {
    for (int64_t n = 0; n < config.images; ++n) {
      const auto image = draw(config.size_px, Random(config.object_seed, static_cast<uint64_t>(n)));
      amplitude.insert(amplitude.end(), image.begin(), image.end());
    }
  };
  switch (config.object) {
    case ObjectKind::lines:
      for (const auto& image : lines_images(config.size_px, config.images, config.object_seed))
        amplitude.insert(amplitude.end(), image.begin(), image.end());
      break;
    case ObjectKind::grf:
      draw_each(random_field);
      break;
    case ObjectKind::siemens:
      draw_each(siemens_star);
      break;
    case ObjectKind::file:
      object = io::read_complex_image(config.object_file, "object");
      if (config.phase == PhaseKind::none) return object;
      for (const auto& value : object.data) amplitude.push_back(std::abs(std::complex<double>(value)));
      break;
  }
  if (config.object != ObjectKind::file) object = {config.images, config.size_px, config.size_px, {}};
  std::vector<double> phase(amplitude.size(), 0);
  if (config.phase == PhaseKind::tanh) tanh_phase(amplitude, phase);
  object.data.clear();
  object.data.reserve(amplitude.size());
  // Not std::polar: an amplitude may be negative by rounding.
  for (size_t i = 0; i < amplitude.size(); ++i)
    object.data.emplace_back(amplitude[i] * std::complex<double>(std::cos(phase[i]), std::sin(phase[i])));
  return object;
}

}  // namespace ptyfuse
