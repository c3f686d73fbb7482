#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/run_control.h"
#include "io/metrics_json.h"

namespace ptyfuse {

/// Common area of two discs of one diameter at a distance, over a disc's area: 1 at distance 0, 0 from one diameter on.
double disc_overlap_fraction(double distance, double diameter);

struct OverlapConfig {
  int64_t gridsize = 1;          ///< 1 or 2
  double image_fraction = 1;     ///< s_img in (0,1]: floor(s_img S) images are used
  int64_t groups = 0;            ///< 0: as many as images used
  int64_t neighbor_count = 6;    ///< K
  double probe_diameter_px = 0;  ///< D > 0
  uint64_t seed = 0;
};

/// Overlap metrics 1 to 3 of positions [y,x] in pixels, grouped as groups [G*gridsize^2] says (section 9). Nothing is
/// rejected: the report only says. Metric 1: mean over members of the mean fraction to their K nearest fellow members.
/// Metric 2: positions without exact duplicates, mean over them of the mean fraction to the K nearest. Metric 3:
/// groups' centroids, mean over groups of the mean fraction to the centroids nearer than D, 0 where there is none.
/// geometry_acceptance_bound = min(0.1, area of the positions' bounding box / (positions x area of a disc));
/// effective_min_acceptance is that, at least 1e-6.
/// Error(shape): a setting out of its range, no positions, a position not finite, an index out of range;
/// Error(cancelled).
io::OverlapReport overlap_metrics(std::span<const std::array<double, 2>> positions_px, std::span<const int64_t> groups,
                                  const OverlapConfig& config, const RunControl& control = {});

/// The same for a whole scan: draws floor(image_fraction S) images by the seed, groups them as make_groups does (more
/// groups than images are allowed), and measures. Error(shape): no image is left, and as overlap_metrics().
io::OverlapReport overlap_metrics_of_scan(std::span<const std::array<double, 2>> positions_px,
                                          const OverlapConfig& config, const RunControl& control = {});

}  // namespace ptyfuse
