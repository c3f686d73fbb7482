#pragma once
// The vector kernels of the Winograd convolution, one table per vector width; private to this room.
//
// F(4x4,3x3): an output tile of 4x4 pixels comes from P*P products per pair of channels, P = 6. Planes are numbered
// p = row * P + column of the transformed tile. A tile of an image that was upsampled (nearest, x2) is the same with
// P = 5: of the interpolation points 0, 1, -1, 2, -2, infinity its transform vanishes at -1, so that 25 products do.
#include <cstdint>

namespace ptyfuse::ops::cpu {

/// A run of 4x4 tiles of the images [.., height, width], numbered image by image, row by row. Tiles may reach over the
/// lower and right edges.
struct TileRun {
  int64_t height = 0, width = 0;
  int64_t first = 0, count = 0;
};

/// to[p * plane + t * row + c] = transform of the pixels around tile t, zeros outside the image.
struct TileTransform {
  TileRun tiles;
  const float* image = nullptr;  ///< pixels `pixel` floats apart
  int64_t pixel = 0;
  const float* mask = nullptr;  ///< where it is not positive, image counts as zero; or null
  int64_t mask_pixel = 0;
  int64_t channels = 0;
  bool to_bf16 = false;          ///< image is rounded to bfloat16 first
  const float* zeros = nullptr;  ///< `channels` of them
  float* to = nullptr;           ///< rows are written up to the next multiple of the vector width
  int64_t row = 0, plane = 0;
  float* sums = nullptr;  ///< gradient_for_weights adds the sums over the pixels to [channels], rounded up as rows
};

/// image = epilogue(inverse transform of from[p * plane + t * row + c]).
struct TileInverse {
  TileRun tiles;
  const float* from = nullptr;
  int64_t row = 0, plane = 0;
  int64_t channels = 0;
  const float* bias = nullptr;  ///< [channels], or null
  bool relu = false, accumulate = false;
  float* image = nullptr;
  int64_t pixel = 0;
  float* outside = nullptr;  ///< [channels], takes what falls outside the image
};

/// A product of P*P planes. Matrices b (products) or c (gradients) are packed: panels of 2 * lanes columns (the last of
/// lanes where that is enough), each [rows][columns of the panel].
struct PlaneProduct {
  int planes = 0;
  const float* a = nullptr;
  int64_t a_row = 0, a_plane = 0;
  const float* b = nullptr;
  int64_t b_row = 0, b_plane = 0;  ///< b_row: of gradients only
  float* c = nullptr;
  int64_t c_row = 0, c_plane = 0;  ///< c_row: of products only
  int64_t tiles = 0;
  int64_t inner = 0;  ///< channels of a
  int64_t outer = 0;  ///< channels of b and c
  /// Gradients: rows [row_begin, row_end) of c, of `inner`; a begins with row_begin.
  int64_t row_begin = 0, row_end = 0;
  bool accumulate = false;
};

/// Transformed weights, packed [plane][panel][k][column] as PlaneProduct has them.
struct WeightTransform {
  const float* weights = nullptr;  ///< [3,3,in_channels,out_channels]
  int64_t in_channels = 0, out_channels = 0;
  bool rotated = false;  ///< of the way back: turned by 180 degrees, rows are output channels
  bool to_bf16 = false;
  float* packed = nullptr;
  int64_t plane = 0;
  int64_t begin = 0, end = 0;  ///< of panels() * rows, rows running fastest
};

/// weights = transpose of the weights' transform applied to the sum of `copies` packed gradients.
struct WeightGradient {
  const float* packed = nullptr;
  int64_t plane = 0, copy = 0;
  int copies = 0;
  int64_t in_channels = 0, out_channels = 0;
  float* weights = nullptr;
  int64_t begin = 0, end = 0;
};

/// Index 0: plain; index 1: the convolution's input is upsampled.
struct WinogradKernels {
  int lanes = 0;
  void (*input[2])(const TileTransform&);                 ///< image: the convolution's input, at its own size
  void (*gradient_for_input[2])(const TileTransform&);    ///< image: gradient of the output
  void (*gradient_for_weights[2])(const TileTransform&);  ///< image: gradient of the output
  void (*output[2])(const TileInverse&);                  ///< image: the convolution's output
  void (*input_gradient[2])(const TileInverse&);          ///< image: gradient of the input, at its own size
  void (*products)(const PlaneProduct&);                  ///< c[tiles, outer] = a[tiles, inner] * b[inner, outer]
  void (*gradients)(const PlaneProduct&);                 ///< c[inner, outer] (+)= a[tiles, inner]^T * b[tiles, outer]
  void (*pack_weights[2])(const WeightTransform&);
  void (*weight_gradient[2])(const WeightGradient&);

  int64_t padded(int64_t channels) const { return (channels + lanes - 1) / lanes * lanes; }
  int64_t panels(int64_t channels) const { return (channels + 2 * lanes - 1) / (2 * lanes); }
};

const WinogradKernels& winograd_avx2();
const WinogradKernels& winograd_avx512();

}  // namespace ptyfuse::ops::cpu
