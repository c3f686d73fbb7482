#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "engine/simulator.h"
#include "io/scan.h"

namespace ptyfuse {

/// Where the frames of a simulated scan lie.
struct ScanPlan {
  std::vector<std::array<double, 2>> positions_px;  ///< [S] of each patch's index N/2, [y,x], in pixels of the object
  std::vector<int32_t> object_index;                ///< [S]
  int64_t group_members = 0;                        ///< C of a grid scan: frames C*g .. C*g+C-1 form group g; else 0
  double norm = 1;                                  ///< norm_Y_I of a grid scan: what amplitudes are to be divided by
};

/// Purposes of the random streams that one seed gives a simulation.
enum class SimulationStream : uint64_t { positions = 1, noise = 2 };

/// Pixels between neighbouring members of a group of a grid scan.
inline constexpr int64_t grid_member_offset_px = 4;

/// Side of the smallest object that holds one group's patterns (a grid scan's), or one pattern.
int64_t smallest_object_px(const SimulateConfig& config);

/// Section 7's grid (regions of N + (g-1)*4 px every step_px, image by image, row by row, members row by row) or
/// uniform random positions (config.patterns over all images). Error(shape): settings that do not fit `objects`, or
/// more than most_patterns. Error(cancelled).
ScanPlan plan_scan(const SimulateConfig& config, const io::ComplexImage& objects, const RunControl& control = {});

}  // namespace ptyfuse
