#include "kernels/ops/projective_cpu.h"

#include <algorithm>
#include <cmath>

#include "kernels/ops/bilinear.h"

namespace ptyfuse::ops::cpu {
namespace {

/// Output pixels of a row whose source points are computed together, in vectors.
constexpr int64_t run_px = 64;
constexpr int64_t worthwhile_pixels = 2048;

/// A point that no image holds.
constexpr double nowhere = -2;

/// The source points of output pixels (row, column) .. (row, column + count - 1); nowhere for those at infinity.
struct SourceRun {
  double y[run_px], x[run_px];

  SourceRun(const double* homography, int64_t row, int64_t column, int64_t count) {
    double h[9];
    std::copy(homography, homography + 9, h);
    const double v = static_cast<double>(row), u = static_cast<double>(column);
    const int n = static_cast<int>(count);  // an index that AVX2 turns into doubles
#pragma omp simd
    for (int i = 0; i < n; ++i) {
      const double c = u + i, z = h[6] * c + h[7] * v + h[8];
      const bool finite = std::abs(z) >= 1e-12;
      const double divisor = finite ? z : 1;
      const double source_x = (h[0] * c + h[1] * v + h[2]) / divisor, source_y = (h[3] * c + h[4] * v + h[5]) / divisor;
      x[i] = finite ? source_x : nowhere;
      y[i] = finite ? source_y : nowhere;
    }
  }
};

/// True when some corner of the point lies inside the image; false for NaN.
bool touches(double y, double x, int64_t height, int64_t width) {
  return y > -1 && y < static_cast<double>(height) && x > -1 && x < static_cast<double>(width);
}

/// Whether source points of a run of output pixels can have corners in rows [begin, end): between two pixels whose
/// denominators have the same sign the source row is monotone, so that the ends of the run bound it.
bool may_reach(const double* h, int64_t row, int64_t column, int64_t count, int64_t begin, int64_t end) {
  const double v = static_cast<double>(row), first = static_cast<double>(column),
               last = static_cast<double>(column + count - 1);
  const double z0 = h[6] * first + h[7] * v + h[8], z1 = h[6] * last + h[7] * v + h[8];
  if (!(std::abs(z0) >= 1e-12 && std::abs(z1) >= 1e-12) || (z0 > 0) != (z1 > 0)) return true;
  const double y0 = (h[3] * first + h[4] * v + h[5]) / z0, y1 = (h[3] * last + h[4] * v + h[5]) / z1;
  // One pixel for the lower corner and one for rounding.
  return !(std::max(y0, y1) < static_cast<double>(begin) - 2 || std::min(y0, y1) > static_cast<double>(end) + 1);
}

}  // namespace

void projective(Stream& stream, TensorView<const complex64> in, TensorView<const double> homography,
                TensorView<complex64> out) {
  if (out.empty()) return;
  const int64_t height = in.extent(1), width = in.extent(2), out_height = out.extent(1), out_width = out.extent(2);
  stream.device().parallel_for(
      out.extent(0) * out_height, worthwhile_pixels / out_width + 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t row = begin; row < end; ++row) {
          const int64_t n = row / out_height;
          const complex64* const image = in.data() + n * height * width;
          for (int64_t column = 0; column < out_width; column += run_px) {
            const int64_t count = std::min(run_px, out_width - column);
            const SourceRun source(homography.data() + 9 * n, row % out_height, column, count);
            complex64* const target = out.data() + row * out_width + column;
            for (int64_t i = 0; i < count; ++i) {
              target[i] = 0;
              if (!touches(source.y[i], source.x[i], height, width)) continue;
              const BilinearCorners c = bilinear_corners(source.y[i], source.x[i]);
              const int64_t corner = c.y * width + c.x;
              const bool up = c.y >= 0, down = c.y + 1 < height, left = c.x >= 0, right = c.x + 1 < width;
              complex64 sum;
              if (up && left) sum += c.w00 * image[corner];
              if (up && right) sum += c.w01 * image[corner + 1];
              if (down && left) sum += c.w10 * image[corner + width];
              if (down && right) sum += c.w11 * image[corner + width + 1];
              target[i] = sum;
            }
          }
        }
      });
}

// Each worker owns rows of grad_in and walks the output pixels that can reach them in their order, so that the sums do
// not depend on the number of workers.
void projective_adjoint(Stream& stream, TensorView<const complex64> grad_out, TensorView<const double> homography,
                        TensorView<complex64> grad_in) {
  if (grad_in.empty()) return;
  const int64_t height = grad_in.extent(1), width = grad_in.extent(2), out_height = grad_out.extent(1),
                out_width = grad_out.extent(2);
  const auto gather = [&](int64_t n, int64_t begin, int64_t end) {
    complex64* const image = grad_in.data() + n * height * width;
    std::fill(image + begin * width, image + end * width, complex64());
    const double* const h = homography.data() + 9 * n;
    const auto owned = [&](int64_t y) { return y >= begin && y < end; };
    for (int64_t row = 0; row < out_height; ++row) {
      for (int64_t column = 0; column < out_width; column += run_px) {
        const int64_t count = std::min(run_px, out_width - column);
        if (!may_reach(h, row, column, count, begin, end)) continue;
        const SourceRun source(h, row, column, count);
        const complex64* const gradient = grad_out.data() + (n * out_height + row) * out_width + column;
        for (int64_t i = 0; i < count; ++i) {
          if (!touches(source.y[i], source.x[i], height, width)) continue;
          const BilinearCorners c = bilinear_corners(source.y[i], source.x[i]);
          const int64_t corner = c.y * width + c.x;
          const bool up = owned(c.y), down = owned(c.y + 1), left = c.x >= 0, right = c.x + 1 < width;
          if (up && left) image[corner] += c.w00 * gradient[i];
          if (up && right) image[corner + 1] += c.w01 * gradient[i];
          if (down && left) image[corner + width] += c.w10 * gradient[i];
          if (down && right) image[corner + width + 1] += c.w11 * gradient[i];
        }
      }
    }
  };
  stream.device().parallel_for(grad_in.extent(0) * height, worthwhile_pixels / width + 1,
                               [&](int64_t begin, int64_t end, int) {
                                 for (int64_t row = begin; row < end;) {
                                   const int64_t n = row / height, last = std::min(end, (n + 1) * height);
                                   gather(n, row - n * height, last - n * height);
                                   row = last;
                                 }
                               });
}

}  // namespace ptyfuse::ops::cpu
