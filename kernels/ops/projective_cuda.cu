#include "kernels/ops/projective_cuda.h"

#include <cfloat>

#include "kernels/ops/bilinear.h"
#include "kernels/ops/elementwise.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int block_threads = 128;

struct ProjectiveArgs {
  const float2* from;
  const double* homography;
  float2* to;
  int64_t threads;  // pixels of `to`
  int64_t height, width, out_height, out_width;
};

struct Homography {
  double h[9];
  __device__ explicit Homography(const double* from) {
#pragma unroll
    for (int i = 0; i < 9; ++i) h[i] = from[i];
  }
};

struct SourcePoint {
  double y, x;
  bool finite;
  __device__ SourcePoint(const Homography& m, int64_t row, int64_t column) {
    const double u = static_cast<double>(column), v = static_cast<double>(row);
    const double z = m.h[6] * u + m.h[7] * v + m.h[8];
    finite = fabs(z) >= 1e-12;
    x = (m.h[0] * u + m.h[1] * v + m.h[2]) / z;
    y = (m.h[3] * u + m.h[4] * v + m.h[5]) / z;
  }
  /// True when some corner of the point lies inside the image; false for NaN.
  __device__ bool touches(int64_t height, int64_t width) const {
    return finite && y > -1 && y < static_cast<double>(height) && x > -1 && x < static_cast<double>(width);
  }
};

// Tiling: a thread owns one pixel of the warped image; blocks run along memory.
__global__ void __launch_bounds__(block_threads) projective_kernel(ProjectiveArgs args) {
  const int64_t at = thread_in_grid();
  if (at >= args.threads) return;
  const int64_t line = quotient(at, args.out_width), column = at - line * args.out_width,
                n = quotient(line, args.out_height), row = line - n * args.out_height;
  const SourcePoint source(Homography(args.homography + 9 * n), row, column);
  float2 sum = make_float2(0, 0);
  if (source.touches(args.height, args.width)) {
    const BilinearCorners c = bilinear_corners(source.y, source.x);
    const float2* const corner = args.from + (n * args.height + c.y) * args.width + c.x;
    const bool up = c.y >= 0, down = c.y + 1 < args.height, left = c.x >= 0, right = c.x + 1 < args.width;
    const float2 zero = sum, p00 = up && left ? corner[0] : zero, p01 = up && right ? corner[1] : zero,
                 p10 = down && left ? corner[args.width] : zero, p11 = down && right ? corner[args.width + 1] : zero;
    sum = make_float2(c.w00 * p00.x + c.w01 * p01.x + c.w10 * p10.x + c.w11 * p11.x,
                      c.w00 * p00.y + c.w01 * p01.y + c.w10 * p10.y + c.w11 * p11.y);
  }
  args.to[at] = sum;
}

/// The pixels of the warped image, rows [top, bottom) and columns [left, right), outside of which no source point has
/// the given pixel of the image for a corner.
struct Reach {
  int64_t top = 0, left = 0, bottom, right;

