#include "engine/grouping.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nanoflann.hpp>
#include <numeric>
#include <string>

#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

// One stream of random numbers per purpose.
constexpr uint64_t seed_stream = 0x67726f7570736565, member_stream = 0x67726f75706d656d,
                   combination_stream = 0x67726f7570636f6d;
// Members nearer than this to the horizontal through their mean lie on it: rounding must not turn pi into -pi.
constexpr double level_px = 1e-9;
// Squares of distances between positions up to this are finite and still tell neighbours apart.
constexpr double farthest_px = 1e15;

struct PointCloud {
  std::span<const PositionPx> points;
  size_t kdtree_get_point_count() const { return points.size(); }
  double kdtree_get_pt(int64_t index, size_t axis) const { return points[static_cast<size_t>(index)][axis]; }
  template <class Box>
  bool kdtree_get_bbox(Box&) const {
    return false;
  }
};

// Squared distance whose rounding depends neither on the axes' order nor on how the compiler contracts products, so
// that ties on regular grids are ties.
struct SymmetricDistance {
  using ElementType = double;
  using DistanceType = double;
  const PointCloud& cloud;
  explicit SymmetricDistance(const PointCloud& c) : cloud(c) {}
  double evalMetric(const double* a, int64_t b, size_t) const {
    const double dy = std::abs(a[0] - cloud.kdtree_get_pt(b, 0)), dx = std::abs(a[1] - cloud.kdtree_get_pt(b, 1));
    const double low = std::min(dy, dx), high = std::max(dy, dx);
    return std::fma(high, high, low * low);
  }
  double accum_dist(double a, double b, size_t) const { return (a - b) * (a - b); }
};

using Tree = nanoflann::KDTreeSingleIndexAdaptor<SymmetricDistance, PointCloud, 2, int64_t>;

// The nearest points but one (the query's own), by distance and then by index. nanoflann's own result set drops ties.
class NearestOthers {
 public:
  using DistanceType = double;
  NearestOthers(int64_t self, int64_t capacity) : self_(self), capacity_(static_cast<size_t>(capacity)) {
    found_.reserve(capacity_ + 1);
  }
  size_t size() const { return found_.size(); }
  bool full() const { return found_.size() == capacity_; }
  bool addPoint(double distance, int64_t index) {
    if (index == self_) return true;
    const std::pair<double, int64_t> entry{distance, index};
    if (full() && !(entry < found_.back())) return true;
    found_.insert(std::upper_bound(found_.begin(), found_.end(), entry), entry);
    if (found_.size() > capacity_) found_.pop_back();
    return true;
  }
  // A little beyond the worst, so that equal distances get here whatever the tree's rounding.
  double worstDist() const {
    if (!full()) return std::numeric_limits<double>::max();
    return found_.back().first * (1 + 1e-12) + std::numeric_limits<double>::min();
  }
  const std::vector<std::pair<double, int64_t>>& found() const { return found_; }

 private:
  int64_t self_;
  size_t capacity_;
  std::vector<std::pair<double, int64_t>> found_;
};

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorKind::shape, "grouping: " + message);
}

void check_finite(std::span<const PositionPx> positions) {
  for (size_t i = 0; i < positions.size(); ++i)
    for (double p : positions[i])
      if (!(std::abs(p) < farthest_px))
        refuse(
            fmt::format("position {} is [{:.6g}, {:.6g}], not a finite number of pixels; mend positions_px of the scan",
                        i, positions[i][0], positions[i][1]));
}

// The k nearest others of each of `of`, nearest first: [of*k].
std::vector<int64_t> neighbors_of(std::span<const PositionPx> positions, std::span<const int64_t> of, int64_t k) {
  std::vector<int64_t> out;
  if (k == 0) return out;
  out.reserve(of.size() * static_cast<size_t>(k));
  const PointCloud cloud{positions};
  const Tree tree(2, cloud, nanoflann::KDTreeSingleIndexAdaptorParams(16));
  for (int64_t self : of) {
    NearestOthers nearest(self, k);
    tree.findNeighbors(nearest, positions[static_cast<size_t>(self)].data(), nanoflann::SearchParams());
    for (const auto& [distance, index] : nearest.found()) out.push_back(index);
  }
  return out;
}

double binomial(int64_t n, int64_t k) {
  double value = 1;
  for (int64_t i = 0; i < k; ++i) value = value * static_cast<double>(n - i) / static_cast<double>(i + 1);
  return std::round(value);
}

// What a group may be made of: members that are always in, and a pool of which `drawn` are.
struct Candidates {
  std::vector<int64_t> fixed;
  std::vector<int64_t> pool;
  int64_t drawn = 0;
};

class Grouper {
 public:
  Grouper(std::span<const PositionPx> positions, const GroupingConfig& config)
      : positions_(positions), config_(config), count_(static_cast<int64_t>(positions.size())) {
    near_ = std::min(config.neighbors, count_ - 1);
    exclude_seed_ = config.exclude_seed && near_ >= config.members;
  }

