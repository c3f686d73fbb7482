// Packing of weights for the tile kernel, and the gradients of weights and bias.
//
// The gradients are a product of input channels by output channels over pixels, for nine taps. A block takes 16 or 32
// input channels by 32 or 64 output channels, all taps, and a run of patches of 8 x 8 pixels: the patch of the input
// with its border of one pixel, and that of the gradient, lie in shared memory as bfloat16 planes, and ldmatrix turns
// both. A warp has one column of taps (kx), all its input channels and 32 output channels; the rows of the patch that
// it loads for one ky serve the others, too. The next patch is fetched to registers in four parts while this one is
// multiplied.
#include "kernels/ops/conv3x3_tile.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int steps_of_patch = 4;  // two rows of 8 pixels each: the depth of mma.m16n8k16

/// Rows of a run's partial sums: 9 * Cin of the weights, one of the bias.
__host__ __device__ __forceinline__ int64_t partial_rows(int64_t in_channels) {
  return 9 * in_channels + 1;
}

/// Floats from one run's partial sums to the next: whole sectors of 32 bytes.
__host__ __device__ __forceinline__ int64_t partial_stride(int64_t in_channels, int64_t out_channels) {
  return (partial_rows(in_channels) * out_channels + 7) / 8 * 8;
}

/// How the patches are shared out among blocks. About two blocks for each multiprocessor of the largest GPUs (132): a
/// number of our own, for results must not depend on the GPU. A run of fewer than 4 patches is not worth its sums.
struct Runs {
  int64_t in_blocks, out_blocks, patches_per_run, count;
  int64_t most;  // the largest count of so many patches and of any fewer: fewer may make more runs
  Runs(int64_t patches, int64_t in_channels, int64_t out_channels, int in_tile, int out_tile)
      : in_blocks((in_channels + in_tile - 1) / in_tile), out_blocks((out_channels + out_tile - 1) / out_tile) {
    constexpr int64_t blocks_wanted = 264, least_patches = 4;
    const int64_t wanted = (blocks_wanted + in_blocks * out_blocks - 1) / (in_blocks * out_blocks);
    patches_per_run = (patches + wanted - 1) / wanted;
    if (patches_per_run < least_patches) patches_per_run = least_patches;
    count = (patches + patches_per_run - 1) / patches_per_run;
    const int64_t short_runs = (patches + least_patches - 1) / least_patches;
    most = short_runs < wanted ? short_runs : wanted;
  }
};

int in_tile_of(int64_t in_channels, Precision precision) {
  return in_channels <= 16 || precision == Precision::fp32 ? 16 : 32;
}
int out_tile_of(int64_t out_channels) {
  return out_channels <= 32 ? 32 : 64;
}
Runs runs_of(const ConvPatches& patches, int64_t in_channels, int64_t out_channels, Precision precision) {
  return {patches.count, in_channels, out_channels, in_tile_of(in_channels, precision), out_tile_of(out_channels)};
}

// --- Packing. A block packs a column of taps (kx) of one chunk for one column block.

constexpr int pack_threads = 256;

