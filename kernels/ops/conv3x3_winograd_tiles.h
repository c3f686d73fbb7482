#pragma once
// From images to transformed tiles and back, for any vector width.
#include <type_traits>

#include "kernels/ops/conv3x3_winograd_kernels.h"
#include "kernels/ops/conv3x3_winograd_rows.h"

namespace ptyfuse::ops::cpu {

/// Calls body(tile of the run, image, tile row, tile column).
template <class Body>
[[gnu::always_inline]] inline void for_tiles(const TileRun& run, Body body) {
  const int64_t rows = (run.height + 3) / 4, columns = (run.width + 3) / 4;
  int64_t image = run.first / (rows * columns), row = run.first / columns % rows, column = run.first % columns;
  for (int64_t t = 0; t < run.count; ++t) {
    body(t, image, row, column);
    if (++column == columns) {
      column = 0;
      if (++row == rows) row = 0, ++image;
    }
  }
}

template <class Isa, class Row, bool masked, bool rounded, bool summed>
void transform_tiles(const TileTransform& args) {
  constexpr int in = Row::in, out = Row::out, lanes = Isa::lanes;
  using V = Vector<Isa>;
  const int64_t height = args.tiles.height * Row::step / 4, width = args.tiles.width * Row::step / 4;
  for_tiles(args.tiles, [&](int64_t t, int64_t image, int64_t tile_row, int64_t tile_column) {
    const float* pixels[in * in];
    const float* masks[masked ? in * in : 1];
    for (int r = 0; r < in; ++r)
      for (int c = 0; c < in; ++c) {
        const int64_t y = tile_row * Row::step + Row::offset + r, x = tile_column * Row::step + Row::offset + c;
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        const int64_t at = (image * height + y) * width + x;
        pixels[r * in + c] = inside ? args.image + at * args.pixel : args.zeros;
        if constexpr (masked) masks[r * in + c] = inside ? args.mask + at * args.mask_pixel : args.zeros;
      }
    float* const to = args.to + t * args.row;
    // n: channels of this vector, lanes but for the last.
    auto at_channel = [&](int64_t channel, auto full, int64_t n) __attribute__((always_inline)) {
      V sum{};
      transform_2d<Isa, Row>(
          [&](int r, int c, V& v) __attribute__((always_inline)) {
            if constexpr (full)
              load<Isa>(v, pixels[r * in + c] + channel);
            else
              load_first<Isa>(v, pixels[r * in + c] + channel, n);
            if constexpr (masked) {
              V mask;
              if constexpr (full)
                load<Isa>(mask, masks[r * in + c] + channel);
              else
                load_first<Isa>(mask, masks[r * in + c] + channel, n);
              keep_positive<Isa>(v, mask);
            }
            if constexpr (rounded) round_to_bf16<Isa>(v);
            if constexpr (summed) sum += v;
          },
          [&](int r, int c, const V& v)
              __attribute__((always_inline)) { store<Isa>(to + (r * out + c) * args.plane + channel, v); });
      if constexpr (summed) {
        V before;
        load<Isa>(before, args.sums + channel);
        store<Isa>(args.sums + channel, before + sum);
      }
    };
    const int64_t whole = args.channels / lanes * lanes;
    for (int64_t channel = 0; channel < whole; channel += lanes) at_channel(channel, std::true_type(), lanes);
    if (whole < args.channels) at_channel(whole, std::false_type(), args.channels - whole);
  });
}

template <class Isa, class Row, bool summed>
void transform(const TileTransform& args) {
  if (args.mask && args.to_bf16)
    transform_tiles<Isa, Row, true, true, summed>(args);
  else if (args.mask)
    transform_tiles<Isa, Row, true, false, summed>(args);
  else if (args.to_bf16)
    transform_tiles<Isa, Row, false, true, summed>(args);
  else
    transform_tiles<Isa, Row, false, false, summed>(args);
}

template <class Isa, class Row, bool accumulate>
void inverse_tiles(const TileInverse& args) {
  constexpr int in = Row::in, out = Row::out, lanes = Isa::lanes;
  using V = Vector<Isa>;
  const int64_t height = args.tiles.height * out / 4, width = args.tiles.width * out / 4;
  for_tiles(args.tiles, [&](int64_t t, int64_t image, int64_t tile_row, int64_t tile_column) {
    float* pixels[out * out];
    for (int r = 0; r < out; ++r)
      for (int c = 0; c < out; ++c) {
        const int64_t y = tile_row * out + r, x = tile_column * out + c;
        pixels[r * out + c] =
            y < height && x < width ? args.image + ((image * height + y) * width + x) * args.pixel : args.outside;
      }
    const float* const from = args.from + t * args.row;
    auto at_channel = [&](int64_t channel, auto full, int64_t n) __attribute__((always_inline)) {
      V bias{};
      if (args.bias) {
        if constexpr (full)
          load<Isa>(bias, args.bias + channel);
        else
          load_first<Isa>(bias, args.bias + channel, n);
      }
      const V least = V{} + (args.relu ? 0.0F : -__builtin_inff());
      transform_2d<Isa, Row>(
          [&](int r, int c, V& v)
              __attribute__((always_inline)) { load<Isa>(v, from + (r * in + c) * args.plane + channel); },
          [&](int r, int c, const V& value) __attribute__((always_inline)) {
            float* const to = pixels[r * out + c] + channel;
            V v = value + bias;
            v = v < least ? least : v;  // NaN stays
            if constexpr (accumulate) {
              V before;
              if constexpr (full)
                load<Isa>(before, to);
              else
                load_first<Isa>(before, to, n);
              v += before;
            }
            if constexpr (full)
              store<Isa>(to, v);
            else
              store_first<Isa>(to, v, n);
          });
    };
    const int64_t whole = args.channels / lanes * lanes;
    for (int64_t channel = 0; channel < whole; channel += lanes) at_channel(channel, std::true_type(), lanes);
    if (whole < args.channels) at_channel(whole, std::false_type(), args.channels - whole);
  });
}

template <class Isa, class Row>
void inverse(const TileInverse& args) {
  if (args.accumulate)
    inverse_tiles<Isa, Row, true>(args);
  else
    inverse_tiles<Isa, Row, false>(args);
}

}  // namespace ptyfuse::ops::cpu
