#pragma once
// The normal equations of a frame's movement (rpie_positions.h): one solution on every device.

#include "kernels/device/host_device.h"

namespace ptyfuse::ops {

/// Sums over a frame's modes and pixels.
struct PositionSums {
  double yy = 0, yx = 0, xx = 0;  ///< Re(conj(G_a) G_b)
  double y = 0, x = 0;            ///< Re(conj(G_a) difference)
};

struct PositionStep {
  double y = 0, x = 0;
};

PTYFUSE_HOST_DEVICE inline PositionStep solve(const PositionSums& sums) {
  constexpr double ridge = 1e-3;
  const double trace = sums.yy + sums.xx, yy = sums.yy + ridge * trace, xx = sums.xx + ridge * trace;
  const double determinant = yy * xx - sums.yx * sums.yx;
  const PositionStep step = {(xx * sums.y - sums.yx * sums.x) / determinant,
                             (yy * sums.x - sums.yx * sums.y) / determinant};
  return determinant > 0 && step.y * step.y + step.x * step.x < 1e300 ? step : PositionStep{};
}

}  // namespace ptyfuse::ops