template <int kPlanes>
__global__ void pack(const ConvPackArgs args, const int columns, const int chunks, const int channels_in,
                     const int channels_out) {
  // A pad of two floats a row: neither the rows nor the columns of a read then share banks.
  float* tile = dynamic_smem<float>();
  const int row_floats = columns + 2;
  const int thread = static_cast<int>(threadIdx.x);
  const int kx = static_cast<int>(blockIdx.x) % 3, chunk = static_cast<int>(blockIdx.x) / 3 % chunks;
  const int first_column = static_cast<int>(blockIdx.x) / 3 / chunks * columns;

  const int weights_of_tap = conv_chunk * columns;
  for (int i = thread; i < 3 * weights_of_tap; i += pack_threads) {
    const int ky = i / weights_of_tap, rest = i % weights_of_tap;
    // Neighbouring threads read neighbouring output channels of the weights.
    const int row = args.turned ? rest % conv_chunk : rest / columns;
    const int column = args.turned ? rest / conv_chunk : rest % columns;
    const int from = chunk * conv_chunk + row, to = first_column + column;
    float weight = 0;
    if (from < channels_in && to < channels_out) {
      const int tap = args.turned ? (2 - ky) * 3 + 2 - kx : ky * 3 + kx;
      const int in = args.turned ? to : from, out = args.turned ? from : to;
      weight = args.weights[(static_cast<int64_t>(tap) * args.in_channels + in) * args.out_channels + out];
    }
    tile[(ky * conv_chunk + row) * row_floats + column] = weight;
  }
  if (args.bias != nullptr && kx == 0 && chunk == 0)
    for (int i = thread; i < columns; i += pack_threads)
      args.packed_bias[first_column + i] = first_column + i < channels_out ? args.bias[first_column + i] : 0.0F;
  __syncthreads();

  constexpr int pairs = conv_chunk / 2;
  auto* packed =
      reinterpret_cast<uint32_t*>(args.packed) + static_cast<int64_t>(blockIdx.x) * kPlanes * 3 * columns * pairs;
  for (int i = thread; i < 3 * columns * pairs; i += pack_threads) {
    const int pair = i % pairs, column = i / pairs % columns, ky = i / (columns * pairs);
    const float* from = tile + (ky * conv_chunk + 2 * pair) * row_floats + column;
    uint32_t planes[kPlanes];
    split_pair<kPlanes>(from[0], from[row_floats], planes);
    uint32_t* to = packed + (ky * columns + column) * pairs + unit_at<conv_chunk / 8>(column, pair / 4) * 4 + pair % 4;
    for (int p = 0; p < kPlanes; ++p) to[p * 3 * columns * pairs] = planes[p];
  }
}

// --- Gradients

template <int kPlanes, int kTilesM, int kWarpsN>
struct Shared {
  static constexpr int threads = 96 * kWarpsN;
  static constexpr int in_channels = 16 * kTilesM, out_channels = 32 * kWarpsN;
  static constexpr int in_units = in_channels / 8, out_units = out_channels / 8;
  static constexpr int in_plane = halo_pixels * in_channels * 2, out_plane = patch_pixels * out_channels * 2;
  struct Stage {
    alignas(128) unsigned char in[kPlanes * in_plane];
    alignas(128) unsigned char out[kPlanes * out_plane];
  };
  Stage stage[2];
  float4 bias[threads];
};

template <int kPlanes>
__device__ __forceinline__ float as_multiplied(float value) {
  return kPlanes == 1 ? __uint_as_float(pack_bf16(value, 0) << 16) : value;
}

