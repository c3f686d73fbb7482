#include "kernels/ops/rpie_positions_cpu.h"

#include <algorithm>
#include <vector>

#include "kernels/ops/position_sums.h"
#include "kernels/ops/rpie_frames_cpu.h"

namespace ptyfuse::ops::cpu {
namespace {

/// Half the differences of a row of the object to its neighbours, [re, im] of each pixel.
struct Neighbours {
  explicit Neighbours(int64_t side)
      : down(static_cast<size_t>(2 * side)),
        up(down),
        right(down),
        left(down),
        probe(static_cast<size_t>(2 * side + 4)) {}
  std::vector<float> down, up, right, left;
  std::vector<float> probe;  // a row, with a pixel of zeros at either end
};

// out = (to - from) / 2
void half_difference(const float* to, const float* from, int64_t count, float* out) {
#pragma omp simd
  for (int64_t j = 0; j < count; ++j) out[j] = 0.5F * (to[j] - from[j]);
}

void differentiate(const complex64* window, int64_t width, int64_t y, int64_t side, Neighbours& out) {
  const float* const row = floats(window + y * width);
  half_difference(floats(window + std::min(y + 1, side - 1) * width), row, 2 * side, out.down.data());
  half_difference(row, floats(window + std::max<int64_t>(y - 1, 0) * width), 2 * side, out.up.data());
  half_difference(row + 2, row, 2 * side - 2, out.right.data());
  half_difference(row + 2, row, 2 * side - 2, out.left.data() + 2);
}

/// The probe where a pixel's differences meet it: the pixel's own, or its neighbours'.
struct ProbeRows {
  const float *down, *up, *right, *left;
};

void add_row(const ProbeRows& p, const Neighbours& o, const float* difference, int64_t side, PositionSums& sums) {
  float yy = 0, yx = 0, xx = 0, y = 0, x = 0;
  const float* const down = o.down.data();
  const float* const up = o.up.data();
  const float* const right = o.right.data();
  const float* const left = o.left.data();
#pragma omp simd reduction(+ : yy, yx, xx, y, x)
  for (int64_t i = 0; i < side; ++i) {
    const int64_t re = 2 * i, im = 2 * i + 1;
    const float y_re = p.down[re] * down[re] - p.down[im] * down[im] + p.up[re] * up[re] - p.up[im] * up[im];
    const float y_im = p.down[re] * down[im] + p.down[im] * down[re] + p.up[re] * up[im] + p.up[im] * up[re];
    const float x_re =
        p.right[re] * right[re] - p.right[im] * right[im] + p.left[re] * left[re] - p.left[im] * left[im];
    const float x_im =
        p.right[re] * right[im] + p.right[im] * right[re] + p.left[re] * left[im] + p.left[im] * left[re];
    yy += y_re * y_re + y_im * y_im;
    yx += y_re * x_re + y_im * x_im;
    xx += x_re * x_re + x_im * x_im;
    y += y_re * difference[re] + y_im * difference[im];
    x += x_re * difference[re] + x_im * difference[im];
  }
  sums.yy += static_cast<double>(yy);
  sums.yx += static_cast<double>(yx);
  sums.xx += static_cast<double>(xx);
  sums.y += static_cast<double>(y);
  sums.x += static_cast<double>(x);
}

}  // namespace

void position_steps(const Device& device, TensorView<const complex64> object, const RpieBatch& batch,
                    TensorView<const complex64> probes, TensorView<const complex64> differences,
                    PositionGradient gradient, TensorView<double> steps) {
  const int64_t modes = differences.extent(1), side = differences.extent(2), pixels = side * side;
  const int64_t width = object.extent(1);
  const bool moved = gradient == PositionGradient::exact;
  device.parallel_for(batch.count(), 8192 / pixels + 1, [&](int64_t begin, int64_t end, int) {
    Neighbours object_row(side);
    for (int64_t n = begin; n < end; ++n) {
      const Window w = window_of("position_steps", batch, n, object.shape(), side);
      const complex64* const probe = probe_of("position_steps", batch, n, probes);
      PositionSums sums;
      for (int64_t y = 0; y < side; ++y) {
        differentiate(object.data() + w.y * width + w.x, width, y, side, object_row);
        for (int64_t k = 0; k < modes; ++k) {
          const float* const mode = floats(probe + k * pixels);
          const auto row = [&](int64_t at) {
            return mode + 2 * side * (moved ? std::clamp<int64_t>(at, 0, side - 1) : y);
          };
          std::copy_n(mode + 2 * side * y, 2 * side, object_row.probe.data() + 2);
          const float* const own = object_row.probe.data() + 2;
          add_row({row(y + 1), row(y - 1), moved ? own + 2 : own, moved ? own - 2 : own}, object_row,
                  floats(differences.data() + ((n * modes + k) * side + y) * side), side, sums);
        }
      }
      const PositionStep step = solve(sums);
      steps(n, 0) = step.y;
      steps(n, 1) = step.x;
    }
  });
}

}  // namespace ptyfuse::ops::cpu
