#include "engine/probe_modes.h"

#include <cmath>
#include <complex>
#include <string>
#include <vector>

#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

using Mode = std::vector<std::complex<double>>;

// Power that new modes share.
constexpr double new_share = 0.1;
// A product that keeps less than this share of its norm is already spanned by the modes before it.
constexpr double least_new = 1e-6;

double power_of(const Mode& mode) {
  double sum = 0;
  for (const auto& v : mode) sum += std::norm(v);
  return sum;
}

void scale(Mode& mode, double factor) {
  for (auto& v : mode) v *= factor;
}

// What of `mode` the others (orthonormal) do not span; twice, since once leaves rounding.
void make_orthogonal(Mode& mode, const std::vector<Mode>& others) {
  for (int pass = 0; pass < 2; ++pass)
    for (const Mode& other : others) {
      std::complex<double> overlap;
      for (size_t i = 0; i < mode.size(); ++i) overlap += std::conj(other[i]) * mode[i];
      for (size_t i = 0; i < mode.size(); ++i) mode[i] -= overlap * other[i];
    }
}

struct Axis {
  double centre = 0, width = 1;
};

// Centre and root mean square width of a mode's power along one axis.
Axis axis_of(const Mode& mode, int64_t width, bool along_x) {
  double sum = 0, first = 0, second = 0;
  for (size_t i = 0; i < mode.size(); ++i) {
    const auto at = static_cast<double>(along_x ? static_cast<int64_t>(i) % width : static_cast<int64_t>(i) / width);
    const double power = std::norm(mode[i]);
    sum += power;
    first += power * at;
    second += power * at * at;
  }
  const double centre = first / sum, variance = second / sum - centre * centre;
  return {centre, variance > 0 ? std::sqrt(variance) : 1};
}

}  // namespace

io::ComplexImage with_modes(io::ComplexImage probe, int64_t modes) {
  if (modes < 1) throw_shape_error("with_modes", "--modes is " + std::to_string(modes) + ", expected 1 or more");
  if (modes == probe.depth) return probe;
  const int64_t pixels = probe.height * probe.width;
  std::vector<Mode> all;
  double total = 0;
  for (int64_t k = 0; k < probe.depth; ++k) {
    all.emplace_back(probe.data.begin() + k * pixels, probe.data.begin() + (k + 1) * pixels);
    total += power_of(all.back());
  }
  if (!(total > 0) || !(power_of(all[0]) > 0)) throw_shape_error("with_modes", "the first mode of the probe is zero");

  if (modes < probe.depth) {
    all.resize(static_cast<size_t>(modes));
  } else {
    std::vector<Mode> basis;  // of what is there, orthonormal
    const auto extend = [&basis](Mode mode) {
      const double before = power_of(mode);
      make_orthogonal(mode, basis);
      const double left = power_of(mode);
      if (!(left > least_new * before)) return false;
      scale(mode, 1 / std::sqrt(left));
      basis.push_back(std::move(mode));
      return true;
    };
    for (const Mode& mode : all) extend(mode);
    const Axis y_axis = axis_of(all[0], probe.width, false), x_axis = axis_of(all[0], probe.width, true);
    const double each = new_share * total / static_cast<double>(modes - probe.depth);
    for (Mode& mode : all) scale(mode, std::sqrt(1 - new_share));
    const Mode main = all[0];
    for (int64_t degree = 1; static_cast<int64_t>(all.size()) < modes; ++degree) {
      if (degree > modes)
        throw_shape_error("with_modes",
                          "the probe's pixels cannot tell " + std::to_string(modes) + " modes apart; lower --modes");
      for (int64_t in_y = 0; in_y <= degree && static_cast<int64_t>(all.size()) < modes; ++in_y) {
        Mode mode = main;
        for (size_t i = 0; i < mode.size(); ++i) {
          const auto at = static_cast<int64_t>(i);
          const int64_t row = at / probe.width;
          const double y = (static_cast<double>(row) - y_axis.centre) / y_axis.width;
          const double x = (static_cast<double>(at % probe.width) - x_axis.centre) / x_axis.width;
          mode[i] *= std::pow(y, static_cast<double>(in_y)) * std::pow(x, static_cast<double>(degree - in_y));
        }
        if (!extend(std::move(mode))) continue;
        all.push_back(basis.back());
        scale(all.back(), std::sqrt(each));
      }
    }
  }

  double power = 0;
  for (const Mode& mode : all) power += power_of(mode);
  const double factor = std::sqrt(total / power);
  probe.depth = modes;
  probe.data.clear();
  for (const Mode& mode : all)
    for (const auto& v : mode) probe.data.emplace_back(factor * v);
  return probe;
}

}  // namespace ptyfuse