template <int kPlanes, int kTilesM, int kWarpsN>
__global__ void __launch_bounds__(96 * kWarpsN, 2) sum_products(const ConvWeightsArgs args, const Runs runs) {
  using Layout = Shared<kPlanes, kTilesM, kWarpsN>;
  constexpr int threads = Layout::threads;
  constexpr int in_fours = halo_pixels * Layout::in_channels / 4, out_fours = patch_pixels * Layout::out_channels / 4;
  constexpr int in_rounds = (in_fours + threads - 1) / threads, out_rounds = (out_fours + threads - 1) / threads;
  constexpr int in_rounds_of_step = (in_rounds + steps_of_patch - 1) / steps_of_patch;
  constexpr int out_rounds_of_step = (out_rounds + steps_of_patch - 1) / steps_of_patch;
  Layout& shared = *dynamic_smem<Layout>();

  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int64_t tiles = runs.in_blocks * runs.out_blocks;
  const int64_t run = blockIdx.x / tiles, tile = blockIdx.x % tiles;
  const int first_in = static_cast<int>(tile / runs.out_blocks) * Layout::in_channels;
  const int first_out = static_cast<int>(tile % runs.out_blocks) * Layout::out_channels;
  const int64_t begin = run * runs.patches_per_run;
  const int64_t end = min(begin + runs.patches_per_run, args.patches.count);
  const int height = args.patches.height, width = args.patches.width, shrink = args.upsampled ? 1 : 0;
  const int64_t in_pixels = static_cast<int64_t>(height >> shrink) * (width >> shrink);
  const int64_t out_pixels = static_cast<int64_t>(height) * width;

  PatchPlace next = place_of(args.patches, begin);
  const auto advance = [&] {
    next.x += patch_side;
    if (next.x < width) return;
    next.x = 0;
    next.y += patch_side;
    if (next.y < height) return;
    next.y = 0;
    ++next.image;
  };
  const auto fetch_in = [&](FourChannels<false>& four, int round) {
    const int i = thread + round * threads, pixel = i / (Layout::in_channels / 4);
    if (i >= in_fours) return;
    const int y = next.y + pixel / halo_side - 1, x = next.x + pixel % halo_side - 1;
    const bool inside = y >= 0 && x >= 0 && y < height && x < width;
    four.fetch(args.in, inside ? next.image * in_pixels + (y >> shrink) * (width >> shrink) + (x >> shrink) : -1,
               first_in + i % (Layout::in_channels / 4) * 4);
  };
  const auto store_in = [&](const FourChannels<false>& four, unsigned char* to, int round) {
    const int i = thread + round * threads, pixel = i / (Layout::in_channels / 4);
    if (i < in_fours)
      store_four<kPlanes>(
          to + offset_of_four<Layout::in_units>(pixel, pixel % halo_side, i % (Layout::in_channels / 4)),
          Layout::in_plane, four);
  };
  const auto fetch_out = [&](FourChannels<true>& four, int round) {
    const int i = thread + round * threads, pixel = i / (Layout::out_channels / 4);
    if (i >= out_fours) return;
    const int y = next.y + pixel / patch_side, x = next.x + pixel % patch_side;
    four.fetch(args.grad_out, y < height && x < width ? next.image * out_pixels + y * width + x : -1,
               first_out + i % (Layout::out_channels / 4) * 4);
  };
  // `threads` is a multiple of the fours of a pixel: a thread meets the same four channels in all its rounds.
  float bias[4] = {0, 0, 0, 0};
  const auto store_out = [&](const FourChannels<true>& four, unsigned char* to, int round) {
    const int i = thread + round * threads, pixel = i / (Layout::out_channels / 4);
    if (i >= out_fours) return;
    store_four<kPlanes>(
        to + offset_of_four<Layout::out_units>(pixel, pixel % patch_side, i % (Layout::out_channels / 4)),
        Layout::out_plane, four);
#pragma unroll
    for (int c = 0; c < 4; ++c) bias[c] += as_multiplied<kPlanes>(four.value(c));
  };

#pragma unroll
  for (int round = 0; round < in_rounds; ++round) {
    FourChannels<false> four;
    fetch_in(four, round);
    store_in(four, shared.stage[0].in, round);
  }
#pragma unroll
  for (int round = 0; round < out_rounds; ++round) {
    FourChannels<true> four;
    fetch_out(four, round);
    store_out(four, shared.stage[0].out, round);
  }

  // ldmatrix, transposed: lanes 8i .. 8i+7 give 8 pixels of matrix i. Of the input: (row, unit) = (r, 0), (r, 1),
  // (r+1, 0), (r+1, 1); of the gradient: (r, 0), (r+1, 0), (r, 1), (r+1, 1).
  const int kx = warp % 3, first_unit = warp / 3 * 4, matrix = lane / 8, member = lane % 8;
  const int in_row = (matrix / 2 * halo_side + member + kx) * Layout::in_channels * 2;
  const int out_row = (matrix % 2 * patch_side + member) * Layout::out_channels * 2;
  int in_offset[kTilesM], out_offset[2];
#pragma unroll
  for (int m = 0; m < kTilesM; ++m)
    in_offset[m] = in_row + unit_at<Layout::in_units>(member + kx, 2 * m + matrix % 2) * 16;
#pragma unroll
  for (int n = 0; n < 2; ++n)
    out_offset[n] = out_row + unit_at<Layout::out_units>(member, first_unit + 2 * n + matrix / 2) * 16;
  const bool active = first_out + first_unit * 8 < args.grad_out.channels;

  float sums[3][4][kTilesM][4] = {};
  for (int64_t patch = begin; patch < end; ++patch) {
    __syncthreads();
    const auto& stage = shared.stage[(patch - begin) % 2];
    auto& other = shared.stage[(patch - begin + 1) % 2];
    const bool more = patch + 1 < end;
    advance();
    // Three rows of ky share what lies in four rows of pixels: those of this step and those of the next, which one
    // plane keeps. Three planes would not fit into registers, and load rows anew, which six products for each hide.
    constexpr bool kept = kPlanes == 1;
    uint32_t rows[kept ? 2 : 1][kTilesM][4];
    const auto load_rows = [&](uint32_t(&to)[kTilesM][4], int plane, int row) {
#pragma unroll
      for (int m = 0; m < kTilesM; ++m)
        ldmatrix<true>(
            to[m], stage.in + plane * Layout::in_plane + in_offset[m] + row * (halo_side * Layout::in_channels * 2));
    };
    if constexpr (kept)
      if (active) load_rows(rows[1], 0, 0);
#pragma unroll 1
    for (int step = 0; step < steps_of_patch; ++step) {
      FourChannels<false> staged_in[in_rounds_of_step];
      FourChannels<true> staged_out[out_rounds_of_step];
      if (more) {
#pragma unroll
        for (int j = 0; j < in_rounds_of_step; ++j)
          if (step + steps_of_patch * j < in_rounds) fetch_in(staged_in[j], step + steps_of_patch * j);
#pragma unroll
        for (int j = 0; j < out_rounds_of_step; ++j)
          if (step + steps_of_patch * j < out_rounds) fetch_out(staged_out[j], step + steps_of_patch * j);
      }
      if (active) {
        if constexpr (kept) {
#pragma unroll
          for (int m = 0; m < kTilesM; ++m)
#pragma unroll
            for (int i = 0; i < 4; ++i) rows[0][m][i] = rows[1][m][i];
          load_rows(rows[1], 0, 2 * step + 2);
        }
        uint32_t loaded[2][kPlanes][4];
#pragma unroll
        for (int n = 0; n < 2; ++n)
#pragma unroll
          for (int p = 0; p < kPlanes; ++p)
            ldmatrix<true>(loaded[n][p], stage.out + p * Layout::out_plane + out_offset[n] +
                                             step * (2 * patch_side * Layout::out_channels * 2));
#pragma unroll
        for (int ky = 0; ky < 3; ++ky) {
          uint32_t a[kPlanes][kTilesM][4];
          if constexpr (kept) {
#pragma unroll
            for (int m = 0; m < kTilesM; ++m)
#pragma unroll
              for (int i = 0; i < 4; ++i) a[0][m][i] = rows[(i / 2 + ky) / 2][m][(i / 2 + ky) % 2 * 2 + i % 2];
          } else {
#pragma unroll
            for (int p = 0; p < kPlanes; ++p) load_rows(a[p], p, 2 * step + ky);
          }
#pragma unroll
          for (int n = 0; n < 4; ++n) {
            uint32_t b[kPlanes][2];
#pragma unroll
            for (int p = 0; p < kPlanes; ++p)
              b[p][0] = loaded[n / 2][p][n % 2 * 2], b[p][1] = loaded[n / 2][p][n % 2 * 2 + 1];
            multiply_planes<kPlanes>(sums[ky][n], a, b);
          }
        }
      }
      if (more) {
#pragma unroll
        for (int j = 0; j < in_rounds_of_step; ++j)
          if (step + steps_of_patch * j < in_rounds) store_in(staged_in[j], other.in, step + steps_of_patch * j);
#pragma unroll
        for (int j = 0; j < out_rounds_of_step; ++j)
          if (step + steps_of_patch * j < out_rounds) store_out(staged_out[j], other.out, step + steps_of_patch * j);
      }
    }
  }

  shared.bias[thread] = make_float4(bias[0], bias[1], bias[2], bias[3]);
  __syncthreads();
  const int in_channels = args.in.channels, out_channels = args.grad_out.channels;
  float* partial = args.partial + run * partial_stride(in_channels, out_channels);
  if (first_in == 0 && thread < Layout::out_channels && first_out + thread < out_channels) {
    const auto* of_thread = reinterpret_cast<const float*>(shared.bias);
    float sum = 0;
    for (int i = thread; i < 4 * threads; i += Layout::out_channels) sum += of_thread[i];
    partial[(partial_rows(in_channels) - 1) * out_channels + first_out + thread] = sum;
  }
  if (!active) return;
    // A lane holds output channels 2t, 2t+1 of each tile for input channels g and g + 8, g = lane / 4, t = lane % 4.
#pragma unroll
  for (int ky = 0; ky < 3; ++ky)
#pragma unroll
    for (int n = 0; n < 4; ++n)
#pragma unroll
      for (int m = 0; m < kTilesM; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int in = first_in + m * 16 + half * 8 + lane / 4;
          const int out = first_out + first_unit * 8 + n * 8 + lane % 4 * 2;
          if (in >= in_channels || out >= out_channels) continue;
          float* to = partial + (static_cast<int64_t>(ky * 3 + kx) * in_channels + in) * out_channels + out;
          const float first = sums[ky][n][m][2 * half], second = sums[ky][n][m][2 * half + 1];
          if (out_channels % 2 == 0) {
            *reinterpret_cast<float2*>(to) = make_float2(first, second);
          } else {
            to[0] = first;
            if (out + 1 < out_channels) to[1] = second;
          }
        }
}

