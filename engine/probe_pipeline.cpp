#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "engine/gaussian_filter.h"
#include "engine/probe.h"
#include "kernels/device/error.h"
#include "kernels/device/tensor_view.h"

namespace ptyfuse {
namespace {

constexpr const char* step_help =
    "steps are smooth:SIGMA, pad:SIDE, interp:SIDE, pad_extrapolate:SIDE and mask:DIAMETER, joined by |, as in "
    "\"pad_extrapolate:64|smooth:0.5\"";
constexpr int64_t largest_side_px = 8192;

/// One mode in double: float would add its rounding at every step.
struct Mode {
  int64_t side = 0;
  std::vector<std::complex<double>> data;

  std::complex<double>& at(int64_t y, int64_t x) { return data[static_cast<size_t>(y * side + x)]; }
  const std::complex<double>& at(int64_t y, int64_t x) const { return data[static_cast<size_t>(y * side + x)]; }
  std::vector<double> magnitude() const {
    std::vector<double> out;
    out.reserve(data.size());
    for (const auto& value : data) out.push_back(std::abs(value));
    return out;
  }
  std::vector<double> unwrapped() const {
    std::vector<double> phase;
    phase.reserve(data.size());
    for (const auto& value : data) phase.push_back(std::arg(value));
    return unwrap_phase(phase, side, side);
  }
};

Mode blank(int64_t side) {
  return {side, std::vector<std::complex<double>>(static_cast<size_t>(side * side))};
}

Mode smooth(const Mode& in, std::span<const double> phase, double sigma) {
  const std::vector<double> amplitude = gaussian_filter(in.magnitude(), in.side, in.side, sigma);
  const std::vector<double> smooth_phase = gaussian_filter(phase, in.side, in.side, sigma);
  Mode out = blank(in.side);
  for (size_t i = 0; i < out.data.size(); ++i) {
    // The blur of magnitudes is never negative but for rounding, which std::polar does not allow.
    out.data[i] = std::polar(std::max(amplitude[i], 0.0), smooth_phase[i]);
  }
  return out;
}

void check_larger(const Mode& in, int64_t side) {
  if (side < in.side)
    throw_shape_error("probe pipeline", "cannot pad a probe of " + std::to_string(in.side) + " px to " +
                                            std::to_string(side) + " px; interp:" + std::to_string(side) +
                                            " resamples it");
}

Mode pad(const Mode& in, int64_t side) {
  check_larger(in, side);
  const int64_t low = (side - in.side) / 2;
  Mode out = blank(side);
  for (int64_t y = 0; y < in.side; ++y)
    for (int64_t x = 0; x < in.side; ++x) out.at(low + y, low + x) = in.at(y, x);
  return out;
}

double radius_squared(int64_t y, int64_t x, int64_t side) {
  const double dy = static_cast<double>(y) - static_cast<double>(side - 1) / 2;
  const double dx = static_cast<double>(x) - static_cast<double>(side - 1) / 2;
  return dy * dy + dx * dx;
}

Mode pad_extrapolate(const Mode& in, std::span<const double> phase, int64_t side) {
  check_larger(in, side);
  double mean_r2 = 0, mean_phase = 0;
  for (int64_t i = 0; i < in.side * in.side; ++i) {
    mean_r2 += radius_squared(i / in.side, i % in.side, in.side);
    mean_phase += phase[static_cast<size_t>(i)];
  }
  mean_r2 /= static_cast<double>(in.side * in.side);
  mean_phase /= static_cast<double>(in.side * in.side);
  double covariance = 0, variance = 0;
  for (int64_t i = 0; i < in.side * in.side; ++i) {
    const double d = radius_squared(i / in.side, i % in.side, in.side) - mean_r2;
    covariance += d * (phase[static_cast<size_t>(i)] - mean_phase);
    variance += d * d;
  }
  const double curvature = variance > 0 ? covariance / variance : 0;
  const double constant = mean_phase - curvature * mean_r2;

  const int64_t low = (side - in.side) / 2;
  const auto nearest = [&](int64_t i) { return std::clamp<int64_t>(i - low, 0, in.side - 1); };
  Mode out = blank(side);
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x)
      out.at(y, x) =
          std::polar(std::abs(in.at(nearest(y), nearest(x))), curvature * radius_squared(y, x, side) + constant);
  return out;
}

int64_t mirrored(int64_t i, int64_t n) {
  if (n == 1) return 0;
  const int64_t period = 2 * n - 2;
  i %= period;
  if (i < 0) i += period;
  return i < n ? i : period - i;
}

/// Coefficients of the cubic spline through `values` whose ends are mirrored on the last samples (Unser 1999).
void spline_coefficients(std::vector<std::complex<double>>& values) {
  const auto n = static_cast<int64_t>(values.size());
  if (n == 1) return;
  const double pole = std::sqrt(3.0) - 2;
  std::complex<double> first = 0;
  double power = 1;
  for (int64_t k = 0; k < 2 * n - 2; ++k, power *= pole) first += values[static_cast<size_t>(mirrored(k, n))] * power;
  std::complex<double> previous = values[0] = first / (1 - power);
  for (size_t i = 1; i < values.size(); ++i) previous = values[i] += pole * previous;
  const size_t last = values.size() - 1;
  previous = values[last] = pole / (pole * pole - 1) * (values[last] + pole * values[last - 1]);
  for (size_t i = last; i-- > 0;) previous = values[i] = pole * (previous - values[i]);
  for (auto& value : values) value *= 6;
}

std::vector<std::complex<double>> resample(std::vector<std::complex<double>> values, int64_t count) {
  const auto n = static_cast<int64_t>(values.size());
  spline_coefficients(values);
  std::vector<std::complex<double>> out;
  out.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const double source = static_cast<double>(i) * static_cast<double>(n - 1) / static_cast<double>(count - 1);
    const auto whole = static_cast<int64_t>(std::floor(source));
    const double t = source - static_cast<double>(whole), s = 1 - t;
    const double weight[4] = {s * s * s / 6, (4 - 6 * t * t + 3 * t * t * t) / 6, (4 - 6 * s * s + 3 * s * s * s) / 6,
                              t * t * t / 6};
    std::complex<double> sum = 0;
    for (int64_t k = 0; k < 4; ++k) sum += weight[k] * values[static_cast<size_t>(mirrored(whole - 1 + k, n))];
    out.push_back(sum);
  }
  return out;
}

