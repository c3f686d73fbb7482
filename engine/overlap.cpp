#include "engine/overlap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "engine/grouping.h"
#include "engine/random.h"
#include "kernels/device/error.h"

namespace ptyfuse {

namespace {

using Position = std::array<double, 2>;

double distance(const Position& a, const Position& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1]);
}

void require_settings(std::span<const Position> positions, const OverlapConfig& config) {
  const char* name = "overlap_metrics";
  if (config.gridsize != 1 && config.gridsize != 2) throw_shape_error(name, "gridsize must be 1 or 2");
  if (!(config.image_fraction > 0 && config.image_fraction <= 1)) {
    throw_shape_error(name, fmt::format("the fraction of images is {}, it must be in (0, 1]", config.image_fraction));
  }
  if (config.groups < 0) throw_shape_error(name, "the number of groups must not be negative");
  if (config.neighbor_count < 1) throw_shape_error(name, "neighbor_count must be at least 1");
  if (!(config.probe_diameter_px > 0) || !std::isfinite(config.probe_diameter_px)) {
    throw_shape_error(name, "the probe's diameter must be a positive number of pixels");
  }
  for (size_t i = 0; i < positions.size(); ++i) {
    if (std::isfinite(positions[i][0]) && std::isfinite(positions[i][1])) continue;
    throw_shape_error(name, fmt::format("position {} is not finite", i));
  }
}

/// Mean over the points of the mean overlap fraction with their neighbours nearer than the diameter: the nearest
/// `at_most`, divided by the number that exist up to `at_most` (metric 2), or all of them divided by their own number
/// (metric 3, at_most 0).
double mean_overlap(std::vector<Position> points, int64_t at_most, double diameter, const RunControl& control) {
  const auto n = static_cast<int64_t>(points.size());
  std::sort(points.begin(), points.end());
  double total = 0;
  std::vector<double> near;
  for (int64_t i = 0; i < n; ++i) {
    if (control.stop_requested()) throw Error(ErrorKind::cancelled, "overlap: stopped; nothing was measured");
    near.clear();
    // Sorted by y: only a strip of one diameter can hold neighbours that count.
    for (const int64_t step : {-1, 1}) {
      for (int64_t j = i + step; j >= 0 && j < n && std::abs(points[j][0] - points[i][0]) < diameter; j += step) {
        const double d = distance(points[i], points[j]);
        if (d < diameter) near.push_back(d);
      }
    }
    int64_t divisor = static_cast<int64_t>(near.size());
    if (at_most > 0) {
      std::sort(near.begin(), near.end());
      near.resize(std::min<size_t>(near.size(), static_cast<size_t>(at_most)));
      divisor = std::min(at_most, n - 1);
    }
    double sum = 0;
    for (const double d : near) sum += disc_overlap_fraction(d, diameter);
    if (divisor > 0) total += sum / static_cast<double>(divisor);
  }
  return n > 0 ? total / static_cast<double>(n) : 0;
}

double mean_overlap_in_groups(std::span<const Position> positions, std::span<const int64_t> groups, int64_t members,
                              const OverlapConfig& config) {
  double total = 0;
  std::vector<double> fellows;
  for (size_t first = 0; first < groups.size(); first += static_cast<size_t>(members)) {
    for (int64_t i = 0; i < members; ++i) {
      fellows.clear();
      for (int64_t j = 0; j < members; ++j) {
        if (j != i) fellows.push_back(distance(positions[groups[first + i]], positions[groups[first + j]]));
      }
      std::sort(fellows.begin(), fellows.end());
      fellows.resize(std::min<size_t>(fellows.size(), static_cast<size_t>(config.neighbor_count)));
      double sum = 0;
      for (const double d : fellows) sum += disc_overlap_fraction(d, config.probe_diameter_px);
      total += sum / static_cast<double>(fellows.size());
    }
  }
  return total / static_cast<double>(groups.size());
}

double bounding_box_area(std::span<const Position> positions) {
  Position low = positions[0], high = positions[0];
  for (const Position& position : positions) {
    for (int axis = 0; axis < 2; ++axis) {
      low[axis] = std::min(low[axis], position[axis]);
      high[axis] = std::max(high[axis], position[axis]);
    }
  }
  return (high[0] - low[0]) * (high[1] - low[1]);
}

}  // namespace