// A block adds the runs' sums of 32 elements: each warp takes every eighth run, then the warps' sums are added in
// order.
constexpr int reduce_warps = 8;

__global__ void add_runs(const ConvWeightsArgs args, const int64_t runs) {
  float* sums = dynamic_smem<float>();
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t elements = partial_rows(args.in.channels) * args.grad_out.channels;
  const int64_t stride = partial_stride(args.in.channels, args.grad_out.channels);
  const int64_t element = static_cast<int64_t>(blockIdx.x) * 32 + lane;
  float sum = 0;
  if (element < elements)
    for (int64_t run = warp; run < runs; run += reduce_warps) sum += args.partial[run * stride + element];
  sums[warp * 32 + lane] = sum;
  __syncthreads();
  if (warp != 0 || element >= elements) return;
  for (int w = 1; w < reduce_warps; ++w) sum += sums[w * 32 + lane];
  const int64_t weights = elements - args.grad_out.channels;
  (element < weights ? args.grad_weights[element] : args.grad_bias[element - weights]) = sum;
}

template <int kPlanes, int kTilesM, int kWarpsN>
void launch_products(Stream& stream, const ConvWeightsArgs& args, const Runs& runs) {
  using Layout = Shared<kPlanes, kTilesM, kWarpsN>;
  launch(sum_products<kPlanes, kTilesM, kWarpsN>,
         dim3(static_cast<unsigned>(runs.count * runs.in_blocks * runs.out_blocks)), dim3(Layout::threads),
         sizeof(Layout), stream)(args, runs);
}

