#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ptyfuse::io {

struct Tick {
  double value = 0;
  std::string label;  ///< empty: a minor tick
};

/// Where numbers lie on an axis and how they are written.
struct Axis {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<Tick> ticks;
  std::string factor;  ///< "×10⁶" when the labels leave it out, else empty

  /// 0 at low, 1 at high; NaN where the value has no place.
  double fraction(double value) const;
};

/// An axis over [low, high], about `count` labelled ticks at round numbers, with `whole` at whole ones. Equal ends are
/// widened.
Axis linear_axis(double low, double high, int count, bool whole = false);
/// The same over decades; 0 < low.
Axis logarithmic_axis(double low, double high, int count, bool whole = false);

/// A round length (1, 2 or 5 times a power of ten) of about a fifth of an image's width.
struct ScaleBar {
  double length_px = 0;
  std::string label;  ///< "500 nm", "2 µm"; "50 px" without a pixel size above 0
};
/// nullopt where the image has too few columns for one.
std::optional<ScaleBar> scale_bar(int64_t width_px, std::optional<double> pixel_size_m);

/// "10⁻³"
std::string power_of_ten(int exponent);

}  // namespace ptyfuse::io