Mode interpolate(const Mode& in, int64_t side) {
  std::vector<std::complex<double>> rows(static_cast<size_t>(in.side * side));
  for (int64_t y = 0; y < in.side; ++y) {
    const auto begin = in.data.begin() + y * in.side;
    const auto row = resample({begin, begin + in.side}, side);
    std::copy(row.begin(), row.end(), rows.begin() + y * side);
  }
  Mode out = blank(side);
  std::vector<std::complex<double>> column(static_cast<size_t>(in.side));
  for (int64_t x = 0; x < side; ++x) {
    for (int64_t y = 0; y < in.side; ++y) column[static_cast<size_t>(y)] = rows[static_cast<size_t>(y * side + x)];
    const auto stretched = resample(column, side);
    for (int64_t y = 0; y < side; ++y) out.at(y, x) = stretched[static_cast<size_t>(y)];
  }
  return out;
}

Mode masked(Mode mode, double diameter) {
  for (int64_t y = 0; y < mode.side; ++y)
    for (int64_t x = 0; x < mode.side; ++x)
      if (radius_squared(y, x, mode.side) > diameter * diameter / 4) mode.at(y, x) = 0;
  return mode;
}

Mode apply(const Mode& mode, const ProbeStep& step) {
  const auto side = static_cast<int64_t>(step.value);
  switch (step.kind) {
    case ProbeStep::Kind::smooth:
      return step.value > 0 ? smooth(mode, mode.unwrapped(), step.value) : mode;
    case ProbeStep::Kind::pad:
      return pad(mode, side);
    case ProbeStep::Kind::interpolate:
      return interpolate(mode, side);
    case ProbeStep::Kind::pad_extrapolate:
      return pad_extrapolate(mode, mode.unwrapped(), side);
    case ProbeStep::Kind::mask:
      return masked(mode, step.value);
  }
  throw_shape_error("probe pipeline", "unknown step");
}

std::vector<Mode> modes_of(const io::ComplexImage& probe) {
  if (probe.depth < 1 || probe.height < 1 || probe.height != probe.width ||
      static_cast<int64_t>(probe.data.size()) != probe.depth * probe.height * probe.width)
    throw_shape_error("probe pipeline",
                      "probe of " + Shape{probe.depth, probe.height, probe.width}.str() + ", expected [modes, N, N]");
  const auto pixels = static_cast<size_t>(probe.width * probe.width);
  std::vector<Mode> modes;
  for (size_t first = 0; first < probe.data.size(); first += pixels) {
    Mode mode{probe.width, {}};
    mode.data.assign(probe.data.begin() + static_cast<std::ptrdiff_t>(first),
                     probe.data.begin() + static_cast<std::ptrdiff_t>(first + pixels));
    modes.push_back(std::move(mode));
  }
  return modes;
}

