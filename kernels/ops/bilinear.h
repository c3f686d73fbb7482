#pragma once
// Bilinear interpolation of the operations that move images: one set of weights for all of them, on every device.
#include <cmath>
#include <cstdint>

#include "kernels/device/host_device.h"

namespace ptyfuse::ops {

/// A whole and a fractional part of a coordinate: floor, and the weights of the two samples beside it.
struct BilinearAxis {
  int64_t first = 0;  ///< index of the lower neighbour
  float w0 = 1;       ///< weight of sample `first`, 1 - fraction
  float w1 = 0;       ///< weight of sample `first + 1`, the fraction in [0, 1)
};

/// The neighbours of a coordinate and their weights. Coordinates beyond +-2^40 are taken there: outside of any image.
PTYFUSE_HOST_DEVICE inline BilinearAxis bilinear_axis(double coordinate) {
  constexpr double far_outside = 1099511627776.0;
  const double least = coordinate < -far_outside ? -far_outside : coordinate;
  const double c = least > far_outside ? far_outside : least, lower = std::floor(c);
  const double fraction = c - lower;
  return {static_cast<int64_t>(lower), static_cast<float>(1.0 - fraction), static_cast<float>(fraction)};
}

/// One axis of T_t, content moved by +t: out[i] = w0*in[i + first] + w1*in[i + first + 1], 0 outside the image. The
/// weights are those of every i, since i is whole; a translation is the product of its two axes.
PTYFUSE_HOST_DEVICE inline BilinearAxis translation_axis(double shift_px) {
  return bilinear_axis(-shift_px);
}

/// The transpose of that axis, again of the form out[i] = w0*in[i + first] + w1*in[i + first + 1].
PTYFUSE_HOST_DEVICE inline BilinearAxis transposed(const BilinearAxis& axis) {
  return {-axis.first - 1, axis.w1, axis.w0};
}

/// The four corners of a point and their weights, for maps whose fraction changes from pixel to pixel.
struct BilinearCorners {
  int64_t y = 0, x = 0;                      ///< the upper left corner; the others are at +1
  float w00 = 0, w01 = 0, w10 = 0, w11 = 0;  ///< weights [y][x]
};
PTYFUSE_HOST_DEVICE inline BilinearCorners bilinear_corners(double y, double x) {
  const BilinearAxis v = bilinear_axis(y), h = bilinear_axis(x);
  return {v.first, h.first, v.w0 * h.w0, v.w0 * h.w1, v.w1 * h.w0, v.w1 * h.w1};
}

}  // namespace ptyfuse::ops
