#include "engine/patch_corner.h"

#include <algorithm>
#include <cmath>

#include "kernels/device/error.h"

namespace ptyfuse {

PatchCorner patch_corner(const std::array<double, 2>& centre_px, int64_t side_px) {
  constexpr double whole_px = 1e-6;
  const int64_t middle = side_px / 2;
  PatchCorner out;
  for (size_t axis = 0; axis < 2; ++axis) {
    const double corner = centre_px[axis] - static_cast<double>(middle);
    if (!(std::abs(corner) < 1e15))
      throw Error(ErrorKind::shape,
                  "positions_px: a position is not finite, or beyond 1e15 px; mend it in the scan file");
    const double whole = std::floor(corner + whole_px);
    out.whole[axis] = static_cast<int64_t>(whole);
    out.fraction[axis] = static_cast<float>(std::max(0.0, corner - whole));
  }
  return out;
}

}  // namespace ptyfuse
