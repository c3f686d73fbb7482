#include "io/colour_map.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ptyfuse::io {

namespace {

constexpr double pi = std::numbers::pi;

struct Linear {
  double red, green, blue;
};

Linear from_oklch(double lightness, double chroma, double hue_rad) {
  const double a = chroma * std::cos(hue_rad), b = chroma * std::sin(hue_rad);
  const double l = std::pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
  const double m = std::pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
  const double s = std::pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
  return {4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
          -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
          -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s};
}

double encoded(double linear) {
  const double v = std::clamp(linear, 0.0, 1.0);
  return v <= 0.0031308 ? 12.92 * v : 1.055 * std::pow(v, 1 / 2.4) - 0.055;
}

double decoded(double value) {
  return value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
}

Colour shown(double lightness, double chroma, double hue_rad) {
  const Linear linear = from_oklch(lightness, chroma, hue_rad);
  return {encoded(linear.red), encoded(linear.green), encoded(linear.blue)};
}

double radians(double degrees) {
  return degrees * pi / 180;
}

/// Purple, blue, teal, green, yellow with lightness in equal steps. The chroma stays within what a screen can show:
/// least at teal.
Colour sequential(double t) {
  constexpr double teal = 0.44;
  const double chroma = 0.093 + (t < teal ? 0.13 : 0.3) * (t - teal) * (t - teal);
  return shown(0.24 + 0.68 * t, chroma, radians(310 - 205 * std::pow(t, 0.95)));
}

/// Once round the hues; lightest near yellow at +pi/2, darkest near blue at -pi/2. 0.11 is the largest chroma that a
/// screen shows all the way.
Colour cyclic(double t) {
  const double phase = 2 * pi * t - pi;
  return shown(0.65 + 0.24 * std::sin(phase), 0.11, radians(30) + phase);
}

}  // namespace

ColourTable colour_table(ColourMap map) {
  ColourTable table;
  for (size_t i = 0; i < table.size(); ++i) {
    const double t = static_cast<double>(i) / (map == ColourMap::cyclic ? 256 : 255);
    switch (map) {
      case ColourMap::grey:
        table[i] = shown(t, 0, 0);
        break;
      case ColourMap::viridis:
        table[i] = sequential(t);
        break;
      case ColourMap::cyclic:
        table[i] = cyclic(t);
        break;
    }
  }
  return table;
}

double lightness(const Colour& colour) {
  const double r = decoded(colour.red), g = decoded(colour.green), b = decoded(colour.blue);
  return 0.2104542553 * std::cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) +
         0.7936177850 * std::cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) -
         0.0040720468 * std::cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
}

}  // namespace ptyfuse::io
