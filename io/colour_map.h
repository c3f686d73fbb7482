#pragma once
#include <array>
#include <cstdint>

#include "io/figure.h"

namespace ptyfuse::io {

struct Colour {
  double red = 0, green = 0, blue = 0;  ///< sRGB, 0 .. 1
};

/// 256 colours from low to high, computed in Oklab (B. Ottosson, 2020) so that equal steps look equal. The cyclic map's
/// first and last colours are one step apart; its lightness rises through the middle, so that small phases about 0
/// show.
using ColourTable = std::array<Colour, 256>;
ColourTable colour_table(ColourMap map);

/// Lightness in Oklab, 0 black to 1 white.
double lightness(const Colour& colour);

}  // namespace ptyfuse::io
