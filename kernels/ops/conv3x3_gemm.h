#pragma once
// Register-blocked products of the Winograd convolution's planes.
#include <array>
#include <utility>

#include "kernels/ops/conv3x3_vector.h"
#include "kernels/ops/conv3x3_winograd_kernels.h"

namespace ptyfuse::ops::cpu {

/// c[rows][vectors * lanes] (+)= sum_k a[row * a_row + k * a_step] * b[k * b_step + column]. With unit_step a_step is
/// 1, b is a packed panel (b_step is its width) and the panel that will be needed next lies b_next further on; else
/// a_row is 1.
struct MicroArgs {
  const float* a;
  int64_t a_row, a_step;
  const float* b;
  int64_t b_step, b_next;
  float* c;
  int64_t c_row;
  int64_t depth;
  bool accumulate;
};

template <class Isa, int rows, int vectors, bool unit_step>
void micro_kernel(const MicroArgs& args) {
  Vector<Isa> sum[rows][vectors];
  if (args.accumulate) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) load<Isa>(sum[r][v], args.c + r * args.c_row + v * Isa::lanes);
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sum[r][v] = Vector<Isa>{};
  }
  const float* a = args.a;
  const float* b = args.b;
  const int64_t a_step = unit_step ? 1 : args.a_step, b_step = unit_step ? vectors * Isa::lanes : args.b_step;
  const int64_t a_row = unit_step ? args.a_row : 1;
  for (int64_t k = 0; k < args.depth; ++k) {
    if constexpr (unit_step) __builtin_prefetch(b + args.b_next);
    Vector<Isa> column[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) load<Isa>(column[v], b + v * Isa::lanes);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const float s = a[r * a_row];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sum[r][v] += s * column[v];
    }
    a += a_step;
    b += b_step;
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) store<Isa>(args.c + r * args.c_row + v * Isa::lanes, sum[r][v]);
}

template <class Isa, bool unit_step>
class MicroKernels {
 public:
  /// All of `rows` rows, in runs as even as they can be: a short last run would wait for its own sums.
  static void run(MicroArgs args, int64_t rows, int vectors) {
    const int64_t most = vectors == 2 ? Isa::rows : 2 * Isa::rows;
    const int64_t runs = (rows + most - 1) / most;
    const float* a = args.a;
    float* c = args.c;
    const int64_t a_row = unit_step ? args.a_row : 1;
    for (int64_t i = 0; i < runs; ++i) {
      const int64_t begin = rows * i / runs, end = rows * (i + 1) / runs;
      args.a = a + begin * a_row;
      args.c = c + begin * args.c_row;
      (vectors == 2 ? wide : narrow)[static_cast<size_t>(end - begin - 1)](args);
    }
  }

 private:
  using Kernel = void (*)(const MicroArgs&);
  template <int vectors, size_t... r>
  static constexpr std::array<Kernel, 2 * Isa::rows> table(std::index_sequence<r...>) {
    return {micro_kernel<Isa, static_cast<int>(r) + 1, vectors, unit_step>...};
  }
  static constexpr std::array<Kernel, 2 * Isa::rows> wide = table<2>(std::make_index_sequence<Isa::rows>());
  static constexpr std::array<Kernel, 2 * Isa::rows> narrow = table<1>(std::make_index_sequence<2 * Isa::rows>());
};

/// Calls body(first column, vectors) for each panel.
template <class Isa, class Body>
void for_panels(int64_t columns, Body body) {
  const int64_t vectors = (columns + Isa::lanes - 1) / Isa::lanes;
  for (int64_t v = 0; v < vectors; v += 2) body(v * Isa::lanes, vectors - v >= 2 ? 2 : 1);
}

template <class Isa>
void plane_products(const PlaneProduct& p) {
  for (int plane = 0; plane < p.planes; ++plane)
    for_panels<Isa>(p.outer, [&](int64_t column, int vectors) {
      MicroKernels<Isa, true>::run(
          {p.a + plane * p.a_plane, p.a_row, 1, p.b + plane * p.b_plane + column * p.inner, 0,
           vectors * Isa::lanes * p.inner, p.c + plane * p.c_plane + column, p.c_row, p.inner, false},
          p.tiles, vectors);
    });
}

template <class Isa>
void plane_gradients(const PlaneProduct& p) {
  for (int plane = 0; plane < p.planes; ++plane)
    for_panels<Isa>(p.outer, [&](int64_t column, int vectors) {
      const int64_t width = vectors * Isa::lanes;
      MicroKernels<Isa, false>::run(
          {p.a + plane * p.a_plane, 1, p.a_row, p.b + plane * p.b_plane + column, p.b_row, 0,
           p.c + plane * p.c_plane + column * p.inner + p.row_begin * width, width, p.tiles, p.accumulate},
          p.row_end - p.row_begin, vectors);
    });
}

}  // namespace ptyfuse::ops::cpu
