#include "kernels/ops/reassemble_tiles.h"

#include <algorithm>

#include "kernels/ops/bilinear.h"

namespace ptyfuse::ops {
namespace {

/// Tiles [begin, end) of one axis that pixels [first, first + count) touch.
struct TileRange {
  int64_t begin, end;
  TileRange(int64_t first, int64_t count, int64_t extent, int64_t tile)
      : begin(std::clamp<int64_t>(first, 0, extent) / tile),
        end((std::clamp<int64_t>(first + count, 0, extent) + tile - 1) / tile) {}
};

}  // namespace

StitchTiles sort_into_tiles(std::span<const double> corner_px, int64_t side_px, int64_t height, int64_t width,
                            int64_t tile_height, int64_t tile_width) {
  StitchTiles out;
  const size_t count = corner_px.size() / 2;
  std::vector<TileRange> rows, columns;
  int64_t top = INT64_MAX, bottom = 0, left = INT64_MAX, right = 0;  // tiles touched
  for (size_t s = 0; s < count; ++s) {
    const BilinearAxis y = bilinear_axis(corner_px[2 * s]), x = bilinear_axis(corner_px[2 * s + 1]);
    out.placements.push_back({y.first, x.first, y.w0, y.w1, x.w0, x.w1});
    rows.emplace_back(y.first, side_px + (y.w1 != 0), height, tile_height);
    columns.emplace_back(x.first, side_px + (x.w1 != 0), width, tile_width);
    if (rows[s].begin >= rows[s].end || columns[s].begin >= columns[s].end) continue;
    top = std::min(top, rows[s].begin), bottom = std::max(bottom, rows[s].end);
    left = std::min(left, columns[s].begin), right = std::max(right, columns[s].end);
  }
  if (top >= bottom) return out;

  // Counts, then places: a patch goes behind those before it in each of its tiles.
  const int64_t across = right - left;
  std::vector<int64_t> place(static_cast<size_t>((bottom - top) * across));
  const auto for_each_tile = [&](size_t s, const auto& visit) {
    for (int64_t r = rows[s].begin; r < rows[s].end; ++r)
      for (int64_t c = columns[s].begin; c < columns[s].end; ++c)
        visit(place[static_cast<size_t>((r - top) * across + c - left)]);
  };
  for (size_t s = 0; s < count; ++s) for_each_tile(s, [](int64_t& touching) { ++touching; });
  int64_t total = 0;
  for (size_t t = 0; t < place.size(); ++t) {
    const int64_t touching = place[t], at = static_cast<int64_t>(t);
    place[t] = total;
    if (touching == 0) continue;
    out.tiles.push_back(
        {(top + at / across) * tile_height, (left + at % across) * tile_width, total, total + touching});
    total += touching;
  }
  out.patches.resize(static_cast<size_t>(total));
  for (size_t s = 0; s < count; ++s)
    for_each_tile(s, [&](int64_t& next) { out.patches[static_cast<size_t>(next++)] = static_cast<int32_t>(s); });
  return out;
}

}  // namespace ptyfuse::ops
