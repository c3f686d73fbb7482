#pragma once
// Which patches touch which tile of a canvas: the work lists of the segment-sum, made on the host.
#include <cstdint>
#include <span>
#include <vector>

namespace ptyfuse::ops {

/// Where a patch lands: canvas pixel (row + i, column + j) receives patch pixels (i, j) and, where the fraction is not
/// zero, (i - 1, j), (i, j - 1), (i - 1, j - 1).
struct PatchPlacement {
  int64_t row, column;
  float stay_y, move_y, stay_x, move_x;
};

/// A tile of the canvas by its first pixel, and its run of StitchTiles::patches.
struct StitchTile {
  int64_t y, x;
  int64_t begin, end;
};

struct StitchTiles {
  std::vector<PatchPlacement> placements;  ///< of every patch
  std::vector<StitchTile> tiles;           ///< those that some patch touches
  std::vector<int32_t> patches;            ///< of one tile after another, each in ascending order
};

/// For patches of side `side_px` with their corners at `corner_px` ([y,x] of each, finite) on a canvas of height x
/// width that falls into tiles of tile_height x tile_width. Fewer than 2^31 patches.
StitchTiles sort_into_tiles(std::span<const double> corner_px, int64_t side_px, int64_t height, int64_t width,
                            int64_t tile_height, int64_t tile_width);

}  // namespace ptyfuse::ops
