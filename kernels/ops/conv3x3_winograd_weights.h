#pragma once
// Weights to packed, transformed weights, and packed gradients back to gradients, for any vector width.
#include <algorithm>

#include "kernels/ops/conv3x3_gemm.h"
#include "kernels/ops/conv3x3_winograd_kernels.h"
#include "kernels/ops/conv3x3_winograd_rows.h"

namespace ptyfuse::ops::cpu {

/// Calls body(row, first column, where the vector lies in a plane) for the vectors of packed rows [begin, end), counted
/// panel by panel.
template <class Isa, class Body>
void for_packed_vectors(int64_t begin, int64_t end, int64_t rows, int64_t columns, Body body) {
  const int64_t vectors = (columns + Isa::lanes - 1) / Isa::lanes;
  for (int64_t at = begin; at < end; ++at) {
    const int64_t panel = at / rows, row = at % rows, in_panel = std::min<int64_t>(2, vectors - 2 * panel);
    for (int64_t v = 0; v < in_panel; ++v)
      body(row, (2 * panel + v) * Isa::lanes, (2 * panel * rows + row * in_panel + v) * Isa::lanes);
  }
}

template <class Isa, bool upsampled>
void pack_weights(const WeightTransform& args) {
  using Row = WeightRow<upsampled>;
  constexpr int lanes = Isa::lanes;
  const int64_t ci = args.in_channels, co = args.out_channels;
  const int64_t rows = args.rotated ? co : ci, columns = args.rotated ? ci : co;
  for_packed_vectors<Isa>(args.begin, args.end, rows, columns, [&](int64_t row, int64_t column, int64_t to) {
    const int64_t n = std::min<int64_t>(lanes, columns - column);
    alignas(64) float turned[9][lanes] = {};
    if (args.rotated)
      for (int tap = 0; tap < 9; ++tap)
        for (int64_t e = 0; e < n; ++e) turned[8 - tap][e] = args.weights[(tap * ci + column + e) * co + row];
    transform_2d<Isa, Row>(
        [&](int r, int c, Vector<Isa>& v) __attribute__((always_inline)) {
          const int tap = 3 * r + c;
          const float* const from = args.weights + (tap * ci + row) * co + column;
          if (args.rotated)
            load<Isa>(v, turned[tap]);
          else if (n == lanes)
            load<Isa>(v, from);
          else
            load_first<Isa>(v, from, n);
          if (args.to_bf16) round_to_bf16<Isa>(v);
        },
        [&](int r, int c, const Vector<Isa>& v)
            __attribute__((always_inline)) { store<Isa>(args.packed + (r * Row::out + c) * args.plane + to, v); });
  });
}

template <class Isa, bool upsampled>
void weight_gradient(const WeightGradient& args) {
  using Row = WeightGradientRow<upsampled>;
  const int64_t ci = args.in_channels, co = args.out_channels;
  for_packed_vectors<Isa>(args.begin, args.end, ci, co, [&](int64_t row, int64_t column, int64_t from) {
    const int64_t n = std::min<int64_t>(Isa::lanes, co - column);
    transform_2d<Isa, Row>(
        [&](int r, int c, Vector<Isa>& v) __attribute__((always_inline)) {
          const float* const plane = args.packed + (r * Row::in + c) * args.plane + from;
          load<Isa>(v, plane);
          for (int copy = 1; copy < args.copies; ++copy) {
            Vector<Isa> other;
            load<Isa>(other, plane + copy * args.copy);
            v += other;
          }
        },
        [&](int r, int c, const Vector<Isa>& v) __attribute__((always_inline)) {
          float* const to = args.weights + ((3 * r + c) * ci + row) * co + column;
          if (n == Isa::lanes)
            store<Isa>(to, v);
          else
            store_first<Isa>(to, v, n);
        });
  });
}

}  // namespace ptyfuse::ops::cpu
