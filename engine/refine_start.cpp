// What refinement starts from: a flat object, or another one on the scan's canvas.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/illumination.h"
#include "engine/patch_corner.h"
#include "engine/probe.h"
#include "engine/refine.h"
#include "kernels/device/error.h"
#include "kernels/device/tensor_view.h"

namespace ptyfuse {
namespace {

// 16 GiB: beyond it positions are not in pixels.
constexpr int64_t largest_canvas_px = int64_t{1} << 31;
// The start, the object on the device where that is the host, the result, and the illumination.
constexpr int64_t canvas_bytes_per_px = 3 * sizeof(complex64) + sizeof(float);

struct Canvas {
  std::array<int64_t, 2> origin_px{0, 0};
  int64_t height = 0, width = 0;
};

/// Whole pixels round all patches, and room_px more on each side.
Canvas canvas_of(const io::ScanInfo& scan, int64_t host_memory_bytes, int64_t room_px) {
  if (scan.positions_px.empty()) throw_shape_error("refine", "the scan has no positions");
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  std::array<int64_t, 2> low{most, most}, high{-most, -most};
  for (const auto& position : scan.positions_px) {
    const PatchCorner corner = patch_corner(position, scan.side_px);
    for (size_t axis = 0; axis < 2; ++axis) {
      low[axis] = std::min(low[axis], corner.whole[axis]);
      high[axis] = std::max(high[axis], corner.whole[axis] + scan.side_px + (corner.fraction[axis] > 0 ? 1 : 0));
    }
  }
  for (size_t axis = 0; axis < 2; ++axis) {
    low[axis] -= room_px;
    high[axis] += room_px;
  }
  const Canvas out{low, high[0] - low[0], high[1] - low[1]};
  if (out.height > largest_canvas_px / out.width ||
      (host_memory_bytes > 0 && out.height * out.width > host_memory_bytes / canvas_bytes_per_px))
    throw Error(ErrorKind::memory,
                fmt::format("refine: the positions span {} x {} pixels, more than fit into --host-memory ({} bytes a "
                            "pixel): raise it, or check that positions_px of {} are in pixels of the object (units, "
                            "--order, --origin)",
                            out.height, out.width, canvas_bytes_per_px, scan.path));
  return out;
}

/// The mean counts of a pattern that a probe and the state's object explain: by the power of all patches, which needs
/// no transform (Parseval).
double explained_counts(const io::ScanInfo& scan, const io::ComplexImage& probe, const RefineState& state) {
  const std::vector<float> light =
      illumination(probe, scan.positions_px, state.origin_px, state.object.height, state.object.width);
  double power = 0;
  for (size_t i = 0; i < light.size(); ++i) power += light[i] * std::norm(std::complex<double>(state.object.data[i]));
  if (!(power > 0))
    throw Error(ErrorKind::numeric,
                "refine: the object to start from is zero wherever the probe shines; start from flat");
  return power / static_cast<double>(scan.positions_px.size());
}

/// The state's probe is the one that explains `counts`, scaled to the state's mean counts.
void scale_probe(const io::ComplexImage& probe, double counts, RefineState& state) {
  const auto factor = static_cast<float>(std::sqrt(state.mean_counts / counts));
  state.probe = probe;
  for (auto& v : state.probe.data) v *= factor;
}

}  // namespace

RefineState flat_start(const io::ScanInfo& scan, const io::ComplexImage& probe, double mean_counts,
                       int64_t host_memory_bytes, int64_t room_px) {
  require_probe(scan, probe, "refine");
  if (!(mean_counts > 0) || !std::isfinite(mean_counts))
    throw Error(ErrorKind::numeric, "refine: the mean counts of a pattern are " + std::to_string(mean_counts) +
                                        ", expected a positive number; choose other --frames");
  const Canvas canvas = canvas_of(scan, host_memory_bytes, room_px);
  RefineState state;
  state.origin_px = canvas.origin_px;
  state.object = {1, canvas.height, canvas.width, {}};
  state.object.data.assign(static_cast<size_t>(canvas.height * canvas.width), 1.0F);
  state.mean_counts = mean_counts;
  scale_probe(probe, total_power(probe), state);
  return state;
}

RefineState start_from_object(const io::ScanInfo& scan, const ObjectStart& start, double mean_counts,
                              int64_t host_memory_bytes, int64_t room_px) {
  const io::ComplexImage& object = start.object;
  if (object.depth != 1 || object.empty())
    throw_shape_error("refine",
                      "the object to start from has " + std::to_string(object.depth) + " images, expected one");
  if (!start.weight.empty() && start.weight.size() != object.data.size())
    throw_shape_error("refine", "the object to start from has " + std::to_string(object.data.size()) +
                                    " pixels, its weight " + std::to_string(start.weight.size()));
  if (!all_finite(object))
    throw Error(ErrorKind::numeric, "refine: the object to start from is not finite; start from another or from flat");
  RefineState state = flat_start(scan, start.probe, mean_counts, host_memory_bytes, room_px);

  const auto weight_at = [&](size_t i) -> double {
    if (!start.weight.empty()) return start.weight[i];
    return object.data[i] == std::complex<float>{} ? 0 : 1;
  };
  // Calls body(pixel of the canvas, pixel of the object) where the object covers the canvas.
  const auto for_covered = [&](const auto& body) {
    for (int64_t y = 0; y < state.object.height; ++y) {
      const int64_t from_y = y + state.origin_px[0] - start.origin_px[0];
      if (from_y < 0 || from_y >= object.height) continue;
      for (int64_t x = 0; x < state.object.width; ++x) {
        const int64_t from_x = x + state.origin_px[1] - start.origin_px[1];
        if (from_x < 0 || from_x >= object.width) continue;
        const auto from = static_cast<size_t>(from_y * object.width + from_x);
        if (weight_at(from) > 0) body(static_cast<size_t>(y * state.object.width + x), from);
      }
    }
  };
  double weights = 0, amplitude = 0;
  std::complex<double> mean;
  for_covered([&](size_t, size_t from) {
    const std::complex<double> value(object.data[from]);
    weights += weight_at(from);
    amplitude += weight_at(from) * std::abs(value);
    mean += weight_at(from) * value;
  });
  if (weights == 0)
    throw_shape_error("refine", "the object to start from covers nothing of the scan: it lies at [" +
                                    std::to_string(start.origin_px[0]) + ", " + std::to_string(start.origin_px[1]) +
                                    "], the scan's canvas at [" + std::to_string(state.origin_px[0]) + ", " +
                                    std::to_string(state.origin_px[1]) + "]");
  if (amplitude == 0) throw Error(ErrorKind::numeric, "refine: the object to start from is zero; start from flat");
  const double mean_amplitude = amplitude / weights;
  const bool fits = start.mean_counts > 0;
  const float scale = fits ? 1 : static_cast<float>(1 / mean_amplitude);
  std::fill(state.object.data.begin(), state.object.data.end(),
            std::polar(scale * static_cast<float>(mean_amplitude), static_cast<float>(std::arg(mean))));
  for_covered([&](size_t to, size_t from) { state.object.data[to] = scale * object.data[from]; });
  scale_probe(start.probe, fits ? start.mean_counts : explained_counts(scan, start.probe, state), state);
  return state;
}

}  // namespace ptyfuse
