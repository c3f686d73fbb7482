#pragma once
#include <array>
#include <complex>
#include <cstdint>
#include <span>

#include "io/scan.h"

namespace ptyfuse {

/// The part of one object of a stack that a pattern sees: out [side,side], index side/2 at position_px [y,x] of the
/// object's pixels (as patch_corner() takes it); bilinear, zero outside, computed in float. Error(shape): `out` is not
/// of that side, no such image, a position that is not finite.
void cut_patch(const io::ComplexImage& objects, int64_t image, std::array<double, 2> position_px, int64_t side_px,
               std::span<std::complex<float>> out);

}  // namespace ptyfuse