  // One group for each of `groups` seeds.
  std::vector<int64_t> one_each(int64_t groups) {
    const std::vector<int64_t> seeds = some_seeds(groups);
    const std::vector<int64_t> near = neighbors_of(positions_, seeds, near_);
    std::vector<int64_t> index;
    index.reserve(static_cast<size_t>(groups * config_.members));
    Random random(config_.seed, member_stream);
    for (size_t s = 0; s < seeds.size(); ++s) {
      Candidates from = candidates(seeds[s], near, s);
      index.insert(index.end(), from.fixed.begin(), from.fixed.end());
      for (int64_t d = 0; d < from.drawn; ++d) {
        const uint64_t left = from.pool.size() - static_cast<uint64_t>(d);
        std::swap(from.pool[static_cast<size_t>(d)], from.pool[static_cast<size_t>(d) + random.below(left)]);
        index.push_back(from.pool[static_cast<size_t>(d)]);
      }
    }
    return index;
  }

  // Section 2's oversampling: all combinations of as many seeds as give twice the groups, of which `groups` are drawn.
  std::vector<int64_t> many_each(int64_t groups) {
    const int64_t drawn = config_.members - (exclude_seed_ ? 0 : 1);
    const double per_seed = binomial(near_, drawn);
    const auto fewest = static_cast<int64_t>(std::ceil(static_cast<double>(groups) / per_seed));
    const std::vector<int64_t> seeds = some_seeds(std::min(2 * fewest, count_));
    const std::vector<int64_t> near = neighbors_of(positions_, seeds, near_);
    const int64_t members = config_.members, most = 2 * groups;
    std::vector<int64_t> all;
    for (size_t s = 0; s < seeds.size() && static_cast<int64_t>(all.size()) < most * members; ++s)
      append_combinations(candidates(seeds[s], near, s), most, all);

    const auto found = static_cast<int64_t>(all.size()) / members;
    Random random(config_.seed, combination_stream);
    std::vector<int64_t> chosen;
    if (found >= groups) {
      chosen = random.choose(found, groups);
    } else {
      chosen.resize(static_cast<size_t>(groups));
      for (int64_t& c : chosen) c = static_cast<int64_t>(random.below(static_cast<uint64_t>(found)));
    }
    std::sort(chosen.begin(), chosen.end());
    std::vector<int64_t> index;
    index.reserve(static_cast<size_t>(groups * members));
    for (int64_t c : chosen) index.insert(index.end(), all.begin() + c * members, all.begin() + (c + 1) * members);
    return index;
  }

  // `wanted` of the positions, in scan order.
  std::vector<int64_t> some_seeds(int64_t wanted) const {
    std::vector<int64_t> seeds(static_cast<size_t>(count_));
    std::iota(seeds.begin(), seeds.end(), int64_t{0});
    if (wanted < count_) {
      seeds = Random(config_.seed, seed_stream).choose(count_, wanted);
      std::sort(seeds.begin(), seeds.end());
    }
    return seeds;
  }

 private:
  Candidates candidates(int64_t seed, const std::vector<int64_t>& near, size_t s) const {
    const auto first = near.begin() + static_cast<int64_t>(s) * near_;
    Candidates out;
    out.pool.assign(first, first + near_);
    out.drawn = config_.members;
    if (!exclude_seed_) {
      out.fixed.push_back(seed);
      --out.drawn;
    }
    return out;
  }

  // Combinations in lexicographic order of the pool (nearest first) until `all` holds `most` groups.
  void append_combinations(const Candidates& from, int64_t most, std::vector<int64_t>& all) const {
    const auto drawn = static_cast<size_t>(from.drawn), pool = from.pool.size();
    std::vector<size_t> pick(drawn);
    std::iota(pick.begin(), pick.end(), size_t{0});
    while (static_cast<int64_t>(all.size()) < most * config_.members) {
      all.insert(all.end(), from.fixed.begin(), from.fixed.end());
      for (size_t p : pick) all.push_back(from.pool[p]);
      size_t at = drawn;
      while (at > 0 && pick[at - 1] == pool - drawn + at - 1) --at;
      if (at == 0) return;
      ++pick[at - 1];
      for (size_t p = at; p < drawn; ++p) pick[p] = pick[p - 1] + 1;
    }
  }

  std::span<const PositionPx> positions_;
  const GroupingConfig& config_;
  int64_t count_ = 0;
  int64_t near_ = 0;  // K, or all others where there are fewer
  bool exclude_seed_ = false;
};

PositionPx mean_of(std::span<const PositionPx> positions, std::span<const int64_t> members) {
  PositionPx mean{0, 0};
  for (int64_t m : members)
    for (size_t axis = 0; axis < 2; ++axis) mean[axis] += positions[static_cast<size_t>(m)][axis];
  for (double& v : mean) v /= static_cast<double>(members.size());
  return mean;
}

