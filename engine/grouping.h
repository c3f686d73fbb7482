#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/random.h"

namespace ptyfuse {

using PositionPx = std::array<double, 2>;  ///< [y, x]

struct GroupingConfig {
  int64_t members = 4;      ///< C
  int64_t groups = 0;       ///< 0: as many as positions
  int64_t neighbors = 4;    ///< K
  bool oversample = false;  ///< allows more groups than positions
  bool exclude_seed = false;
  uint64_t seed = 0;
};

/// Groups [G,C] of frame indices, their centres and their members' offsets.
struct Groups {
  int64_t members = 1;
  std::vector<int64_t> index;         ///< [G*C]
  std::vector<PositionPx> centre_px;  ///< [G] r_bar
  std::vector<float> offsets_px;      ///< [G*C*2] o_c = r_bar - r_c, [y,x]
  int64_t count() const { return members == 0 ? 0 : static_cast<int64_t>(index.size()) / members; }
  /// Largest |offset| of any member in y or x.
  double reach_px() const;
  /// Q = N + 2*(ceil(reach) + 1); N where members == 1.
  int64_t canvas(int64_t side_px) const;
};

/// Sections 0.5 and 2: a group is a seed and C-1 of its K nearest neighbours (exclude_seed: C of the K), members
/// ordered by angle about their mean. Distances' ties go to the lower index; same seed, same groups, everywhere. C = 1:
/// each position is a group (or `groups` of them, drawn without replacement, in scan order). Error(shape): fewer
/// positions than C; K too small for C; more groups than positions without oversample; positions not finite. Each
/// message names the option that mends it.
Groups make_groups(std::span<const PositionPx> positions_px, const GroupingConfig& config);

/// Centres and offsets of a given grouping (as a scan file may carry); keeps the members' order.
/// Error(shape): an index out of range.
Groups groups_from_index(std::span<const PositionPx> positions_px, std::vector<int64_t> index, int64_t members);

/// The K nearest other positions of each, nearest first: [S*K].
std::vector<int64_t> nearest_neighbors(std::span<const PositionPx> positions_px, int64_t k);

}  // namespace ptyfuse
