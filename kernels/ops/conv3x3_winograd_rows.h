#pragma once
// The transforms of the Winograd convolution F(4x4,3x3), for any vector width.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015); the matrices follow from the
// interpolation points 0, a, -a, b, -b, infinity by Cook's and Toom's construction.
#include "kernels/ops/conv3x3_vector.h"

namespace ptyfuse::ops::cpu {

/// The points. 5/8 and 3/2 lose the fewest digits (relative L2 about 6e-7 against 1.2e-6 of 1 and 2); where the input
/// is upsampled, a must be 1 for the point -a to fall away.
template <bool upsampled>
struct Points {
  static constexpr float a = 0.625F, b = 1.5F;
};
template <>
struct Points<true> {
  static constexpr float a = 1, b = 2;
};

template <bool up>
struct Coefficients {
  static constexpr float a = Points<up>::a, b = Points<up>::b;
  static constexpr float aa = a * a, bb = b * b;
  static constexpr float zero = 1 / (aa * bb), at_a = 1 / (2 * aa * (aa - bb)), at_b = 1 / (2 * bb * (bb - aa));
  static constexpr int points = up ? 5 : 6;
};

// One-dimensional transforms: `in` values to `out` values; 2-D ones apply them down the columns, then along the rows.
// A tile t begins with pixel step * t + offset. Points are stored in the order 0, a, (-a,) b, -b, infinity.

template <bool up>
struct InputRow : Coefficients<up> {
  using C = Coefficients<up>;
  static constexpr int in = 6, out = C::points, step = 4, offset = -1;
  template <class V>
  [[gnu::always_inline]] static inline void apply(const V* d, V* o) {
    const V even_a = d[4] - C::bb * d[2], odd_a = d[3] - C::bb * d[1];
    const V even_b = d[4] - C::aa * d[2], odd_b = d[3] - C::aa * d[1];
    *o++ = (C::aa * C::bb) * d[0] - (C::aa + C::bb) * d[2] + d[4];
    *o++ = even_a + C::a * odd_a;
    if constexpr (!up) *o++ = even_a - C::a * odd_a;
    *o++ = even_b + C::b * odd_b;
    *o++ = even_b - C::b * odd_b;
    *o++ = (C::aa * C::bb) * d[1] - (C::aa + C::bb) * d[3] + d[5];
  }
};

/// InputRow of (s0, s1, s1, s2, s2, s3): the four pixels that an upsampled tile is made of.
struct SmallInputRow : Coefficients<true> {
  using C = Coefficients<true>;
  static constexpr int in = 4, out = 5, step = 2, offset = -1;
  template <class V>
  [[gnu::always_inline]] static inline void apply(const V* s, V* o) {
    const V slope = s[2] - s[1];
    o[0] = (C::aa * C::bb) * s[0] - (C::aa + C::bb) * s[1] + s[2];
    o[1] = 2 * (s[2] - C::bb * s[1]);
    o[2] = (1 + C::b) * slope;
    o[3] = (1 - C::b) * slope;
    o[4] = (C::aa * C::bb) * s[1] - (C::aa + C::bb) * s[2] + s[3];
  }
};

/// The transpose of OutputRow.
template <bool up>
struct GradientRow : Coefficients<up> {
  using C = Coefficients<up>;
  static constexpr int in = 4, out = C::points, step = 4, offset = 0;
  template <class V>
  [[gnu::always_inline]] static inline void apply(const V* y, V* o) {
    const V even_a = y[0] + C::aa * y[2], odd_a = y[1] + C::aa * y[3];
    const V even_b = y[0] + C::bb * y[2], odd_b = y[1] + C::bb * y[3];
    *o++ = y[0];
    *o++ = even_a + C::a * odd_a;
    if constexpr (!up) *o++ = even_a - C::a * odd_a;
    *o++ = even_b + C::b * odd_b;
    *o++ = even_b - C::b * odd_b;
    *o++ = y[3];
  }
};

template <bool up>
struct OutputRow : Coefficients<up> {
  using C = Coefficients<up>;
  static constexpr int in = C::points, out = 4;
  template <class V>
  [[gnu::always_inline]] static inline void apply(const V* m, V* y) {
    constexpr int b = up ? 2 : 3;
    const V sum_b = m[b] + m[b + 1], difference_b = m[b] - m[b + 1];
    V sum_a = m[1], difference_a = m[1];
    if constexpr (!up) {
      sum_a += m[2];
      difference_a -= m[2];
    }
    y[0] = m[0] + sum_a + sum_b;
    y[1] = C::a * difference_a + C::b * difference_b;
    y[2] = C::aa * sum_a + C::bb * sum_b;
    y[3] = (C::aa * C::a) * difference_a + (C::bb * C::b) * difference_b + m[b + 2];
  }
};

/// OutputRow with neighbours summed: the gradient of the pixels that were upsampled.
struct SmallOutputRow : Coefficients<true> {
  using C = Coefficients<true>;
  static constexpr int in = 5, out = 2;
  template <class V>
  [[gnu::always_inline]] static inline void apply(const V* m, V* y) {
    y[0] = m[0] + 2 * m[1] + (1 + C::b) * m[2] + (1 - C::b) * m[3];
    y[1] = 2 * m[1] + (C::bb * (1 + C::b)) * m[2] + (C::bb * (1 - C::b)) * m[3] + m[4];
  }
};

template <bool up>
struct WeightRow : Coefficients<up> {
  using C = Coefficients<up>;
  static constexpr int in = 3, out = C::points;
  template <class V>
  [[gnu::always_inline]] static inline void apply(const V* g, V* o) {
    const V even_a = C::at_a * (g[0] + C::aa * g[2]), odd_a = (C::at_a * C::a) * g[1];
    const V even_b = C::at_b * (g[0] + C::bb * g[2]), odd_b = (C::at_b * C::b) * g[1];
    *o++ = C::zero * g[0];
    *o++ = even_a + odd_a;
    if constexpr (!up) *o++ = even_a - odd_a;
    *o++ = even_b + odd_b;
    *o++ = even_b - odd_b;
    *o++ = g[2];
  }
};

/// The transpose of WeightRow.
template <bool up>
struct WeightGradientRow : Coefficients<up> {
  using C = Coefficients<up>;
  static constexpr int in = C::points, out = 3;
  template <class V>
  [[gnu::always_inline]] static inline void apply(const V* m, V* w) {
    constexpr int b = up ? 2 : 3;
    const V sum_b = C::at_b * (m[b] + m[b + 1]), difference_b = m[b] - m[b + 1];
    V sum_a = m[1], difference_a = m[1];
    if constexpr (!up) {
      sum_a += m[2];
      difference_a -= m[2];
    }
    sum_a *= C::at_a;
    w[0] = C::zero * m[0] + sum_a + sum_b;
    w[1] = (C::at_a * C::a) * difference_a + (C::at_b * C::b) * difference_b;
    w[2] = C::aa * sum_a + C::bb * sum_b + m[b + 2];
  }
};

/// fetch(row, column, v) reads, put(row, column, v) takes the transformed values.
template <class Isa, class Row, class Fetch, class Put>
[[gnu::always_inline]] inline void transform_2d(Fetch fetch, Put put) {
  using V = Vector<Isa>;
  V between[Row::out][Row::in];
#pragma GCC unroll 8
  for (int column = 0; column < Row::in; ++column) {
    V d[Row::in], o[Row::out];
#pragma GCC unroll 8
    for (int row = 0; row < Row::in; ++row) fetch(row, column, d[row]);
    Row::apply(d, o);
#pragma GCC unroll 8
    for (int row = 0; row < Row::out; ++row) between[row][column] = o[row];
  }
#pragma GCC unroll 8
  for (int row = 0; row < Row::out; ++row) {
    V o[Row::out];
    Row::apply(between[row], o);
#pragma GCC unroll 8
    for (int column = 0; column < Row::out; ++column) put(row, column, o[column]);
  }
}

}  // namespace ptyfuse::ops::cpu
