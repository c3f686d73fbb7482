#include "io/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace ptyfuse::io {

namespace {

constexpr double slack = 1e-9;  // of the axis: ticks on its very ends count as inside

/// 1, 2 or 5 times a power of ten, so that span / step is about count.
double round_step(double span, int count) {
  const double raw = span / count, power = std::pow(10, std::floor(std::log10(raw)));
  double best = power;
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    if (std::abs(std::log(factor * power / raw)) < std::abs(std::log(best / raw))) best = factor * power;
  }
  return best;
}

int decimals_of(double step) {
  for (int decimals = 0; decimals < 12; ++decimals) {
    const double scaled = step * std::pow(10, decimals);
    if (std::abs(scaled - std::round(scaled)) < 1e-6 * scaled) return decimals;
  }
  return 12;
}

/// fmt's minus, as long as a plus.
std::string with_minus(std::string text) {
  if (!text.empty() && text[0] == '-') text.replace(0, 1, "\u2212");
  return text;
}

}  // namespace

double Axis::fraction(double value) const {
  if (!logarithmic) return (value - low) / (high - low);
  if (!(value > 0)) return std::numeric_limits<double>::quiet_NaN();
  return (std::log(value) - std::log(low)) / (std::log(high) - std::log(low));
}

std::string power_of_ten(int exponent) {
  constexpr std::array<const char*, 10> digits{"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string out = exponent < 0 ? "10⁻" : "10";
  for (const char digit : std::to_string(std::abs(exponent))) out += digits[static_cast<size_t>(digit - '0')];
  return out;
}

Axis linear_axis(double low, double high, int count, bool whole) {
  if (!(high - low > 1e-12 * std::max(std::abs(low), std::abs(high)))) {
    const double half = low == 0 ? 0.5 : 0.05 * std::abs(low);
    high = low + half;
    low -= half;
  }
  Axis axis{.low = low, .high = high, .logarithmic = false, .ticks = {}, .factor = ""};
  const double round = round_step(high - low, count), step = whole ? std::max(1.0, round) : round;
  const double largest = std::max(std::abs(low), std::abs(high));
  int exponent = static_cast<int>(std::floor(std::log10(largest)));
  if (exponent >= -3 && exponent < 5) exponent = 0;
  const double unit = std::pow(10, exponent);
  if (exponent != 0) axis.factor = "×" + power_of_ten(exponent);
  const int decimals = decimals_of(step / unit);
  const double margin = slack * (high - low);
  for (double k = std::ceil((low - margin) / step); k * step <= high + margin; ++k) {
    const double value = k * step;
    axis.ticks.push_back({value, with_minus(fmt::format("{:.{}f}", k == 0 ? 0.0 : value / unit, decimals))});
  }
  return axis;
}

Axis logarithmic_axis(double low, double high, int count, bool whole) {
  if (!(std::log10(high) - std::log10(low) > 1e-9)) {
    low /= 2;
    high *= 2;
  }
  Axis axis{.low = low, .high = high, .logarithmic = true, .ticks = {}, .factor = ""};
  const int first = static_cast<int>(std::floor(std::log10(low))), last = static_cast<int>(std::ceil(std::log10(high)));
  const int stride = std::max(1, (last - first) / std::max(1, count));
  // Within few decades the powers of ten alone would leave the axis bare.
  const double decades = std::log10(high) - std::log10(low);
  const auto wanted = [decades](int digit) { return decades < 0.6 || (decades < 1.5 && (digit == 2 || digit == 5)); };
  const bool plain = first >= -2 && last <= 4;
  for (int exponent = first; exponent <= last; ++exponent) {
    // Over many decades there is no room between the powers.
    for (int digit = 1; digit < (stride > 1 ? 2 : 10); ++digit) {
      const double value = digit * std::pow(10, exponent);
      if (value < low * (1 - slack) || value > high * (1 + slack)) continue;
      const bool labelled = digit == 1 ? (exponent - first) % stride == 0 : wanted(digit);
      std::string label;
      if (labelled && plain) {
        label = fmt::format("{:.{}f}", value, std::max(0, -exponent));
      } else if (labelled) {
        label = (digit == 1 ? "" : std::to_string(digit) + "×") + power_of_ten(exponent);
      }
      axis.ticks.push_back({value, std::move(label)});
    }
  }
  const auto labelled = [](const Tick& t) { return !t.label.empty(); };
  if (std::count_if(axis.ticks.begin(), axis.ticks.end(), labelled) < 2) {
    // A narrow range has hardly a round number of this kind in it.
    const Axis narrow = linear_axis(low, high, count, whole);
    axis.ticks = narrow.ticks;
    axis.factor = narrow.factor;
  }
  return axis;
}

std::optional<ScaleBar> scale_bar(int64_t width_px, std::optional<double> pixel_size_m) {
  constexpr int64_t least_width_px = 5;
  if (width_px < least_width_px) return std::nullopt;
  const double fifth_px = static_cast<double>(width_px) / 5;
  if (!pixel_size_m || !std::isfinite(*pixel_size_m) || !(*pixel_size_m > 0)) {
    const double length_px = std::max(1.0, round_step(fifth_px, 1));
    return ScaleBar{length_px, fmt::format("{:g} px", length_px)};
  }
  constexpr std::array<std::pair<double, const char*>, 5> units{
      {{1, "m"}, {1e-3, "mm"}, {1e-6, "µm"}, {1e-9, "nm"}, {1e-12, "pm"}}};
  const double length_m = round_step(fifth_px * *pixel_size_m, 1);
  const auto fits = [&](const auto& unit) { return length_m >= unit.first * (1 - slack); };
  const auto* unit = std::find_if(units.begin(), units.end() - 1, fits);
  return ScaleBar{length_m / *pixel_size_m, fmt::format("{:g} {}", length_m / unit->first, unit->second)};
}

}  // namespace ptyfuse::io
