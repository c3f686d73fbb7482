#include "kernels/ops/reassemble_cuda.h"

#include <cstddef>
#include <cstring>

#include "kernels/device/scratch.h"
#include "kernels/ops/elementwise.cuh"
#include "kernels/ops/reassemble_tiles.h"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int tile_width = 32, tile_height = 16, rows = 2;  // rows of a thread
constexpr int block_threads = tile_width * tile_height / rows;
constexpr int staged = 64;  // placements in shared memory at once

struct ReassembleArgs {
  const float2* patches;
  int64_t patch_stride, row_stride;
  int64_t side;
  const float* weight;
  float2* weighted;
  float* weight_sum;
  int64_t height, width;
  const PatchPlacement* placements;
  const StitchTile* tiles;
  const int32_t* touching;
};

struct StagedPatch {
  const float2* data;
  PatchPlacement at;
};

/// Weight * patch and weight, and their sums.
struct Stitched {
  float re, im, weight;
};

/// stay * a + move * b, rounded the same wherever the compiler puts it.
__device__ __forceinline__ float mix(float stay, float a, float move, float b) {
  return fmaf(move, b, __fmul_rn(stay, a));
}
__device__ __forceinline__ Stitched mix(float stay, const Stitched& a, float move, const Stitched& b) {
  return {mix(stay, a.re, move, b.re), mix(stay, a.im, move, b.im), mix(stay, a.weight, move, b.weight)};
}

/// Nothing outside of the patch, and where the weight is 0, whatever the patch holds there.
__device__ __forceinline__ Stitched weighted_pixel(const ReassembleArgs& args, const float2* patch, int64_t i,
                                                   int64_t j) {
  if (i < 0 || i >= args.side || j < 0 || j >= args.side) return {0, 0, 0};
  const float w = args.weight[i * args.side + j];
  const float2 p = patch[i * args.row_stride + j];
  return {w != 0 ? __fmul_rn(w, p.x) : 0.0F, w != 0 ? __fmul_rn(w, p.y) : 0.0F, w};
}

// Tiling: a block owns a tile of 16 x 32 canvas pixels and walks the patches that touch it in their order; a thread
// keeps the sums of two rows of a column in registers. Each patch is one addition to a pixel's sum, so neither the
// batches nor the grid change its rounding.
__global__ void __launch_bounds__(block_threads, 4) reassemble_kernel(ReassembleArgs args) {
  StagedPatch* const stage = dynamic_smem<StagedPatch>();
  const StitchTile tile = args.tiles[blockIdx.x];
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t x = tile.x + thread % tile_width, y = tile.y + rows * (thread / tile_width);
  Stitched sums[rows] = {};
#pragma unroll
  for (int r = 0; r < rows; ++r)
    if (y + r < args.height && x < args.width) {
      const float2 w = args.weighted[(y + r) * args.width + x];
      sums[r] = {w.x, w.y, args.weight_sum[(y + r) * args.width + x]};
    }
  for (int64_t first = tile.begin; first < tile.end; first += staged) {
    const int count = static_cast<int>(tile.end - first < staged ? tile.end - first : staged);
    __syncthreads();
    if (thread < count) {
      const int64_t s = args.touching[first + thread];
      stage[thread] = {args.patches + s * args.patch_stride, args.placements[s]};
    }
    __syncthreads();
    for (int k = 0; k < count; ++k) {
      const StagedPatch& patch = stage[k];
      const int64_t i = y - patch.at.row, j = x - patch.at.column;
      if (i + rows <= 0 || i > args.side || j < 0 || j > args.side) continue;
      Stitched along[rows + 1];  // interpolated along x: patch rows i - 1 .. i + rows - 1
#pragma unroll
      for (int r = 0; r <= rows; ++r)
        along[r] = mix(patch.at.stay_x, weighted_pixel(args, patch.data, i + r - 1, j), patch.at.move_x,
                       weighted_pixel(args, patch.data, i + r - 1, j - 1));
#pragma unroll
      for (int r = 0; r < rows; ++r) {
        const Stitched term = mix(patch.at.stay_y, along[r + 1], patch.at.move_y, along[r]);
        sums[r] = {__fadd_rn(sums[r].re, term.re), __fadd_rn(sums[r].im, term.im),
                   __fadd_rn(sums[r].weight, term.weight)};
      }
    }
  }
#pragma unroll
  for (int r = 0; r < rows; ++r)
    if (y + r < args.height && x < args.width) {
      args.weighted[(y + r) * args.width + x] = make_float2(sums[r].re, sums[r].im);
      args.weight_sum[(y + r) * args.width + x] = sums[r].weight;
    }
}

