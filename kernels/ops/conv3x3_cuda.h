#pragma once
// The kernels of the CUDA convolution and what they are given; private to this room. Bodies: conv3x3_images_cuda.cu
// (forward and the gradient of the input), conv3x3_weights_cuda.cu (packing, and the gradients of the parameters).
#include <cstdint>

#include "kernels/device/device.h"
#include "kernels/ops/conv3x3.h"

namespace ptyfuse::ops::cuda {

/// Channels of the input that a step of the product takes: the depth of mma.m16n8k16.
inline constexpr int conv_chunk = 16;

/// How many bfloat16 stand for a value. One for Precision::bf16. Three for float32: value = high + middle + low holds
/// all 24 bits of its fraction (8 each, by rounding what is left), and of the nine products the three below 2^-24 are
/// left out. Six products at the rate of bfloat16 cost as much as three of tf32 at half of that rate, but err less
/// (tf32 keeps 2 x 11 bits), move 6 bytes through shared memory instead of 8, and load through ldmatrix with and
/// without transposition as one bfloat16 does, so that both precisions are one kernel.
inline constexpr int conv_planes(Precision precision) {
  return precision == Precision::bf16 ? 1 : 3;
}

/// Channel-last images in device memory. With `gate` (of the same shape), values count where gate > 0 and are zero
/// elsewhere. `vectors`: all runs of four channels are aligned to 16 bytes, and channels is a multiple of four.
struct ConvSource {
  const float* data = nullptr;
  const float* gate = nullptr;
  int64_t pixel_stride = 0, gate_stride = 0;
  int channels = 0;
  bool vectors = false;
};

/// The plane of a convolution's output cut into patches of 8 x 8 pixels, image by image, row by row.
struct ConvPatches {
  int height = 0, width = 0;  ///< of an image, at the output's resolution
  int across = 0, per_image = 0;
  int64_t count = 0;
};
ConvPatches conv_patches(int64_t batch, int64_t height, int64_t width);

/// Columns (output channels) that a block computes.
int conv_columns(int64_t out_channels);
/// Of weights packed for `in_channels` to `out_channels`, in bytes:
/// [column blocks][chunks][kx][planes][ky][columns][chunk] bfloat16, in each row of 16 channels the two halves of 16
/// bytes swapped as the tile kernel wants them in shared memory; zeros beyond the channels.
int64_t conv_packed_bytes(int64_t in_channels, int64_t out_channels, Precision precision);

struct ConvPackArgs {
  const float* weights = nullptr;  ///< [3,3,Cin,Cout]
  const float* bias = nullptr;     ///< [Cout], or null
  uint16_t* packed = nullptr;
  float* packed_bias = nullptr;           ///< padded with zeros to full column blocks; where bias is given
  int in_channels = 0, out_channels = 0;  ///< of the weights
  bool turned = false;                    ///< for the way back: Cin and Cout exchanged, ky and kx reversed
};
void conv_pack(Stream& stream, const ConvPackArgs& args, Precision precision);

/// out = act(bias + in * weights), or the gradient of an input from gated gradients and turned weights.
struct ConvImagesArgs {
  ConvSource in;
  const uint16_t* weights = nullptr;  ///< packed
  const float* bias = nullptr;        ///< packed; null for gradients
  float* out = nullptr;
  int64_t out_stride = 0;   ///< of pixels
  float* pooled = nullptr;  ///< forward: max-pool 2 of out [B,H/2,W/2,out_channels], H and W even; null: none
  int out_channels = 0;
  ConvPatches patches;
  bool out_pairs = false;     ///< channels 2c, 2c + 1 are aligned to 8 bytes, and out_channels is even
  bool pooled_pairs = false;  ///< so are those of pooled
  bool relu = false;
  bool upsampled = false;   ///< forward: `in` has half the height and width; gradients: `out` has, by sums of 2 x 2
  bool accumulate = false;  ///< gradients: added to out
};
void conv_forward(Stream& stream, const ConvImagesArgs& args, Precision precision);
void conv_input_gradient(Stream& stream, const ConvImagesArgs& args, Precision precision);

/// grad_weights and grad_bias. Blocks sum over runs of patches and leave partial sums in `partial`; a second kernel
/// adds these in their order. The number of runs depends on the shape alone, so that results do not depend on the GPU.
struct ConvWeightsArgs {
  ConvSource in, grad_out;
  float* partial = nullptr;  ///< conv_partial_bytes()
  float* grad_weights = nullptr;
  float* grad_bias = nullptr;
  ConvPatches patches;
  bool upsampled = false;
};
void conv_weight_gradient(Stream& stream, const ConvWeightsArgs& args, Precision precision);
int64_t conv_partial_bytes(const ConvPatches& patches, int64_t in_channels, int64_t out_channels, Precision precision);

}  // namespace ptyfuse::ops::cuda
