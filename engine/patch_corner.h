#pragma once
#include <array>
#include <cstdint>

namespace ptyfuse {

/// Where a patch begins (its element [0,0]), [y,x]: whole pixels and a fraction in [0, 1).
struct PatchCorner {
  std::array<int64_t, 2> whole{0, 0};
  std::array<float, 2> fraction{0, 0};
};

/// Of a patch whose index N/2 lies at centre_px. Positions come from sums and differences of doubles, so a corner up to
/// 1e-6 px below a whole number is that number. Error(shape): a position that is not finite or
/// beyond 1e15.
PatchCorner patch_corner(const std::array<double, 2>& centre_px, int64_t side_px);

}  // namespace ptyfuse
