#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace ptyfuse {

/// Gaussian blur of a real image [height,width], as scipy.ndimage.gaussian_filter does it: separable, radius
/// int(4 sigma + 0.5), weights of sum 1, the edge mirrored with its last pixel doubled (d c b a | a b c d | d c b a),
/// also where the radius exceeds the image. sigma in pixels; 0 copies. Error(shape): image and extents differ; sigma
/// negative or not finite.
std::vector<double> gaussian_filter(std::span<const double> image, int64_t height, int64_t width, double sigma_px);

/// Its rows [first_row, first_row + rows) alone, the same bits: [rows,width]. Error(shape) also where they are not all
/// rows of the image.
std::vector<double> gaussian_filter_rows(std::span<const double> image, int64_t height, int64_t width, double sigma_px,
                                         int64_t first_row, int64_t rows);

}  // namespace ptyfuse