double disc_overlap_fraction(double distance, double diameter) {
  if (!(distance < diameter)) return 0;
  const double u = distance / diameter;
  return 2 / std::numbers::pi * (std::acos(u) - u * std::sqrt(1 - u * u));
}

io::OverlapReport overlap_metrics(std::span<const Position> positions_px, std::span<const int64_t> groups,
                                  const OverlapConfig& config, const RunControl& control) {
  require_settings(positions_px, config);
  const auto images = static_cast<int64_t>(positions_px.size());
  const int64_t members = config.gridsize * config.gridsize;
  if (images == 0) throw_shape_error("overlap_metrics", "there are no positions");
  if (groups.size() % static_cast<size_t>(members) != 0) {
    throw_shape_error("overlap_metrics", fmt::format("{} indices are no whole groups of {}", groups.size(), members));
  }
  for (const int64_t index : groups) {
    if (index < 0 || index >= images) {
      throw_shape_error("overlap_metrics", fmt::format("index {} is outside 0 .. {}", index, images - 1));
    }
  }

  io::OverlapReport report{.gridsize = config.gridsize,
                           .groups_asked = config.groups,
                           .neighbor_count = config.neighbor_count,
                           .image_fraction = config.image_fraction,
                           .probe_diameter_px = config.probe_diameter_px,
                           .subsample_seed = config.seed,
                           .images_total = images,
                           .images_used = images,
                           .groups = static_cast<int64_t>(groups.size()) / members};

  if (members == 1) {
    report.metric_1.why = "a group of gridsize 1 has one member";
  } else if (groups.empty()) {
    report.metric_1.why = "there are no groups";
  } else {
    report.metric_1.value = mean_overlap_in_groups(positions_px, groups, members, config);
  }

  std::vector<Position> unique(positions_px.begin(), positions_px.end());
  std::sort(unique.begin(), unique.end());
  unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
  report.images_unique = static_cast<int64_t>(unique.size());
  report.metric_2 = mean_overlap(std::move(unique), config.neighbor_count, config.probe_diameter_px, control);

  std::vector<Position> centroids;
  for (size_t first = 0; first < groups.size(); first += static_cast<size_t>(members)) {
    Position centre{0, 0};
    for (int64_t i = 0; i < members; ++i) {
      for (int axis = 0; axis < 2; ++axis) {
        centre[axis] += positions_px[groups[first + i]][axis] / static_cast<double>(members);
      }
    }
    centroids.push_back(centre);
  }
  report.metric_3 = mean_overlap(std::move(centroids), 0, config.probe_diameter_px, control);

  const double disc = std::numbers::pi * config.probe_diameter_px * config.probe_diameter_px / 4;
  report.geometry_acceptance_bound =
      std::min(0.1, bounding_box_area(positions_px) / (static_cast<double>(images) * disc));
  report.effective_min_acceptance = std::max(report.geometry_acceptance_bound, 1e-6);
  return report;
}

io::OverlapReport overlap_metrics_of_scan(std::span<const Position> positions_px, const OverlapConfig& config,
                                          const RunControl& control) {
  require_settings(positions_px, config);
  const auto total = static_cast<int64_t>(positions_px.size());
  const auto used = static_cast<int64_t>(std::floor(config.image_fraction * static_cast<double>(total)));
  if (used == 0) {
    throw_shape_error("overlap_metrics", fmt::format("a fraction of {} leaves none of {} images; use a larger one",
                                                     config.image_fraction, total));
  }
  std::vector<int64_t> chosen = Random(config.seed).choose(total, used);
  std::sort(chosen.begin(), chosen.end());
  std::vector<Position> positions;
  for (const int64_t index : chosen) positions.push_back(positions_px[index]);
  // Single images are groups once each: asking for more of them is asking for all.
  const int64_t asked = config.gridsize == 1 ? std::min(config.groups, used) : config.groups;
  const Groups groups = make_groups(positions, {.members = config.gridsize * config.gridsize,
                                                .groups = asked,
                                                .neighbors = config.neighbor_count,
                                                .oversample = asked > used,
                                                .exclude_seed = false,
                                                .seed = config.seed});
  io::OverlapReport report = overlap_metrics(positions, groups.index, config, control);
  report.images_total = total;
  return report;
}

}  // namespace ptyfuse
