#pragma once
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

/// An axis over [low, high], about `count` labelled ticks at round numbers. Equal ends are widened.
Axis linear_axis(double low, double high, int count);
/// The same over decades; 0 < low.
Axis logarithmic_axis(double low, double high, int count);

/// "10⁻³"
std::string power_of_ten(int exponent);

}  // namespace ptyfuse::io