// Walks the object by its floats, two for each weight, so that every access of a warp is one run of memory.
struct FinishArgs {
  const float* weighted;
  const float* weight;
  float* object;

  static __device__ float divided(float sum, float weight) { return sum / (weight + 1e-9F); }

  struct Loaded {
    float4 sums;
    float2 weight;
  };
  __device__ Loaded load4(int64_t i) const {
    return {four(weighted, i), *reinterpret_cast<const float2*>(weight + i / 2)};
  }
  __device__ void store4(int64_t i, const Loaded& l) const {
    four(object, i) = make_float4(divided(l.sums.x, l.weight.x), divided(l.sums.y, l.weight.x),
                                  divided(l.sums.z, l.weight.y), divided(l.sums.w, l.weight.y));
  }
  __device__ void apply1(int64_t i) const { object[i] = divided(weighted[i], weight[i / 2]); }
};

/// The work lists in the device's memory, by one copy.
class UploadedTiles {
 public:
  UploadedTiles(Stream& stream, const StitchTiles& lists)
      : placements_bytes_(bytes(lists.placements)),
        tiles_bytes_(bytes(lists.tiles)),
        memory_(stream, static_cast<int64_t>(placements_bytes_ + tiles_bytes_ + bytes(lists.patches)),
                "lists of stitching") {
    // Lists of larger elements first: each is aligned behind the one before.
    static_assert(alignof(PatchPlacement) >= alignof(StitchTile) && alignof(StitchTile) >= alignof(int32_t));
    std::vector<std::byte> all(placements_bytes_ + tiles_bytes_ + bytes(lists.patches));
    std::memcpy(all.data(), lists.placements.data(), placements_bytes_);
    std::memcpy(all.data() + placements_bytes_, lists.tiles.data(), tiles_bytes_);
    std::memcpy(all.data() + placements_bytes_ + tiles_bytes_, lists.patches.data(), bytes(lists.patches));
    copy_bytes_to_device(stream, memory_.data(), all.data(), static_cast<int64_t>(all.size()));
  }
  const PatchPlacement* placements() const { return reinterpret_cast<const PatchPlacement*>(memory_.data()); }
  const StitchTile* tiles() const { return reinterpret_cast<const StitchTile*>(memory_.data() + placements_bytes_); }
  const int32_t* touching() const {
    return reinterpret_cast<const int32_t*>(memory_.data() + placements_bytes_ + tiles_bytes_);
  }

 private:
  template <class T>
  static size_t bytes(const std::vector<T>& list) {
    return list.size() * sizeof(T);
  }
  size_t placements_bytes_, tiles_bytes_;
  Scratch<std::byte> memory_;
};

}  // namespace

void reassemble(Stream& stream, TensorView<const complex64> patches, std::span<const double> corner_px,
                TensorView<const float> weight, const StitchSums& sums) {
  const int64_t side = patches.extent(1), height = sums.weight.extent(0), width = sums.weight.extent(1);
  if (patches.empty() || sums.weight.empty()) return;
  const StitchTiles lists = sort_into_tiles(corner_px, side, height, width, tile_height, tile_width);
  if (lists.tiles.empty()) return;
  const UploadedTiles uploaded(stream, lists);
  launch(reassemble_kernel, dim3(static_cast<unsigned>(lists.tiles.size())), dim3(block_threads),
         staged * sizeof(StagedPatch), stream)(
      ReassembleArgs{reinterpret_cast<const float2*>(patches.data()), patches.stride(0), patches.stride(1), side,
                     weight.data(), reinterpret_cast<float2*>(sums.weighted.data()), sums.weight.data(), height, width,
                     uploaded.placements(), uploaded.tiles(), uploaded.touching()});
}

void reassemble_finish(Stream& stream, const StitchSums& sums, TensorView<complex64> object) {
  const bool fours = aligned16(sums.weighted.data()) && aligned16(object.data()) &&
                     reinterpret_cast<uintptr_t>(sums.weight.data()) % 8 == 0;
  const int64_t count = 2 * object.elements();
  launch_elementwise<2>(stream,
                        FinishArgs{reinterpret_cast<const float*>(sums.weighted.data()), sums.weight.data(),
                                   reinterpret_cast<float*>(object.data())},
                        fours ? Fours{count, 0, count / 4} : Fours{count, count, 0});
}

}  // namespace ptyfuse::ops::cuda