template <int kPlanes, int kTilesM>
void choose_out_tile(Stream& stream, const ConvWeightsArgs& args, const Runs& runs) {
  if (out_tile_of(args.grad_out.channels) == 32) return launch_products<kPlanes, kTilesM, 1>(stream, args, runs);
  launch_products<kPlanes, kTilesM, 2>(stream, args, runs);
}

}  // namespace

void conv_pack(Stream& stream, const ConvPackArgs& args, Precision precision) {
  const int channels_in = args.turned ? args.out_channels : args.in_channels;
  const int channels_out = args.turned ? args.in_channels : args.out_channels;
  const int columns = conv_columns(channels_out), chunks = (channels_in + conv_chunk - 1) / conv_chunk;
  const int column_blocks = (channels_out + columns - 1) / columns;
  const int planes = conv_planes(precision);
  launch(planes == 1 ? pack<1> : pack<3>, dim3(static_cast<unsigned>(3 * chunks * column_blocks)), dim3(pack_threads),
         static_cast<int64_t>(sizeof(float)) * 3 * conv_chunk * (columns + 2),
         stream)(args, columns, chunks, channels_in, channels_out);
}

void conv_weight_gradient(Stream& stream, const ConvWeightsArgs& args, Precision precision) {
  const Runs runs = runs_of(args.patches, args.in.channels, args.grad_out.channels, precision);
  switch (precision) {
    case Precision::bf16:
      if (in_tile_of(args.in.channels, precision) == 16)
        choose_out_tile<1, 1>(stream, args, runs);
      else
        choose_out_tile<1, 2>(stream, args, runs);
      break;
    case Precision::fp32:
      // Its three planes and six products fill the registers with 16 input channels.
      choose_out_tile<3, 1>(stream, args, runs);
      break;
  }
  const int64_t elements = partial_rows(args.in.channels) * args.grad_out.channels;
  launch(add_runs, dim3(static_cast<unsigned>((elements + 31) / 32)), dim3(32 * reduce_warps),
         static_cast<int64_t>(sizeof(float)) * 32 * reduce_warps, stream)(args, runs.count);
}

int64_t conv_partial_bytes(const ConvPatches& patches, int64_t in_channels, int64_t out_channels, Precision precision) {
  return runs_of(patches, in_channels, out_channels, precision).most * partial_stride(in_channels, out_channels) *
         static_cast<int64_t>(sizeof(float));
}

}  // namespace ptyfuse::ops::cuda
