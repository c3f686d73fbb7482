#include "kernels/ops/reassemble_cpu.h"

#include <algorithm>
#include <vector>

#include "kernels/ops/bilinear.h"

namespace ptyfuse::ops::cpu {
namespace {

/// The smallest rectangle that holds every weight that is not zero.
struct Support {
  int64_t top = 0, left = 0, height = 0, width = 0;

  explicit Support(TensorView<const float> weight) {
    const int64_t side = weight.extent(0);
    int64_t bottom = 0, right = 0;
    top = left = side;
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x)
        if (weight(y, x) != 0) {
          top = std::min(top, y), bottom = y + 1;
          left = std::min(left, x), right = std::max(right, x + 1);
        }
    if (bottom == 0) return;
    height = bottom - top, width = right - left;
  }
};

/// Where a patch's support lands: canvas pixel (row + i, column + j) receives source pixels (i, j) and, where the
/// fraction is not zero, (i - 1, j), (i, j - 1), (i - 1, j - 1).
struct Placement {
  int64_t row = 0, column = 0;
  float stay_y = 1, move_y = 0, stay_x = 1, move_x = 0;
  int64_t row_begin = 0, row_end = 0;        ///< canvas rows covered
  int64_t column_begin = 0, column_end = 0;  ///< canvas columns covered; empty: nothing falls on the canvas

  bool covers() const { return row_begin < row_end && column_begin < column_end; }
};

/// Three rows, each of weight * patch (complex) and of the weight: source rows i and i - 1, and their mixture along y,
/// which has a zero before and behind it.
class Rows {
 public:
  explicit Rows(int64_t width) : span_(width + 2), numbers_(static_cast<size_t>(9 * span_)) {}

  float* product(int64_t source_row) { return row(source_row & 1); }
  float* weight(int64_t source_row) { return row(source_row & 1) + 2 * span_ - 1; }
  float* mixed_product() { return row(2); }
  float* mixed_weight() { return row(2) + 2 * span_ - 1; }

 private:
  float* row(int64_t index) { return numbers_.data() + 3 * span_ * index + 2; }
  int64_t span_;
  std::vector<float> numbers_;
};

/// Adds the rows [begin, end) of the canvas that one patch covers.
class PatchAdder {
 public:
  PatchAdder(TensorView<const float> weight, const Support& support, const StitchSums& sums)
      : weight_(weight), support_(support), sums_(sums), rows_(support.width) {}

  void add(const complex64* patch, int64_t row_stride, const Placement& at, int64_t begin, int64_t end) {
    begin = std::max(begin, at.row_begin);
    end = std::min(end, at.row_end);
    if (begin >= end) return;
    load(patch, row_stride, begin - at.row - 1);
    for (int64_t row = begin; row < end; ++row) {
      load(patch, row_stride, row - at.row);
      mix(row - at.row, at);
      add_row(row, at);
    }
  }

 private:
  /// Weighted source row i of the support; zeros outside it.
  void load(const complex64* patch, int64_t row_stride, int64_t i) {
    float* const product = rows_.product(i);
    float* const weight = rows_.weight(i);
    const int64_t width = support_.width;
    if (i < 0 || i >= support_.height) {
      std::fill(product, product + 2 * width, 0.0F);
      std::fill(weight, weight + width, 0.0F);
      return;
    }
    const float* const w = &weight_(support_.top + i, support_.left);
    const float* const p = reinterpret_cast<const float*>(patch + (support_.top + i) * row_stride + support_.left);
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) {
      product[2 * j] = w[j] * p[2 * j];
      product[2 * j + 1] = w[j] * p[2 * j + 1];
    }
    std::copy(w, w + width, weight);
  }

  void mix(int64_t i, const Placement& at) {
    const float *const a = rows_.product(i), *const b = rows_.product(i - 1);
    const float *const u = rows_.weight(i), *const v = rows_.weight(i - 1);
    float *const product = rows_.mixed_product(), *const weight = rows_.mixed_weight();
    const float stay = at.stay_y, move = at.move_y;
#pragma omp simd
    for (int64_t k = 0; k < 2 * support_.width; ++k) product[k] = stay * a[k] + move * b[k];
#pragma omp simd
    for (int64_t k = 0; k < support_.width; ++k) weight[k] = stay * u[k] + move * v[k];
  }

  void add_row(int64_t row, const Placement& at) {
    const int64_t canvas_width = sums_.weight.extent(1), from = at.column_begin - at.column,
                  count = at.column_end - at.column_begin;
    const float *const product = rows_.mixed_product() + 2 * from, *const weight = rows_.mixed_weight() + from;
    float* const weighted = reinterpret_cast<float*>(sums_.weighted.data() + row * canvas_width + at.column_begin);
    float* const sum = sums_.weight.data() + row * canvas_width + at.column_begin;
    const float stay = at.stay_x, move = at.move_x;
#pragma omp simd
    for (int64_t k = 0; k < 2 * count; ++k) weighted[k] += stay * product[k] + move * product[k - 2];
#pragma omp simd
    for (int64_t k = 0; k < count; ++k) sum[k] += stay * weight[k] + move * weight[k - 1];
  }

