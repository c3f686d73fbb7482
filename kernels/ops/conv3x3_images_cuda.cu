// Forward, and the gradient of the input: one implicit product of pixels by output channels over channels by taps.
//
// A block computes 3 or 4 patches of 8 x 8 pixels by 16, 32 or 64 columns (output channels); a warp one patch by 16 or
// 32 columns. For every 16 channels of the input the block converts its patches with their border of one pixel to
// bfloat16 planes in shared memory, once for all nine taps, and takes the weights of a column of taps (kx) at a time by
// cp.async. A warp loads the ten rows of its patch at offset kx once and multiplies them by three taps (ky): the rows
// 2m + ky, 2m + ky + 1 of 8 pixels are the 16 rows of its m-th product. While it multiplies, the next channels are
// already on their way: a third of them is fetched to registers before each kx, and stored behind it. A patch's maxima
// over 2 x 2 pixels are worked out from its sums, in registers.
#include "kernels/device/async_copy.cuh"
#include "kernels/device/warp.cuh"
#include "kernels/ops/conv3x3_tile.cuh"
#include "kernels/ops/float_run.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int units = conv_chunk / 8;  // of 16 bytes, of a pixel or a column of weights
constexpr int row_bytes = 16 * units;  // of these
constexpr int weight_stages = 3;

template <int kPlanes, int kWarpsN, int kTilesN, bool kBackward>
struct Tile {
  // With six warps of up to 168 registers, a multiprocessor holds two blocks; with eight, for four patches, one.
  static constexpr int patches = kWarpsN == 2 ? 3 : 4;
  static constexpr int threads = 32 * patches * kWarpsN, columns = 8 * kTilesN * kWarpsN;
  // Blocks of a multiprocessor. Three planes and staged gates do not fit into 168 registers.
  static constexpr int least_blocks = kPlanes == 1 ? (kWarpsN == 2 ? 2 : 3) : (kWarpsN == 2 && kBackward ? 1 : 2);
  static constexpr int pixels = patches * halo_pixels, fours = pixels * conv_chunk / 4;
  static constexpr int image_plane = pixels * row_bytes;
  static constexpr int weight_tap = columns * row_bytes, weight_plane = 3 * weight_tap;
  struct Shared {
    alignas(128) unsigned char image[2][kPlanes * image_plane];
    alignas(128) unsigned char weights[weight_stages][kPlanes * weight_plane];
    int pixel[pixels];  // of the source, counted from the block's first image; -1: outside
  };
};

