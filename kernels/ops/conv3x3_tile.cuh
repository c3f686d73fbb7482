#pragma once
// Patches of images in shared memory as bfloat16 planes, for the convolution's kernels; private to this room.
#include "kernels/device/mma.cuh"
#include "kernels/ops/conv3x3_cuda.h"

namespace ptyfuse::ops::cuda {

inline constexpr int patch_side = 8, halo_side = patch_side + 2;
inline constexpr int patch_pixels = patch_side * patch_side, halo_pixels = halo_side * halo_side;

/// A patch's image, and its first pixel there.
struct PatchPlace {
  int64_t image;
  int y, x;
};
__device__ __forceinline__ PatchPlace place_of(const ConvPatches& patches, int64_t patch) {
  const int64_t image = patch / patches.per_image;
  const int rest = static_cast<int>(patch - image * patches.per_image);
  return {image, rest / patches.across * patch_side, rest % patches.across * patch_side};
}

/// A pixel's channels lie in kUnits (2, 4 or 8) units of 16 bytes. Which of them holds channels 8u .. 8u+7 depends on
/// the pixel's column x, so that the eight units u that ldmatrix takes of eight neighbours in a row lie in different
/// banks, wherever the eight begin.
template <int kUnits>
__device__ __forceinline__ int unit_at(int x, int unit) {
  return unit ^ (x / (8 / kUnits) % kUnits);
}

/// Where channels [4 * four, 4 * four + 4) of a pixel lie in a plane, in bytes.
template <int kUnits>
__device__ __forceinline__ int offset_of_four(int pixel, int x, int four) {
  return pixel * (16 * kUnits) + unit_at<kUnits>(x, four / 2) * 16 + four % 2 * 8;
}

/// Four channels of a pixel on their way from device memory to shared memory. Nothing waits for them before value() is
/// asked.
template <bool kGated>
class FourChannels {
 public:
  /// `pixel` counts from the first pixel of `source`; < 0: outside of the image, zeros.
  __device__ __forceinline__ void fetch(const ConvSource& source, int64_t pixel, int channel) {
    for (int i = 0; i < 4; ++i) value_[i] = 0;
    if constexpr (kGated)
      for (int i = 0; i < 4; ++i) gate_[i] = 1;
    if (pixel < 0 || channel >= source.channels) return;
    load(source.data + pixel * source.pixel_stride + channel, source, channel, value_);
    if constexpr (kGated)
      if (source.gate != nullptr) load(source.gate + pixel * source.gate_stride + channel, source, channel, gate_);
  }
  __device__ __forceinline__ float value(int i) const {
    if constexpr (kGated) return gate_[i] > 0 ? value_[i] : 0.0F;
    return value_[i];
  }

 private:
  static __device__ __forceinline__ void load(const float* from, const ConvSource& source, int channel,
                                              float (&to)[4]) {
    if (source.vectors) {
      const float4 four = *reinterpret_cast<const float4*>(from);
      to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
    } else {
      for (int i = 0; i < 4; ++i)
        if (channel + i < source.channels) to[i] = from[i];
    }
  }
  float value_[4];
  float gate_[kGated ? 4 : 1];
};

/// Splits two values into kPlanes bfloat16 each, `low` in the lower halves.
template <int kPlanes>
__device__ __forceinline__ void split_pair(float low, float high, uint32_t (&planes)[kPlanes]) {
  for (int p = 0; p < kPlanes; ++p) {
    planes[p] = pack_bf16(low, high);
    low -= __uint_as_float(planes[p] << 16);
    high -= __uint_as_float(planes[p] & 0xffff0000U);
  }
}

/// Writes four channels to each plane; `to` in the first one.
template <int kPlanes, class Four>
__device__ __forceinline__ void store_four(unsigned char* to, int plane_bytes, const Four& four) {
  uint32_t first[kPlanes], second[kPlanes];
  split_pair<kPlanes>(four.value(0), four.value(1), first);
  split_pair<kPlanes>(four.value(2), four.value(3), second);
  for (int p = 0; p < kPlanes; ++p) *reinterpret_cast<uint2*>(to + p * plane_bytes) = make_uint2(first[p], second[p]);
}

/// d[m] += the products of planes a and b of one step, for kTiles tiles that share b. Three planes: small products come
/// first, and their sum is added to d by float32 additions that round to nearest, since tensor cores truncate what they
/// accumulate: over hundreds of steps that would cost more bits than the splitting keeps.
template <int kPlanes, int kTiles>
__device__ __forceinline__ void multiply_planes(float (&d)[kTiles][4], const uint32_t (&a)[kPlanes][kTiles][4],
                                                const uint32_t (&b)[kPlanes][2]) {
  if constexpr (kPlanes == 1) {
#pragma unroll
    for (int m = 0; m < kTiles; ++m) mma_m16n8k16_bf16(d[m], a[0][m], b[0]);
  } else {
    float sum[kTiles][4] = {};
#pragma unroll
    for (int order = kPlanes - 1; order >= 0; --order)
#pragma unroll
      for (int p = 0; p <= order; ++p)
#pragma unroll
        for (int m = 0; m < kTiles; ++m) mma_m16n8k16_bf16(sum[m], a[p][m], b[order - p]);
#pragma unroll
    for (int m = 0; m < kTiles; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i) d[m][i] += sum[m][i];
  }
}

}  // namespace ptyfuse::ops::cuda