  TensorView<const float> weight_;
  Support support_;
  StitchSums sums_;
  Rows rows_;
};

Placement place(double corner_y, double corner_x, const Support& support, const StitchSums& sums) {
  const BilinearAxis y = bilinear_axis(corner_y), x = bilinear_axis(corner_x);
  Placement p{.row = y.first + support.top,
              .column = x.first + support.left,
              .stay_y = y.w0,
              .move_y = y.w1,
              .stay_x = x.w0,
              .move_x = x.w1};
  const int64_t height = sums.weight.extent(0), width = sums.weight.extent(1);
  p.row_begin = std::clamp<int64_t>(p.row, 0, height);
  p.row_end = std::clamp<int64_t>(p.row + support.height + (p.move_y != 0), 0, height);
  p.column_begin = std::clamp<int64_t>(p.column, 0, width);
  p.column_end = std::clamp<int64_t>(p.column + support.width + (p.move_x != 0), 0, width);
  return p;
}

/// Canvas rows at which the work of placements splits evenly into bands, ascending from the first row covered to behind
/// the last; empty where nothing is covered. Each of at most `workers` gets several bands where that keeps a band's
/// sums in its cache while the patches pass.
std::vector<int64_t> even_bands(const std::vector<Placement>& placements, int64_t canvas_width, int64_t workers) {
  constexpr int64_t worthwhile_pixels = 4096, cached_pixels = 32768, pixels_per_look = 16;
  int64_t top = INT64_MAX, bottom = INT64_MIN;
  for (const Placement& p : placements) {
    if (!p.covers()) continue;
    top = std::min(top, p.row_begin);
    bottom = std::max(bottom, p.row_end);
  }
  if (top >= bottom) return {};
  std::vector<int64_t> change(static_cast<size_t>(bottom - top + 1));
  int64_t total = 0;
  for (const Placement& p : placements) {
    if (!p.covers()) continue;
    const int64_t columns = p.column_end - p.column_begin;
    change[static_cast<size_t>(p.row_begin - top)] += columns;
    change[static_cast<size_t>(p.row_end - top)] -= columns;
    total += columns * (p.row_end - p.row_begin);
  }
  // Every band looks at every patch: few enough bands that this costs little beside the sums.
  const int64_t share = std::clamp<int64_t>(total / worthwhile_pixels, 1, workers),
                cached = std::min(std::min((bottom - top) * canvas_width, total) / cached_pixels,
                                  total / (pixels_per_look * static_cast<int64_t>(placements.size()))),
                parts = share * (cached / share + 1);
  std::vector<int64_t> bands{top};
  int64_t in_row = 0, done = 0;
  for (int64_t row = top; row < bottom; ++row) {
    while (static_cast<int64_t>(bands.size()) < parts && done >= total * static_cast<int64_t>(bands.size()) / parts)
      bands.push_back(row);
    in_row += change[static_cast<size_t>(row - top)];
    done += in_row;
  }
  while (static_cast<int64_t>(bands.size()) <= parts) bands.push_back(bottom);
  return bands;
}

}  // namespace

// Each worker owns a band of canvas rows and walks the patches that touch it in order: the sum of a pixel depends on
// nothing but the order of the patches.
void reassemble(Stream& stream, TensorView<const complex64> patches, std::span<const double> corner_px,
                TensorView<const float> weight, const StitchSums& sums) {
  const Support support(weight);
  const int64_t count = patches.extent(0);
  if (count == 0 || support.height == 0 || sums.weight.empty()) return;
  std::vector<Placement> placements(static_cast<size_t>(count));
  for (size_t s = 0; s < placements.size(); ++s)
    placements[s] = place(corner_px[2 * s], corner_px[2 * s + 1], support, sums);
  const std::vector<int64_t> bands = even_bands(placements, sums.weight.extent(1), stream.device().threads());
  if (bands.empty()) return;
  stream.device().parallel_for(
      static_cast<int64_t>(bands.size()) - 1, 1, [&](int64_t begin_band, int64_t end_band, int) {
        PatchAdder adder(weight, support, sums);
        for (int64_t band = begin_band; band < end_band; ++band) {
          const int64_t begin = bands[static_cast<size_t>(band)], end = bands[static_cast<size_t>(band) + 1];
          for (int64_t s = 0; s < count; ++s) {
            const Placement& at = placements[static_cast<size_t>(s)];
            if (at.covers()) adder.add(patches.data() + s * patches.stride(0), patches.stride(1), at, begin, end);
          }
        }
      });
}

void reassemble_finish(Stream& stream, const StitchSums& sums, TensorView<complex64> object) {
  constexpr float epsilon = 1e-9F;
  const complex64* const weighted = sums.weighted.data();
  const float* const weight = sums.weight.data();
  complex64* const out = object.data();
  stream.device().parallel_for(object.elements(), 8192, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float divisor = weight[i] + epsilon;
      out[i] = {weighted[i].real() / divisor, weighted[i].imag() / divisor};
    }
  });
}

}  // namespace ptyfuse::ops::cpu