template <int kPlanes, int kWarpsN, int kTilesN, bool kBackward>
__global__ void __launch_bounds__(Tile<kPlanes, kWarpsN, kTilesN, kBackward>::threads,
                                  Tile<kPlanes, kWarpsN, kTilesN, kBackward>::least_blocks)
    convolve(const ConvImagesArgs args, const int column_blocks) {
  using T = Tile<kPlanes, kWarpsN, kTilesN, kBackward>;
  constexpr int threads = T::threads, columns = T::columns;
  constexpr int rounds = (T::fours + threads - 1) / threads, rounds_of_step = (rounds + 2) / 3;
  auto& shared = *dynamic_smem<typename T::Shared>();

  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int column_block = static_cast<int>(blockIdx.x % static_cast<unsigned>(column_blocks));
  const int64_t first_patch = static_cast<int64_t>(blockIdx.x / static_cast<unsigned>(column_blocks)) * T::patches;
  const int64_t first_image = first_patch / args.patches.per_image;
  const int shrink = !kBackward && args.upsampled ? 1 : 0;
  const int source_height = args.patches.height >> shrink, source_width = args.patches.width >> shrink;
  const int chunks = (args.in.channels + conv_chunk - 1) / conv_chunk, steps = 3 * chunks;

  for (int i = thread; i < T::pixels; i += threads) {
    const int64_t patch = first_patch + i / halo_pixels;
    int pixel = -1;
    if (patch < args.patches.count) {
      const PatchPlace place = place_of(args.patches, patch);
      const int y = place.y + i % halo_pixels / halo_side - 1, x = place.x + i % halo_side - 1;
      if (y >= 0 && x >= 0 && y < args.patches.height && x < args.patches.width)
        pixel = (static_cast<int>(place.image - first_image) * source_height + (y >> shrink)) * source_width +
                (x >> shrink);
    }
    shared.pixel[i] = pixel;
  }
  ConvSource source = args.in;
  const int64_t pixels_before = first_image * source_height * source_width;
  source.data += pixels_before * source.pixel_stride;
  if (kBackward && source.gate != nullptr) source.gate += pixels_before * source.gate_stride;

  const auto fetch = [&](FourChannels<kBackward>& four, int chunk, int round) {
    const int i = thread + round * threads;
    if (i < T::fours)
      four.fetch(source, shared.pixel[i / (conv_chunk / 4)], chunk * conv_chunk + i % (conv_chunk / 4) * 4);
  };
  const auto store = [&](const FourChannels<kBackward>& four, int chunk, int round) {
    const int i = thread + round * threads, pixel = i / (conv_chunk / 4);
    if (i < T::fours)
      store_four<kPlanes>(
          shared.image[chunk % 2] + offset_of_four<units>(pixel, pixel % halo_side, i % (conv_chunk / 4)),
          T::image_plane, four);
  };
  const auto copy_weights = [&](int step) {
    constexpr int pieces = kPlanes * T::weight_plane / 16;
    const auto* from = reinterpret_cast<const unsigned char*>(args.weights) +
                       (static_cast<int64_t>(column_block) * steps + step) * pieces * 16;
    if (step < steps)
      for (int i = thread; i < pieces; i += threads)
        cp_async(shared.weights[step % weight_stages] + i * 16, from + i * 16);
    cp_async_commit();
  };

  copy_weights(0);
  copy_weights(1);
  __syncthreads();
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    FourChannels<kBackward> four;
    fetch(four, 0, round);
    store(four, 0, round);
  }

  // ldmatrix: lanes 8i .. 8i+7 give the rows of matrix i. Of images: (row, unit) = (r, 0), (r+1, 0), (r, 1), (r+1, 1);
  // of weights: (columns, unit) = (c, 0), (c, 1), (c+8, 0), (c+8, 1).
  const int patch = warp % T::patches, first_column = warp / T::patches * 8 * kTilesN;
  const int matrix = lane / 8, member = lane % 8;
  const int weight_column = first_column + matrix / 2 * 8 + member;
  const int weight_offset = weight_column * row_bytes + unit_at<units>(weight_column, matrix % 2) * 16;
  const bool active =
      first_patch + patch < args.patches.count && column_block * columns + first_column < args.out_channels;

  float sums[kTilesN][4][4] = {};
  for (int chunk = 0; chunk < chunks; ++chunk) {
#pragma unroll 1
    for (int kx = 0; kx < 3; ++kx) {
      const int step = 3 * chunk + kx;
      cp_async_wait<1>();
      __syncthreads();
      copy_weights(step + 2);
      FourChannels<kBackward> staged[rounds_of_step];
      if (chunk + 1 < chunks)
#pragma unroll
        for (int j = 0; j < rounds_of_step; ++j)
          if (kx + 3 * j < rounds) fetch(staged[j], chunk + 1, kx + 3 * j);

      if (active) {
        const int x = member + kx;
        const unsigned char* image = shared.image[chunk % 2] +
                                     (patch * halo_pixels + matrix % 2 * halo_side + x) * row_bytes +
                                     unit_at<units>(x, matrix / 2) * 16;
        // One plane keeps the patch's rows for all three ky; three planes would not fit into registers, and load them
        // anew, which six products for each hide.
        constexpr bool kept = kPlanes == 1;
        uint32_t rows[kept ? 5 : 1][4];
        if constexpr (kept)
#pragma unroll
          for (int pair = 0; pair < 5; ++pair) ldmatrix(rows[pair], image + pair * (2 * halo_side * row_bytes));
        const unsigned char* weights = shared.weights[step % weight_stages] + weight_offset;
#pragma unroll(kept ? 3 : 1)
        for (int ky = 0; ky < 3; ++ky) {
          uint32_t a[kPlanes][4][4];
          if constexpr (kept) {
#pragma unroll
            for (int m = 0; m < 4; ++m)
#pragma unroll
              for (int i = 0; i < 4; ++i) a[0][m][i] = rows[m + (i % 2 + ky) / 2][i / 2 * 2 + (i + ky) % 2];
          } else {
#pragma unroll
            for (int p = 0; p < kPlanes; ++p)
#pragma unroll
              for (int m = 0; m < 4; ++m)
                ldmatrix(a[p][m], image + p * T::image_plane + (2 * m + ky) * (halo_side * row_bytes));
          }
#pragma unroll
          for (int n = 0; n < kTilesN; n += 2) {
            uint32_t loaded[kPlanes][4];
#pragma unroll
            for (int p = 0; p < kPlanes; ++p)
              ldmatrix(loaded[p], weights + p * T::weight_plane + ky * T::weight_tap + n * 8 * row_bytes);
#pragma unroll
            for (int half = 0; half < 2; ++half) {
              uint32_t b[kPlanes][2];
#pragma unroll
              for (int p = 0; p < kPlanes; ++p) b[p][0] = loaded[p][2 * half], b[p][1] = loaded[p][2 * half + 1];
              multiply_planes<kPlanes>(sums[n + half], a, b);
            }
          }
        }
      }

      if (chunk + 1 < chunks)
#pragma unroll
        for (int j = 0; j < rounds_of_step; ++j)
          if (kx + 3 * j < rounds) store(staged[j], chunk + 1, kx + 3 * j);
    }
  }
  if (!active) return;

  // A lane holds columns 2t, 2t+1 of each tile at pixel x = g of rows 2m and 2m+1, g = lane / 4, t = lane % 4.
  const PatchPlace place = place_of(args.patches, first_patch + patch);
  const int enlarge = kBackward && args.upsampled ? 1 : 0;
  const int out_height = args.patches.height >> enlarge, out_width = args.patches.width >> enlarge;
  const int x = place.x + lane / 4;
  const auto put = [&](int y, int column, float first, float second) {
    if (y >= args.patches.height || x >= args.patches.width || column >= args.out_channels) return;
    if (enlarge != 0 && x % 2 != 0) return;
    float* to = args.out +
                ((place.image * out_height + (y >> enlarge)) * out_width + (x >> enlarge)) * args.out_stride + column;
    if (args.out_pairs) {
      if (kBackward && args.accumulate) {
        const float2 before = *reinterpret_cast<const float2*>(to);
        first += before.x, second += before.y;
      }
      *reinterpret_cast<float2*>(to) = make_float2(first, second);
      return;
    }
    to[0] = kBackward && args.accumulate ? to[0] + first : first;
    if (column + 1 < args.out_channels) to[1] = kBackward && args.accumulate ? to[1] + second : second;
  };
