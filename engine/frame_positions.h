#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/patch_corner.h"

namespace ptyfuse {

/// How far in all refinement may move a position from where the scan says it is: a quarter of the patch's side. A
/// canvas that leaves as much room round the patches never holds one back.
int64_t position_room_px(int64_t side_px);

/// Where the frames of a refinement lie on their canvas, and how they move (docs/physics.md).
class FramePositions {
 public:
  /// The canvas: its origin in scan pixels and its extents, [y,x].
  struct Canvas {
    std::array<int64_t, 2> origin_px{0, 0}, extent_px{0, 0};
  };
  /// scan_px: where the scan says the frames are (index N/2); now_px: where they are thought to be.
  FramePositions(std::vector<std::array<double, 2>> scan_px, std::vector<std::array<double, 2>> now_px, int64_t side_px,
                 const Canvas& canvas);

  /// Of each frame's window, in the canvas' pixels; outside() tells whether it leaves the canvas.
  const std::vector<PatchCorner>& corners() const { return corners_; }
  bool outside(size_t frame) const;

  /// Moves frame n by scale * steps[n], no step being longer than most_px. The frames' mean movement since the scan's
  /// positions is taken out, for object and positions may move together; no frame ends farther than position_room_px()
  /// from where the scan has it, and along an axis where its window would leave the canvas it stays.
  void move(std::span<const std::array<double, 2>> steps_px, double scale, double most_px);

  const std::vector<std::array<double, 2>>& positions_px() const { return now_; }
  struct Moved {
    double rms_px = 0, most_px = 0;
  };
  /// Of the distances from the scan's positions.
  Moved moved() const;

 private:
  PatchCorner corner(const std::array<double, 2>& position_px) const;
  bool fits(const PatchCorner& corner, size_t axis) const;

  std::vector<std::array<double, 2>> scan_, now_;
  int64_t side_;
  Canvas canvas_;
  std::vector<PatchCorner> corners_;
};

}  // namespace ptyfuse