  // The points whose corner the pixel is lie in a square of two pixels about it. Where the inverse homography keeps its
  // denominator's sign on that square, the points' preimages fill the convex hull of its four corners' preimages. In
  // every other case (a homography that is singular, or nearly), and where rounding may matter, all pixels are in
  // reach: right, but slow.
  __device__ Reach(const Homography& m, int64_t y, int64_t x, int64_t out_height, int64_t out_width)
      : bottom(out_height), right(out_width) {
    constexpr double half_side = 1.01, least_ratio = 1e-5, least_denominator = 1e-9, rounding = 1e-14;
    const double* const h = m.h;
    double g[9], g_size[9];  // the adjugate, which is the inverse but for a factor, and the size of its terms
#pragma unroll
    for (int i = 0; i < 3; ++i)
#pragma unroll
      for (int j = 0; j < 3; ++j) {
        const int r0 = (j + 1) % 3, r1 = (j + 2) % 3, c0 = (i + 1) % 3, c1 = (i + 2) % 3;
        const double a = h[3 * r0 + c0] * h[3 * r1 + c1], b = h[3 * r0 + c1] * h[3 * r1 + c0];
        g[3 * i + j] = a - b;
        g_size[3 * i + j] = fabs(a) + fabs(b);
      }
    const double determinant = h[0] * g[0] + h[1] * g[3] + h[2] * g[6],
                 size = fabs(h[0]) * g_size[0] + fabs(h[1]) * g_size[3] + fabs(h[2]) * g_size[6];
    if (!(size <= DBL_MAX)) {
      bottom = right = 0;  // a homography that is not finite: no point of it is anywhere
      return;
    }
    if (!(fabs(determinant) > least_ratio * size)) return;

    double low_u = 0, high_u = 0, low_v = 0, high_v = 0, first_w = 0;
#pragma unroll
    for (int corner = 0; corner < 4; ++corner) {
      const double sx = static_cast<double>(x) + (corner % 2 == 0 ? -half_side : half_side),
                   sy = static_cast<double>(y) + (corner / 2 == 0 ? -half_side : half_side);
      double value[3], bound[3];
#pragma unroll
      for (int i = 0; i < 3; ++i) {
        value[i] = g[3 * i] * sx + g[3 * i + 1] * sy + g[3 * i + 2];
        bound[i] = rounding * (g_size[3 * i] * fabs(sx) + g_size[3 * i + 1] * fabs(sy) + g_size[3 * i + 2]);
      }
      const double w = value[2];
      if (corner == 0) first_w = w;
      if (!(fabs(w) * rounding > least_denominator * bound[2]) || (w > 0) != (first_w > 0)) return;
      const double u = value[0] / w, v = value[1] / w, u_error = (bound[0] + fabs(u) * bound[2]) / fabs(w),
                   v_error = (bound[1] + fabs(v) * bound[2]) / fabs(w);
      low_u = corner == 0 ? u - u_error : fmin(low_u, u - u_error);
      high_u = corner == 0 ? u + u_error : fmax(high_u, u + u_error);
      low_v = corner == 0 ? v - v_error : fmin(low_v, v - v_error);
      high_v = corner == 0 ? v + v_error : fmax(high_v, v + v_error);
    }
    left = clamped(ceil(low_u), out_width);
    right = clamped(floor(high_u) + 1, out_width);
    top = clamped(ceil(low_v), out_height);
    bottom = clamped(floor(high_v) + 1, out_height);
  }

  __device__ static int64_t clamped(double at, int64_t extent) {
    return static_cast<int64_t>(fmin(fmax(at, 0.0), static_cast<double>(extent)));
  }
};

// The transpose in gather form. Tiling: a thread owns one pixel of the image and adds, in row-major order, the pixels
// of the warped image that have it for a corner.
__global__ void __launch_bounds__(block_threads) projective_adjoint_kernel(ProjectiveArgs args) {
  const int64_t at = thread_in_grid();
  if (at >= args.threads) return;
  const int64_t line = quotient(at, args.width), x = at - line * args.width, n = quotient(line, args.height),
                y = line - n * args.height;
  const Homography m(args.homography + 9 * n);
  const Reach reach(m, y, x, args.out_height, args.out_width);
  float2 sum = make_float2(0, 0);
  for (int64_t row = reach.top; row < reach.bottom; ++row)
    for (int64_t column = reach.left; column < reach.right; ++column) {
      const SourcePoint source(m, row, column);
      if (!source.touches(args.height, args.width)) continue;
      const BilinearAxis v = bilinear_axis(source.y), h = bilinear_axis(source.x);
      const bool upper = v.first == y, left = h.first == x;
      if (!(upper || v.first + 1 == y) || !(left || h.first + 1 == x)) continue;
      const float weight = (upper ? v.w0 : v.w1) * (left ? h.w0 : h.w1);
      const float2 gradient = args.from[(n * args.out_height + row) * args.out_width + column];
      sum.x += weight * gradient.x;
      sum.y += weight * gradient.y;
    }
  args.to[at] = sum;
}

}  // namespace

void projective(Stream& stream, TensorView<const complex64> in, TensorView<const double> homography,
                TensorView<complex64> out) {
  if (out.empty()) return;
  launch(projective_kernel, dim3(static_cast<unsigned>(divide_up(out.elements(), block_threads))), dim3(block_threads),
         0, stream)(ProjectiveArgs{reinterpret_cast<const float2*>(in.data()), homography.data(),
                                   reinterpret_cast<float2*>(out.data()), out.elements(), in.extent(1), in.extent(2),
                                   out.extent(1), out.extent(2)});
}

void projective_adjoint(Stream& stream, TensorView<const complex64> grad_out, TensorView<const double> homography,
                        TensorView<complex64> grad_in) {
  if (grad_in.empty()) return;
  launch(projective_adjoint_kernel, dim3(static_cast<unsigned>(divide_up(grad_in.elements(), block_threads))),
         dim3(block_threads), 0, stream)(ProjectiveArgs{
      reinterpret_cast<const float2*>(grad_out.data()), homography.data(), reinterpret_cast<float2*>(grad_in.data()),
      grad_in.elements(), grad_in.extent(1), grad_in.extent(2), grad_out.extent(1), grad_out.extent(2)});
}

}  // namespace ptyfuse::ops::cuda