#pragma unroll
  for (int n = 0; n < kTilesN; ++n) {
    const int column = column_block * columns + first_column + n * 8 + lane % 4 * 2;
    float bias[2] = {0, 0};
    if (!kBackward) bias[0] = args.bias[column], bias[1] = args.bias[column + 1];
#pragma unroll
    for (int m = 0; m < 4; ++m) {
      const int y = place.y + 2 * m;
      float(&d)[4] = sums[n][m];
      if (enlarge != 0) {
        float total[2];
        for (int i = 0; i < 2; ++i) {
          total[i] = d[i] + d[i + 2];
          total[i] += __shfl_xor_sync(0xffffffffU, total[i], 4);
        }
        put(y, column, total[0], total[1]);
        continue;
      }
      if (!kBackward)
        for (int i = 0; i < 4; ++i) {
          d[i] += bias[i % 2];
          // Not max(): NaN must stay NaN.
          if (args.relu && d[i] < 0) d[i] = 0;
        }
      put(y, column, d[0], d[1]);
      put(y + 1, column, d[2], d[3]);
    }
  }

  if (kBackward || args.pooled == nullptr) return;
  const int channels = args.out_channels;
  const int64_t row = static_cast<int64_t>(args.patches.width / 2) * channels;  // of pooled
  const int first = column_block * columns + first_column + lane % 4 * 2;
  float* const to = args.pooled + (place.image * (args.patches.height / 2) + place.y / 2) * row +
                    static_cast<int64_t>(x / 2) * channels + first;
#pragma unroll
  for (int n = 0; n < kTilesN; ++n)
#pragma unroll
    for (int m = 0; m < 4; ++m) {
      float most[2];
      for (int i = 0; i < 2; ++i) {
        most[i] = larger(sums[n][m][i], sums[n][m][i + 2]);
        most[i] = larger(most[i], __shfl_xor_sync(0xffffffffU, most[i], 4));
      }
      const int left = channels - first - n * 8;
      if (place.y + 2 * m >= args.patches.height || x >= args.patches.width || x % 2 != 0 || left <= 0) continue;
      float* const pixel = to + m * row + n * 8;
      if (args.pooled_pairs) {
        *reinterpret_cast<float2*>(pixel) = make_float2(most[0], most[1]);
      } else {
        pixel[0] = most[0];
        if (left > 1) pixel[1] = most[1];
      }
    }
}

template <int kPlanes, int kWarpsN, int kTilesN, bool kBackward>
void launch_tiles(Stream& stream, const ConvImagesArgs& args) {
  using T = Tile<kPlanes, kWarpsN, kTilesN, kBackward>;
  const int64_t column_blocks = (args.out_channels + T::columns - 1) / T::columns;
  const int64_t blocks = (args.patches.count + T::patches - 1) / T::patches * column_blocks;
  launch(convolve<kPlanes, kWarpsN, kTilesN, kBackward>, dim3(static_cast<unsigned>(blocks)), dim3(T::threads),
         sizeof(typename T::Shared), stream)(args, static_cast<int>(column_blocks));
}

template <int kPlanes, bool kBackward>
void choose_columns(Stream& stream, const ConvImagesArgs& args) {
  switch (conv_columns(args.out_channels)) {
    case 16:
      return launch_tiles<kPlanes, 1, 2, kBackward>(stream, args);
    case 32:
      return launch_tiles<kPlanes, 1, 4, kBackward>(stream, args);
    default:
      return launch_tiles<kPlanes, 2, 4, kBackward>(stream, args);
  }
}

template <bool kBackward>
void choose_planes(Stream& stream, const ConvImagesArgs& args, Precision precision) {
  switch (precision) {
    case Precision::bf16:
      return choose_columns<1, kBackward>(stream, args);
    case Precision::fp32:
      return choose_columns<3, kBackward>(stream, args);
  }
}

}  // namespace

void conv_forward(Stream& stream, const ConvImagesArgs& args, Precision precision) {
  choose_planes<false>(stream, args, precision);
}

void conv_input_gradient(Stream& stream, const ConvImagesArgs& args, Precision precision) {
  choose_planes<true>(stream, args, precision);
}

}  // namespace ptyfuse::ops::cuda
