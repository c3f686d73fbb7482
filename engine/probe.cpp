#include "engine/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/gaussian_filter.h"
#include "kernels/device/error.h"
#include "kernels/device/tensor_view.h"

namespace ptyfuse {
namespace {

void check_probe(const char* what, const io::ComplexImage& probe) {
  if (probe.depth < 1 || probe.height < 1 || probe.height != probe.width ||
      static_cast<int64_t>(probe.data.size()) != probe.depth * probe.height * probe.width)
    throw_shape_error(what, "probe of " + Shape{probe.depth, probe.height, probe.width}.str() +
                                ", expected [modes, N, N] with at least one mode");
  for (const auto& value : probe.data)
    if (!std::isfinite(value.real()) || !std::isfinite(value.imag()))
      throw Error(ErrorKind::numeric, std::string(what) + ": the probe has a value that is not finite");
}

void scale_by(io::ComplexImage& probe, double factor) {
  for (auto& value : probe.data) value = std::complex<float>(std::complex<double>(value) * factor);
}

void check_side(const char* what, int64_t side_px) {
  if (side_px < 2) throw_shape_error(what, "a side of " + std::to_string(side_px) + " px, expected at least 2");
}

/// The disk in double, so that what is derived from its sum is not rounded.
std::vector<double> default_disk(int64_t side_px, double scale) {
  const auto n = static_cast<double>(side_px);
  const double sigma = n / (scale * std::numbers::pi * std::numbers::pi);
  std::vector<double> weight(static_cast<size_t>(side_px));
  double largest = 0;
  for (size_t i = 0; i < weight.size(); ++i) {
    const double x = (static_cast<double>(i) - (n - 1) / 2) / sigma;
    weight[i] = std::exp(-0.5 * x * x);
    largest = std::max(largest, weight[i]);
  }
  std::vector<double> disk;
  disk.reserve(weight.size() * weight.size());
  for (double wy : weight)
    for (double wx : weight) disk.push_back(wy / largest * (wx / largest) > 0.5 ? 1 : 0);
  disk = gaussian_filter(disk, side_px, side_px, 1);
  for (double& value : disk) value += 1e-9;
  return disk;
}

}  // namespace

double total_power(const io::ComplexImage& probe) {
  double sum = 0;
  for (const auto& value : probe.data) sum += std::norm(std::complex<double>(value));
  return sum;
}

void require_probe(const io::ScanInfo& scan, const io::ComplexImage& probe, const std::string& origin) {
  constexpr const char* mend = "; name another with --probe FILE[:DATASET]";
  if (probe.empty())
    throw Error(ErrorKind::shape, origin + ": probe: there is none; name one with --probe FILE[:DATASET]");
  if (probe.height != scan.side_px || probe.width != scan.side_px)
    throw Error(ErrorKind::shape, fmt::format("{}: the probe has {} x {} pixels, the patterns have {} x {}{}", origin,
                                              probe.height, probe.width, scan.side_px, scan.side_px, mend));
  const double power = total_power(probe);
  if (!std::isfinite(power)) throw Error(ErrorKind::numeric, origin + ": the probe is not finite" + mend);
  if (power == 0) throw Error(ErrorKind::numeric, origin + ": the probe is zero everywhere" + mend);
}

io::ComplexImage choose_probe(const std::string& name, const io::ScanInfo& scan) {
  io::ComplexImage probe = name.empty() ? scan.probe : io::read_complex_image(name, "probe");
  require_probe(scan, probe, name.empty() ? scan.path : name);
  return probe;
}

std::vector<float> probe_support(int64_t side_px) {
  check_side("probe_support", side_px);
  const double centre = static_cast<double>(side_px / 2) - 0.5, radius = static_cast<double>(side_px / 4);
  std::vector<float> support;
  support.reserve(static_cast<size_t>(side_px * side_px));
  for (int64_t y = 0; y < side_px; ++y)
    for (int64_t x = 0; x < side_px; ++x)
      support.push_back(std::hypot(static_cast<double>(y) - centre, static_cast<double>(x) - centre) < radius ? 1.0f
                                                                                                              : 0.0f);
  return support;
}

io::ComplexImage default_probe(int64_t side_px, double scale) {
  check_side("default_probe", side_px);
  if (!(scale > 0) || std::isinf(scale))
    throw_shape_error("default_probe", "scale " + std::to_string(scale) + ", expected one above 0");
  const std::vector<double> disk = default_disk(side_px, scale);
  io::ComplexImage probe{1, side_px, side_px, {}};
  probe.data.reserve(disk.size());
  for (double value : disk) probe.data.emplace_back(static_cast<float>(value));
  return probe;
}

io::ComplexImage normalise_probe(io::ComplexImage probe, double probe_scale) {
  check_probe("normalise_probe", probe);
  if (!(probe_scale > 0) || std::isinf(probe_scale))
    throw_shape_error("normalise_probe", "probe scale " + std::to_string(probe_scale) + ", expected one above 0");
  const std::vector<float> support = probe_support(probe.width);
  double sum = 0;
  for (size_t pixel = 0; pixel < support.size(); ++pixel) {
    if (support[pixel] == 0) continue;
    double power = 0;
    for (size_t at = pixel; at < probe.data.size(); at += support.size())
      power += std::norm(std::complex<double>(probe.data[at]));
    sum += std::sqrt(power);
  }
  if (!(sum > 0))
    throw_shape_error("normalise_probe",
                      "the probe is zero inside the circle of radius N/4 = " + std::to_string(probe.width / 4) +
                          " px about its middle; expected a probe centred in its frame");
  scale_by(probe, static_cast<double>(support.size()) / (probe_scale * sum));
  return probe;
}

io::ComplexImage scale_probe_to_object(io::ComplexImage probe, double target) {
  check_probe("scale_probe_to_object", probe);
  if (!(target > 0) || std::isinf(target))
    throw_shape_error("scale_probe_to_object", "target " + std::to_string(target) + ", expected one above 0");
  const double power = total_power(probe);
  if (!(power > 0)) throw_shape_error("scale_probe_to_object", "the probe is zero everywhere");
  scale_by(probe, static_cast<double>(probe.width) / 2 / target / std::sqrt(power));
  return probe;
}

double power_outside_centre(const io::ComplexImage& probe) {
  check_probe("power_outside_centre", probe);
  const int64_t n = probe.width, low = n / 4, high = low + n / 2;
  double inside = 0;
  for (int64_t mode = 0; mode < probe.depth; ++mode)
    for (int64_t y = low; y < high; ++y)
      for (int64_t x = low; x < high; ++x)
        inside += std::norm(std::complex<double>(probe.data[static_cast<size_t>((mode * n + y) * n + x)]));
  const double power = total_power(probe);
  if (!(power > 0)) throw_shape_error("power_outside_centre", "the probe is zero everywhere");
  return 1 - inside / power;
}

io::ComplexImage guess_probe(std::span<const float> mean_x, int64_t side_px) {
  check_side("guess_probe", side_px);
  const int64_t n = side_px;
  if (static_cast<int64_t>(mean_x.size()) != n * n)
    throw_shape_error("guess_probe",
                      std::to_string(mean_x.size()) + " pixels for a pattern of side " + std::to_string(n) + " px");
  // Row n/2 of the shifted inverse transform is row 0 of the unshifted one: a sum over rows, then one dimension.
  std::vector<double> column_sum(static_cast<size_t>(n), 0);
  for (int64_t y = 0; y < n; ++y)
    for (int64_t x = 0; x < n; ++x)
      column_sum[static_cast<size_t>(x)] += static_cast<double>(mean_x[static_cast<size_t>(y * n + x)]);
  double sum = 0, variance = 0;
  for (int64_t j = 0; j < n; ++j) {
    std::complex<double> value;
    for (int64_t k = 0; k < n; ++k) {
      const int64_t turn = (k - n / 2) * (j - n / 2) % n;
      value += column_sum[static_cast<size_t>(k)] *
               std::polar(1.0, 2 * std::numbers::pi * static_cast<double>(turn) / static_cast<double>(n));
    }
    const auto distance = static_cast<double>(j - n / 2);
    sum += std::abs(value);
    variance += std::abs(value) * distance * distance;
  }
  variance /= sum;
  if (!(variance > 0) || std::isinf(variance))
    throw Error(ErrorKind::numeric,
                "guess_probe: the mean pattern gives no width (it is flat, zero or not finite); name a probe instead");

  const std::vector<float> support = probe_support(n);
  std::vector<double> guess;
  guess.reserve(support.size());
  double guess_sum = 0;
  for (int64_t y = 0; y < n; ++y)
    for (int64_t x = 0; x < n; ++x) {
      const double dy = static_cast<double>(y) - static_cast<double>(n - 1) / 2;
      const double dx = static_cast<double>(x) - static_cast<double>(n - 1) / 2;
      guess.push_back((std::exp(-0.5 * (dy * dy + dx * dx) / variance) + 1e-9) *
                      static_cast<double>(support[guess.size()]));
      guess_sum += guess.back();
    }
  double disk_sum = 0;
  for (double value : default_disk(n, 0.7)) disk_sum += value;
  io::ComplexImage probe{1, n, n, {}};
  probe.data.reserve(guess.size());
  for (double value : guess) probe.data.emplace_back(static_cast<float>(value * disk_sum / guess_sum));
  return probe;
}

}  // namespace ptyfuse
