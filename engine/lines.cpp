#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <random>
#include <string>

#include "engine/gaussian_filter.h"
#include "engine/part_progress.h"
#include "engine/sample_objects.h"
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

constexpr int64_t largest_radius = 40;  // of the widest blur: nothing farther away reaches the centre

/// Pixels first .. first+side-1 in y and x of a drawing that is wider: nothing else of it is kept. 1: on a line.
struct Cutout {
  int64_t first, side;
  std::vector<uint8_t> image = std::vector<uint8_t>(static_cast<size_t>(side * side), 0);

  std::vector<double> rows(int64_t begin, int64_t end) const {
    return {image.begin() + begin * side, image.begin() + end * side};
  }
};

/// Bresenham's line: along the longer extent every pixel, across it the nearest, halves away from the start.
void draw_line(Cutout& cutout, Pixel from, Pixel to) {
  const int64_t dy = std::abs(to.y - from.y), dx = std::abs(to.x - from.x);
  const int64_t step_y = to.y > from.y ? 1 : -1, step_x = to.x > from.x ? 1 : -1;
  const int64_t longer = std::max(dy, dx), shorter = std::min(dy, dx);
  for (int64_t i = 0; i <= longer; ++i) {
    const int64_t across = longer == 0 ? 0 : (2 * shorter * i + longer) / (2 * longer);
    const int64_t y = from.y + step_y * (dy > dx ? i : across) - cutout.first;
    const int64_t x = from.x + step_x * (dy > dx ? across : i) - cutout.first;
    if (y >= 0 && y < cutout.side && x >= 0 && x < cutout.side)
      cutout.image[static_cast<size_t>(y * cutout.side + x)] = 1;
  }
}

/// The central size^2 of a drawing, blurred: G1 + 2 G5 + 5 G10.
std::vector<double> blurred_centre(const Cutout& cutout, int64_t size, PartProgress& progress) {
  const int64_t border = (cutout.side - size) / 2;
  std::vector<double> image;
  image.reserve(static_cast<size_t>(size * size));
  for (int64_t first = 0; first < size; first += rows_between_looks) {
    const int64_t count = std::min(rows_between_looks, size - first), begin = first + border;
    // All rows that reach these.
    const int64_t top = std::max<int64_t>(begin - largest_radius, 0);
    const int64_t bottom = std::min(begin + count + largest_radius, cutout.side);
    const std::vector<double> drawn = cutout.rows(top, bottom);
    std::vector<double> band(static_cast<size_t>(count * size), 0);
    for (const auto& [sigma, weight] : {std::pair{1.0, 1.0}, {5.0, 2.0}, {10.0, 5.0}}) {
      const std::vector<double> blurred =
          gaussian_filter_rows(drawn, bottom - top, cutout.side, sigma, begin - top, count);
      for (int64_t y = 0; y < count; ++y)
        for (int64_t x = 0; x < size; ++x)
          band[static_cast<size_t>(y * size + x)] +=
              weight * blurred[static_cast<size_t>(y * cutout.side + x + border)];
    }
    image.insert(image.end(), band.begin(), band.end());
    progress.advance(static_cast<double>(count));
  }
  return image;
}

}  // namespace

void draw_lines_images(int64_t size_px, int64_t count, uint64_t seed, int64_t lines, const RunControl& control,
                       const std::function<void(std::vector<double>)>& take) {
  if (size_px < 2 || size_px > 16384 || count < 0 || lines < 0)
    throw_shape_error("lines_images", std::to_string(count) + " images of " + std::to_string(size_px) + " px with " +
                                          std::to_string(lines) + " lines; sizes go from 2 to 16384 px");
  NumpyRandom random(seed);
  const int64_t wide = 2 * size_px, border = std::min(size_px / 2, largest_radius);
  PartProgress progress(control, objects_drawn, static_cast<double>(count * size_px));
  for (int64_t n = 0; n < count; ++n) {
    Cutout cutout{size_px / 2 - border, size_px + 2 * border};
    const auto coordinate = [&] { return static_cast<int64_t>(static_cast<double>(wide) * random.uniform()); };
    for (int64_t line = 0; line < lines; ++line) {
      Pixel from{}, to{};
      for (int64_t* value : {&from.y, &from.x, &to.y, &to.x}) *value = coordinate();
      draw_line(cutout, from, to);
    }
    take(blurred_centre(cutout, size_px, progress));
  }
}

std::vector<std::vector<double>> lines_images(int64_t size_px, int64_t count, uint64_t seed, int64_t lines) {
  std::vector<std::vector<double>> images;
  draw_lines_images(size_px, count, seed, lines, {},
                    [&](std::vector<double> image) { images.push_back(std::move(image)); });
  return images;
}

TanhPhase::TanhPhase(std::span<const double> amplitude) {
  if (amplitude.empty()) return;
  double sum = 0;
  for (double a : amplitude) sum += a;
  const double mean = sum / static_cast<double>(amplitude.size());
  half_maximum_ = *std::max_element(amplitude.begin(), amplitude.end()) / 2;
  if (!(mean > 0) || std::isinf(mean))
    throw Error(ErrorKind::numeric,
                "tanh_phase: the mean amplitude is " + std::to_string(mean) + ", expected a finite one above 0");
  scale_ = 3 * mean;
}

double TanhPhase::operator()(double amplitude) const {
  return std::numbers::pi * std::tanh((amplitude - half_maximum_) / scale_);
}

void tanh_phase(std::span<const double> amplitude, std::span<double> phase) {
  if (amplitude.size() != phase.size())
    throw_shape_error("tanh_phase",
                      std::to_string(phase.size()) + " phases for " + std::to_string(amplitude.size()) + " amplitudes");
  const TanhPhase of(amplitude);
  for (size_t i = 0; i < amplitude.size(); ++i) phase[i] = of(amplitude[i]);
}

}  // namespace ptyfuse