void order_by_angle(std::span<const PositionPx> positions, std::span<int64_t> members) {
  std::sort(members.begin(), members.end());
  const PositionPx mean = mean_of(positions, members);
  const auto angle = [&](int64_t m) {
    const double dy = positions[static_cast<size_t>(m)][0] - mean[0],
                 dx = positions[static_cast<size_t>(m)][1] - mean[1];
    return std::atan2(std::abs(dy) < level_px ? 0.0 : dy, std::abs(dx) < level_px ? 0.0 : dx);
  };
  std::stable_sort(members.begin(), members.end(), [&](int64_t a, int64_t b) { return angle(a) < angle(b); });
}

}  // namespace

double Groups::reach_px() const {
  double reach = 0;
  for (float o : offsets_px) reach = std::max(reach, static_cast<double>(std::abs(o)));
  return reach;
}

int64_t Groups::canvas(int64_t side_px) const {
  // Patches that far apart share nothing, and the square round them grows with the distance's square.
  constexpr double most_patches_apart = 16;
  if (members == 1) return side_px;
  if (reach_px() > most_patches_apart * static_cast<double>(side_px))
    refuse(
        fmt::format("a group reaches {:.6g} px from its centre with patches of {} px; check that positions_px are in "
                    "pixels of the object, choose --frames that lie together, or use --gridsize 1",
                    reach_px(), side_px));
  return side_px + 2 * (static_cast<int64_t>(std::ceil(reach_px())) + 1);
}

std::vector<int64_t> nearest_neighbors(std::span<const PositionPx> positions_px, int64_t k) {
  check_finite(positions_px);
  const auto count = static_cast<int64_t>(positions_px.size());
  if (k < 0 || (count > 0 && k > count - 1))
    refuse(std::to_string(k) + " neighbours of " + std::to_string(count) + " positions; --neighbors must be 0 to " +
           std::to_string(std::max<int64_t>(0, count - 1)));
  std::vector<int64_t> all(positions_px.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  return neighbors_of(positions_px, all, k);
}

Groups groups_from_index(std::span<const PositionPx> positions_px, std::vector<int64_t> index, int64_t members) {
  const auto count = static_cast<int64_t>(positions_px.size());
  if (members < 1) refuse("a group needs at least one member, not " + std::to_string(members));
  if (static_cast<int64_t>(index.size()) % members != 0)
    refuse(std::to_string(index.size()) + " indices do not make groups of " + std::to_string(members));
  for (size_t i = 0; i < index.size(); ++i)
    if (index[i] < 0 || index[i] >= count)
      refuse("group " + std::to_string(static_cast<int64_t>(i) / members) + " names frame " + std::to_string(index[i]) +
             ", but there are " + std::to_string(count) + "; mend `groups` of the scan");
  check_finite(positions_px);

  Groups out;
  out.members = members;
  out.index = std::move(index);
  const int64_t groups = out.count();
  out.centre_px.reserve(static_cast<size_t>(groups));
  out.offsets_px.reserve(out.index.size() * 2);
  for (int64_t g = 0; g < groups; ++g) {
    const std::span<const int64_t> own(out.index.data() + g * members, static_cast<size_t>(members));
    const PositionPx mean = mean_of(positions_px, own);
    out.centre_px.push_back(mean);
    for (int64_t m : own)
      for (size_t axis = 0; axis < 2; ++axis)
        out.offsets_px.push_back(static_cast<float>(mean[axis] - positions_px[static_cast<size_t>(m)][axis]));
  }
  return out;
}

Groups make_groups(std::span<const PositionPx> positions_px, const GroupingConfig& config) {
  check_finite(positions_px);
  const auto count = static_cast<int64_t>(positions_px.size());
  const int64_t members = config.members;
  if (members < 1) refuse("a group needs at least one member, not " + std::to_string(members));
  if (config.groups < 0) refuse("--groups " + std::to_string(config.groups) + " is negative; 0 takes every position");
  if (count < members)
    refuse(std::to_string(count) + " positions cannot make groups of " + std::to_string(members) +
           "; widen --frames or use --gridsize 1");
  int64_t groups = config.groups == 0 ? count : config.groups;

  Grouper grouper(positions_px, config);
  if (members == 1) return groups_from_index(positions_px, grouper.some_seeds(std::min(groups, count)), 1);
  if (groups > count && !config.oversample)
    refuse(std::to_string(groups) + " groups of " + std::to_string(count) +
           " positions need --oversample (several groups per position), or --groups of at most " +
           std::to_string(count));
  if (config.neighbors < members)
    refuse(std::to_string(config.neighbors) + " neighbours are too few for groups of " + std::to_string(members) +
           "; --neighbors must be at least " + std::to_string(members));

  std::vector<int64_t> index = groups > count ? grouper.many_each(groups) : grouper.one_each(groups);
  for (int64_t g = 0; g < groups; ++g)
    order_by_angle(positions_px, std::span<int64_t>(index.data() + g * members, static_cast<size_t>(members)));
  return groups_from_index(positions_px, std::move(index), members);
}

}  // namespace ptyfuse
