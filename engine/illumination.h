#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "io/scan.h"

namespace ptyfuse {

/// The intensity sum over modes |P|^2 of a probe [modes,N,N], summed over scan positions (of index N/2, [y,x], rounded
/// down to whole pixels) on a canvas [height,width] whose element [0,0] lies at origin_px; 0 where no patch reaches.
std::vector<float> illumination(const io::ComplexImage& probe, std::span<const std::array<double, 2>> positions_px,
                                std::array<int64_t, 2> origin_px, int64_t height, int64_t width);

}  // namespace ptyfuse
