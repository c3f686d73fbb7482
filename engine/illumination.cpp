#include "engine/illumination.h"

#include <complex>
#include <map>

#include "engine/patch_corner.h"

namespace ptyfuse {

std::vector<float> illumination(const io::ComplexImage& probe, std::span<const std::array<double, 2>> positions_px,
                                std::array<int64_t, 2> origin_px, int64_t height, int64_t width) {
  const int64_t side = probe.height;
  std::vector<float> power(static_cast<size_t>(side * side));
  for (int64_t k = 0; k < probe.depth; ++k)
    for (size_t i = 0; i < power.size(); ++i)
      power[i] += std::norm(probe.data[static_cast<size_t>(k) * power.size() + i]);
  std::map<std::array<int64_t, 2>, float> visits;  // patches by their whole-pixel corner on the canvas
  for (const auto& position : positions_px) {
    const PatchCorner corner = patch_corner(position, side);
    visits[{corner.whole[0] - origin_px[0], corner.whole[1] - origin_px[1]}] += 1;
  }
  std::vector<float> sum(static_cast<size_t>(height * width));
  for (const auto& [corner, count] : visits)
    for (int64_t y = 0; y < side; ++y) {
      const int64_t row = corner[0] + y;
      if (row < 0 || row >= height) continue;
      for (int64_t x = 0; x < side; ++x) {
        const int64_t column = corner[1] + x;
        if (column < 0 || column >= width) continue;
        sum[static_cast<size_t>(row * width + column)] += count * power[static_cast<size_t>(y * side + x)];
      }
    }
  return sum;
}

}  // namespace ptyfuse
