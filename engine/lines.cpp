#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <string>

#include "engine/gaussian_filter.h"
#include "engine/simulator.h"
#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

/// numpy's RandomState: the Mersenne twister of the standard library, two draws to a double of 53 bits.
class NumpyRandom {
 public:
  explicit NumpyRandom(uint64_t seed) : twister_(static_cast<uint32_t>(seed)) {
    if (seed > std::numeric_limits<uint32_t>::max())
      throw_shape_error("lines_images", "object seed " + std::to_string(seed) + ", expected one below 2^32");
  }
  double uniform() {
    const uint32_t high = static_cast<uint32_t>(twister_()) >> 5, low = static_cast<uint32_t>(twister_()) >> 6;
    return (static_cast<double>(high) * 67108864.0 + static_cast<double>(low)) / 9007199254740992.0;
  }

 private:
  std::mt19937 twister_;
};

struct Pixel {
  int64_t y, x;
};

/// Bresenham's line: along the longer extent every pixel, across it the nearest, halves away from the start.
void draw_line(std::vector<double>& image, int64_t width, Pixel from, Pixel to) {
  const int64_t dy = std::abs(to.y - from.y), dx = std::abs(to.x - from.x);
  const int64_t step_y = to.y > from.y ? 1 : -1, step_x = to.x > from.x ? 1 : -1;
  const int64_t longer = std::max(dy, dx), shorter = std::min(dy, dx);
  for (int64_t i = 0; i <= longer; ++i) {
    const int64_t across = longer == 0 ? 0 : (2 * shorter * i + longer) / (2 * longer);
    const int64_t y = from.y + step_y * (dy > dx ? i : across), x = from.x + step_x * (dy > dx ? across : i);
    image[static_cast<size_t>(y * width + x)] = 1;
  }
}

/// The central size^2 of a drawing of twice the side, blurred: G1 + 2 G5 + 5 G10.
std::vector<double> blurred_centre(const std::vector<double>& drawing, int64_t size) {
  constexpr int64_t largest_radius = 40;  // of the widest blur: nothing farther away reaches the centre
  const int64_t border = std::min(size / 2, largest_radius), first = size / 2 - border, side = size + 2 * border;
  std::vector<double> part;
  part.reserve(static_cast<size_t>(side * side));
  for (int64_t y = first; y < first + side; ++y)
    for (int64_t x = first; x < first + side; ++x) part.push_back(drawing[static_cast<size_t>(y * 2 * size + x)]);
  std::vector<double> image(static_cast<size_t>(size * size), 0);
  for (const auto& [sigma, weight] : {std::pair{1.0, 1.0}, {5.0, 2.0}, {10.0, 5.0}}) {
    const std::vector<double> blurred = gaussian_filter(part, side, side, sigma);
    for (int64_t y = 0; y < size; ++y)
      for (int64_t x = 0; x < size; ++x)
        image[static_cast<size_t>(y * size + x)] +=
            weight * blurred[static_cast<size_t>((y + border) * side + x + border)];
  }
  return image;
}

}  // namespace

std::vector<std::vector<double>> lines_images(int64_t size_px, int64_t count, uint64_t seed, int64_t lines) {
  if (size_px < 2 || size_px > 16384 || count < 0 || lines < 0)
    throw_shape_error("lines_images", std::to_string(count) + " images of " + std::to_string(size_px) + " px with " +
                                          std::to_string(lines) + " lines; sizes go from 2 to 16384 px");
  NumpyRandom random(seed);
  const int64_t wide = 2 * size_px;
  std::vector<std::vector<double>> images;
  for (int64_t n = 0; n < count; ++n) {
    std::vector<double> drawing(static_cast<size_t>(wide * wide), 0);
    const auto coordinate = [&] { return static_cast<int64_t>(static_cast<double>(wide) * random.uniform()); };
    for (int64_t line = 0; line < lines; ++line) {
      Pixel from{}, to{};
      for (int64_t* value : {&from.y, &from.x, &to.y, &to.x}) *value = coordinate();
      draw_line(drawing, wide, from, to);
    }
    images.push_back(blurred_centre(drawing, size_px));
  }
  return images;
}

void tanh_phase(std::span<const double> amplitude, std::span<double> phase) {
  if (amplitude.size() != phase.size())
    throw_shape_error("tanh_phase",
                      std::to_string(phase.size()) + " phases for " + std::to_string(amplitude.size()) + " amplitudes");
  if (amplitude.empty()) return;
  double sum = 0;
  for (double a : amplitude) sum += a;
  const double mean = sum / static_cast<double>(amplitude.size());
  const double half_maximum = *std::max_element(amplitude.begin(), amplitude.end()) / 2;
  if (!(mean > 0) || std::isinf(mean))
    throw Error(ErrorKind::numeric,
                "tanh_phase: the mean amplitude is " + std::to_string(mean) + ", expected a finite one above 0");
  for (size_t i = 0; i < amplitude.size(); ++i)
    phase[i] = std::numbers::pi * std::tanh((amplitude[i] - half_maximum) / (3 * mean));
}

}  // namespace ptyfuse