io::ComplexImage image_of(const std::vector<Mode>& modes) {
  io::ComplexImage probe{static_cast<int64_t>(modes.size()), modes.front().side, modes.front().side, {}};
  for (const Mode& mode : modes)
    for (const auto& value : mode.data) probe.data.emplace_back(value);
  return probe;
}

void check_phase(const io::ComplexImage& probe, std::span<const double> phase) {
  if (probe.depth != 1 || phase.size() != probe.data.size())
    throw_shape_error("probe pipeline", std::to_string(phase.size()) + " phases for a probe of " +
                                            std::to_string(probe.depth) + " mode(s) and " +
                                            std::to_string(probe.data.size()) + " pixels, expected one mode");
}

ProbeStep parse_step(std::string_view text) {
  const auto fail = [&](const std::string& why) {
    throw_shape_error("probe pipeline", "step \"" + std::string(text) + "\": " + why + "; " + step_help);
  };
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) fail("no value");
  const std::string_view name = text.substr(0, colon), number = text.substr(colon + 1);
  ProbeStep step;
  if (name == "smooth")
    step.kind = ProbeStep::Kind::smooth;
  else if (name == "pad")
    step.kind = ProbeStep::Kind::pad;
  else if (name == "interp")
    step.kind = ProbeStep::Kind::interpolate;
  else if (name == "pad_extrapolate")
    step.kind = ProbeStep::Kind::pad_extrapolate;
  else if (name == "mask")
    step.kind = ProbeStep::Kind::mask;
  else
    fail("unknown name");
  const auto [end, fault] = std::from_chars(number.data(), number.data() + number.size(), step.value);
  if (fault != std::errc() || end != number.data() + number.size() || !std::isfinite(step.value))
    fail("\"" + std::string(number) + "\" is not a number");
  switch (step.kind) {
    case ProbeStep::Kind::smooth:
      if (step.value < 0 || step.value > largest_side_px) fail("sigma must be between 0 and 8192 px");
      break;
    case ProbeStep::Kind::mask:
      if (step.value <= 0) fail("the diameter must be above 0 px");
      break;
    case ProbeStep::Kind::pad:
    case ProbeStep::Kind::interpolate:
    case ProbeStep::Kind::pad_extrapolate:
      if (step.value != std::floor(step.value) || step.value < 2 || step.value > largest_side_px)
        fail("the side must be a whole number of pixels between 2 and 8192");
  }
  return step;
}

}  // namespace

std::vector<ProbeStep> parse_probe_pipeline(const std::string& text) {
  std::vector<ProbeStep> steps;
  if (text.empty()) return steps;
  std::string_view rest = text;
  for (;;) {
    const size_t bar = rest.find('|');
    steps.push_back(parse_step(rest.substr(0, bar)));
    if (bar == std::string_view::npos) return steps;
    rest.remove_prefix(bar + 1);
  }
}

io::ComplexImage apply_probe_pipeline(io::ComplexImage probe, std::span<const ProbeStep> steps) {
  if (steps.empty()) return probe;
  std::vector<Mode> modes = modes_of(probe);
  for (const ProbeStep& step : steps) {
    const bool by_phase = step.kind == ProbeStep::Kind::smooth || step.kind == ProbeStep::Kind::pad_extrapolate;
    if (by_phase && modes.size() > 1)
      throw_shape_error("probe pipeline",
                        "smooth and pad_extrapolate work on the unwrapped phase of one mode, and the probe has " +
                            std::to_string(modes.size()) + "; use pad or interp, or name a dataset with one mode");
    for (Mode& mode : modes) mode = apply(mode, step);
  }
  return image_of(modes);
}

io::ComplexImage smooth_with_phase(const io::ComplexImage& probe, std::span<const double> unwrapped_phase,
                                   double sigma_px) {
  check_phase(probe, unwrapped_phase);
  return image_of({smooth(modes_of(probe).front(), unwrapped_phase, sigma_px)});
}

io::ComplexImage pad_extrapolate_with_phase(const io::ComplexImage& probe, std::span<const double> unwrapped_phase,
                                            int64_t side_px) {
  check_phase(probe, unwrapped_phase);
  return image_of({pad_extrapolate(modes_of(probe).front(), unwrapped_phase, side_px)});
}

}  // namespace ptyfuse
