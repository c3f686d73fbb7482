#include "engine/scan_plan.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/option_table.h"
#include "engine/part_progress.h"
#include "engine/random.h"
#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

/// Corners 0, step, 2*step, ... of windows that fit into `extent`.
std::vector<int64_t> window_starts(int64_t extent, int64_t window, int64_t step) {
  std::vector<int64_t> starts;
  for (int64_t start = 0; start + window <= extent; start += step) starts.push_back(start);
  return starts;
}

/// Sum over the windows of an image of each one's largest amplitude.
double sum_of_maxima(const std::complex<float>* image, int64_t width, const std::vector<int64_t>& rows,
                     const std::vector<int64_t>& columns, int64_t window, PartProgress& progress) {
  const int64_t used_rows = rows.back() + window;
  std::vector<float> along(static_cast<size_t>(used_rows) * columns.size());
  std::vector<float> amplitude(static_cast<size_t>(width));
  for (int64_t y = 0; y < used_rows; ++y) {
    for (int64_t x = 0; x < width; ++x) amplitude[static_cast<size_t>(x)] = std::abs(image[y * width + x]);
    for (size_t c = 0; c < columns.size(); ++c) {
      const auto first = amplitude.begin() + columns[c];
      along[static_cast<size_t>(y) * columns.size() + c] = *std::max_element(first, first + window);
    }
    progress.advance(1.0 / static_cast<double>(2 * used_rows));
  }
  double sum = 0;
  std::vector<float> largest(columns.size());
  for (int64_t row : rows) {
    std::fill(largest.begin(), largest.end(), 0.0f);
    for (int64_t y = row; y < row + window; ++y)
      for (size_t c = 0; c < columns.size(); ++c)
        largest[c] = std::max(largest[c], along[static_cast<size_t>(y) * columns.size() + c]);
    for (float value : largest) sum += static_cast<double>(value);
    progress.advance(1.0 / static_cast<double>(2 * rows.size()));
  }
  return sum;
}

ScanPlan plan_grid(const SimulateConfig& config, const io::ComplexImage& objects, const RunControl& control) {
  const double step_px = config.step_px == 0 ? 4 : config.step_px;
  if (!(step_px >= 1) || step_px != std::floor(step_px) || step_px > 65536)
    throw_shape_error("simulate", "--step-px " + std::to_string(step_px) +
                                      " of a grid scan, expected a whole number of pixels from 1; --scan random takes "
                                      "positions between pixels");
  const auto step = static_cast<int64_t>(step_px);
  const int64_t region = smallest_object_px(config);
  if (std::min(objects.height, objects.width) < region)
    throw_shape_error("simulate", "the object of " + std::to_string(objects.height) + " x " +
                                      std::to_string(objects.width) + " px is smaller than a region of the grid, " +
                                      std::to_string(region) + " px; choose a larger --size or a smaller --N");
  const auto rows = window_starts(objects.height, region, step), columns = window_starts(objects.width, region, step);

  ScanPlan plan;
  plan.group_members = config.gridsize * config.gridsize;
  const auto patterns = objects.depth * static_cast<int64_t>(rows.size() * columns.size()) * plan.group_members;
  if (patterns > most_patterns)
    throw_shape_error("simulate", "the grid has " + std::to_string(patterns) + " patterns, at most " +
                                      std::to_string(most_patterns) +
                                      " are simulated; choose a larger --step-px or fewer --images");
  PartProgress progress(control, "% of the grid", static_cast<double>(objects.depth));
  double maxima = 0;
  for (int64_t image = 0; image < objects.depth; ++image) {
    maxima += sum_of_maxima(objects.data.data() + image * objects.height * objects.width, objects.width, rows, columns,
                            region, progress);
    for (int64_t row : rows)
      for (int64_t column : columns)
        for (int64_t member = 0; member < plan.group_members; ++member) {
          const int64_t y = row + member / config.gridsize * grid_member_offset_px + config.side_px / 2;
          const int64_t x = column + member % config.gridsize * grid_member_offset_px + config.side_px / 2;
          plan.positions_px.push_back({static_cast<double>(y), static_cast<double>(x)});
          plan.object_index.push_back(static_cast<int32_t>(image));
        }
  }
  plan.norm = maxima / static_cast<double>(objects.depth * static_cast<int64_t>(rows.size() * columns.size()));
  if (!(plan.norm > 0) || std::isinf(plan.norm))
    throw Error(ErrorKind::numeric, "simulate: the object is zero or not finite");
  return plan;
}

ScanPlan plan_random(const SimulateConfig& config, const io::ComplexImage& objects, const RunControl& control) {
  if (config.gridsize != 1)
    throw UsageError(
        "--gridsize " + std::to_string(config.gridsize) +
        " makes groups of a grid's patterns (--scan grid); those of a random scan are grouped in training, "
        "by train --gridsize 2");
  if (config.patterns < 1 || config.patterns > most_patterns)
    throw_shape_error("simulate", "--patterns " + std::to_string(config.patterns) + ", expected 1 to " +
                                      std::to_string(most_patterns));
  const int64_t smaller = std::min(objects.height, objects.width);
  if (smaller < config.side_px)
    throw_shape_error("simulate", "the object of " + std::to_string(objects.height) + " x " +
                                      std::to_string(objects.width) + " px is smaller than a pattern, " +
                                      std::to_string(config.side_px) + " px; choose a larger --size or a smaller --N");
  if (std::isnan(config.margin_px) || std::isinf(config.margin_px))
    throw_shape_error("simulate", "the margin is not finite");
  const double margin = std::min(config.margin_px < 0 ? 0.35 * static_cast<double>(smaller) : config.margin_px,
                                 static_cast<double>(smaller) / 2 - 1);
  Random random(config.seed, static_cast<uint64_t>(SimulationStream::positions));
  ScanPlan plan;
  constexpr int64_t between_looks = 1 << 16;
  for (int64_t frame = 0; frame < config.patterns; ++frame) {
    if (frame % between_looks == 0) end_if_stopped(control);
    const double x = random.uniform(margin, static_cast<double>(objects.width) - margin);
    const double y = random.uniform(margin, static_cast<double>(objects.height) - margin);
    plan.positions_px.push_back({y, x});
    plan.object_index.push_back(static_cast<int32_t>(frame * objects.depth / config.patterns));
  }
  return plan;
}

}  // namespace

int64_t smallest_object_px(const SimulateConfig& config) {
  return config.side_px + (config.scan == ScanKind::grid ? (config.gridsize - 1) * grid_member_offset_px : 0);
}

ScanPlan plan_scan(const SimulateConfig& config, const io::ComplexImage& objects, const RunControl& control) {
  if (config.gridsize != 1 && config.gridsize != 2)
    throw_shape_error("simulate", "--gridsize " + std::to_string(config.gridsize) + ", expected 1 or 2");
  if (config.side_px < 4 || config.side_px > 4096)
    throw_shape_error("simulate", "--N " + std::to_string(config.side_px) + ", expected 4 to 4096 px");
  if (objects.depth < 1 || static_cast<int64_t>(objects.data.size()) != objects.depth * objects.height * objects.width)
    throw_shape_error("simulate", "the object is empty");
  switch (config.scan) {
    case ScanKind::grid:
      return plan_grid(config, objects, control);
    case ScanKind::random:
      return plan_random(config, objects, control);
  }
  throw_shape_error("simulate", "unknown kind of scan");
}

}  // namespace ptyfuse
