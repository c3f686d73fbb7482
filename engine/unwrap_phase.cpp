#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>

#include "engine/probe.h"
#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

constexpr double two_pi = 2 * std::numbers::pi;

/// Whole turns that bring `phase` closest to zero, negated.
int64_t turns_to_zero(double phase) {
  return -static_cast<int64_t>(std::nearbyint(phase / two_pi));
}
double wrap(double phase) {
  return phase + two_pi * static_cast<double>(turns_to_zero(phase));
}

/// Sum of the squared second differences along the row, the column and both diagonals: small where the phase is smooth.
/// The outermost pixels lack neighbours and come after all others, among themselves by the differences they have.
std::vector<double> roughness(std::span<const double> phase, int64_t height, int64_t width) {
  constexpr double outermost = 1e7;
  constexpr std::array<std::array<int64_t, 2>, 4> directions{{{0, 1}, {1, 0}, {1, 1}, {1, -1}}};
  const auto inside = [&](int64_t y, int64_t x) { return y >= 0 && y < height && x >= 0 && x < width; };
  std::vector<double> out(phase.size());
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const double centre = phase[static_cast<size_t>(y * width + x)];
      double sum = inside(y - 1, x - 1) && inside(y + 1, x + 1) ? 0 : outermost;
      for (const auto& [dy, dx] : directions) {
        if (!inside(y - dy, x - dx) || !inside(y + dy, x + dx)) continue;
        const double difference = wrap(phase[static_cast<size_t>((y - dy) * width + x - dx)] - centre) -
                                  wrap(centre - phase[static_cast<size_t>((y + dy) * width + x + dx)]);
        sum += difference * difference;
      }
      out[static_cast<size_t>(y * width + x)] = sum;
    }
  return out;
}

/// Pixels joined into groups; every pixel knows its turns relative to its group's root.
class TurnGroups {
 public:
  explicit TurnGroups(size_t pixels) : parent_(pixels), size_(pixels, 1), turns_(pixels, 0) {
    std::iota(parent_.begin(), parent_.end(), int64_t{0});
  }
  struct Place {
    int64_t root, turns;
  };
  Place find(int64_t pixel) {
    int64_t root = pixel, turns = 0;
    for (; parent_[index(root)] != root; root = parent_[index(root)]) turns += turns_[index(root)];
    for (int64_t rest = turns; parent_[index(pixel)] != pixel;) {  // shorten the way for the next question
      const int64_t next = parent_[index(pixel)], own = turns_[index(pixel)];
      parent_[index(pixel)] = root;
      turns_[index(pixel)] = rest;
      rest -= own;
      pixel = next;
    }
    return {root, turns};
  }
  /// Makes turns(b) - turns(a) = difference, unless both are in one group already.
  void join(int64_t a, int64_t b, int64_t difference) {
    Place from = find(b), to = find(a);
    if (from.root == to.root) return;
    if (size_[index(from.root)] > size_[index(to.root)]) {
      std::swap(from, to);
      difference = -difference;
    }
    parent_[index(from.root)] = to.root;
    turns_[index(from.root)] = to.turns + difference - from.turns;
    size_[index(to.root)] += size_[index(from.root)];
  }

 private:
  static size_t index(int64_t i) { return static_cast<size_t>(i); }
  std::vector<int64_t> parent_, size_, turns_;
};

}  // namespace

std::vector<double> unwrap_phase(std::span<const double> wrapped, int64_t height, int64_t width) {
  if (height < 0 || width < 0 || static_cast<int64_t>(wrapped.size()) != height * width)
    throw_shape_error("unwrap_phase", std::to_string(wrapped.size()) + " pixels for an image of " +
                                          std::to_string(height) + " x " + std::to_string(width));
  for (double phase : wrapped)
    if (!std::isfinite(phase)) throw Error(ErrorKind::numeric, "unwrap_phase: a phase is not finite");
  const std::vector<double> rough = roughness(wrapped, height, width);

  struct Edge {
    double roughness;
    int64_t a, b;
  };
  std::vector<Edge> edges;
  edges.reserve(2 * wrapped.size());
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const int64_t a = y * width + x;
      const auto add = [&](int64_t b) {
        edges.push_back({rough[static_cast<size_t>(a)] + rough[static_cast<size_t>(b)], a, b});
      };
      if (x + 1 < width) add(a + 1);
      if (y + 1 < height) add(a + width);
    }
  std::stable_sort(edges.begin(), edges.end(), [](const Edge& p, const Edge& q) { return p.roughness < q.roughness; });

  TurnGroups groups(wrapped.size());
  for (const Edge& edge : edges)
    groups.join(edge.a, edge.b,
                turns_to_zero(wrapped[static_cast<size_t>(edge.b)] - wrapped[static_cast<size_t>(edge.a)]));

  std::vector<double> out(wrapped.size());
  if (out.empty()) return out;
  const int64_t reference = groups.find((height / 2) * width + width / 2).turns;  // the middle pixel keeps its value
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = wrapped[i] + two_pi * static_cast<double>(groups.find(static_cast<int64_t>(i)).turns - reference);
  return out;
}

}  // namespace ptyfuse
