#include "engine/frame_positions.h"

#include <algorithm>
#include <cmath>

namespace ptyfuse {
namespace {

using Vector = std::array<double, 2>;

double length(const Vector& v) {
  return std::hypot(v[0], v[1]);
}

Vector shortened(const Vector& v, double most) {
  const double now = length(v);
  return now > most ? Vector{v[0] * most / now, v[1] * most / now} : v;
}

}  // namespace

int64_t position_room_px(int64_t side_px) {
  return std::max<int64_t>(1, side_px / 4);
}

FramePositions::FramePositions(std::vector<Vector> scan_px, std::vector<Vector> now_px, int64_t side_px,
                               const Canvas& canvas)
    : scan_(std::move(scan_px)), now_(std::move(now_px)), side_(side_px), canvas_(canvas) {
  for (const Vector& position : now_) corners_.push_back(corner(position));
}

PatchCorner FramePositions::corner(const Vector& position_px) const {
  PatchCorner out = patch_corner(position_px, side_);
  for (size_t axis = 0; axis < 2; ++axis) out.whole[axis] -= canvas_.origin_px[axis];
  return out;
}

bool FramePositions::fits(const PatchCorner& corner, size_t axis) const {
  return corner.whole[axis] >= 0 && corner.whole[axis] + side_ <= canvas_.extent_px[axis];
}

bool FramePositions::outside(size_t frame) const {
  return !fits(corners_[frame], 0) || !fits(corners_[frame], 1);
}

void FramePositions::move(std::span<const Vector> steps_px, double scale, double most_px) {
  const auto frames = static_cast<double>(now_.size());
  std::vector<Vector> moved;
  Vector mean{0, 0};
  for (size_t n = 0; n < now_.size(); ++n) {
    const Vector step = shortened({scale * steps_px[n][0], scale * steps_px[n][1]}, most_px);
    Vector& its = moved.emplace_back();
    for (size_t axis = 0; axis < 2; ++axis) {
      its[axis] = now_[n][axis] - scan_[n][axis] + step[axis];
      mean[axis] += its[axis] / frames;
    }
  }
  const auto room = static_cast<double>(position_room_px(side_));
  for (size_t n = 0; n < now_.size(); ++n) {
    const Vector its = shortened({moved[n][0] - mean[0], moved[n][1] - mean[1]}, room);
    const Vector there{scan_[n][0] + its[0], scan_[n][1] + its[1]};
    const PatchCorner at = corner(there);
    for (size_t axis = 0; axis < 2; ++axis) {
      if (!fits(at, axis)) continue;
      now_[n][axis] = there[axis];
      corners_[n].whole[axis] = at.whole[axis];
      corners_[n].fraction[axis] = at.fraction[axis];
    }
  }
}

FramePositions::Moved FramePositions::moved() const {
  Moved out;
  for (size_t n = 0; n < now_.size(); ++n) {
    const double distance = length({now_[n][0] - scan_[n][0], now_[n][1] - scan_[n][1]});
    out.rms_px += distance * distance / static_cast<double>(now_.size());
    out.most_px = std::max(out.most_px, distance);
  }
  out.rms_px = std::sqrt(out.rms_px);
  return out;
}

}  // namespace ptyfuse
