#include "engine/refine_output.h"

#include <complex>
#include <map>

#include "engine/patch_corner.h"

namespace ptyfuse {

void place_refined(const RefineState& state, io::Reconstruction& out) {
  out.object = state.object;
  out.origin_px = state.origin_px;
  out.probe = state.probe;
  out.residual = state.residual;

  const int64_t side = state.probe.height, height = out.object.height, width = out.object.width;
  std::vector<float> power(static_cast<size_t>(side * side));
  for (int64_t k = 0; k < state.probe.depth; ++k)
    for (size_t i = 0; i < power.size(); ++i)
      power[i] += std::norm(state.probe.data[static_cast<size_t>(k) * power.size() + i]);
  std::map<std::array<int64_t, 2>, float> visits;  // patches by their whole-pixel corner on the canvas
  for (const auto& position : out.positions_px) {
    const PatchCorner corner = patch_corner(position, side);
    visits[{corner.whole[0] - state.origin_px[0], corner.whole[1] - state.origin_px[1]}] += 1;
  }
  out.weight.assign(static_cast<size_t>(height * width), 0);
  for (const auto& [corner, count] : visits)
    for (int64_t y = 0; y < side; ++y) {
      const int64_t row = corner[0] + y;
      if (row < 0 || row >= height) continue;
      for (int64_t x = 0; x < side; ++x) {
        const int64_t column = corner[1] + x;
        if (column < 0 || column >= width) continue;
        out.weight[static_cast<size_t>(row * width + column)] += count * power[static_cast<size_t>(y * side + x)];
      }
    }
}

}  // namespace ptyfuse
