// The steps that sum over frames, in the batch's order: a thread owns what is summed into.
#include "kernels/device/warp.cuh"
#include "kernels/ops/host_sum.cuh"
#include "kernels/ops/rpie_cuda.h"
#include "kernels/ops/rpie_frames.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int few_threads = 64;  // of a block, where one probe's pixels must reach many multiprocessors

struct ShiftBackArgs {
  const float2* spectra;  // [b,K,N,N]
  const float* shift_px;
  float2* out;  // [K,N,N]
  int64_t frames, modes, side;
};

// Tiling: a thread owns a pixel of a mode and walks the frames.
__global__ void __launch_bounds__(few_threads) sum_shifted_back_kernel(ShiftBackArgs args) {
  const int64_t at = thread_in_grid(), pixels = args.side * args.side, stack = args.modes * pixels;
  if (at >= stack) return;
  const int64_t k = quotient(at, pixels), row = quotient(at - k * pixels, args.side),
                column = at - k * pixels - row * args.side, zero = args.side / 2;
  float2 sum = make_float2(0, 0);
#pragma unroll 4
  for (int64_t n = 0; n < args.frames; ++n) {
    const float2 ramp =
        frequency_ramp(args.shift_px[2 * n], args.shift_px[2 * n + 1], row - zero, column - zero, args.side);
    const float2 term = multiply_conjugate(ramp, args.spectra[n * stack + at]);
    sum.x += term.x;
    sum.y += term.y;
  }
  args.out[at] = sum;
}

constexpr int tile_width = 32, tile_height = 8, tile_threads = tile_width * tile_height;

/// length * numerator / ((1-beta) sum + beta max(sum, peak)) on top of `before`.
struct Step {
  float beta, peak, length;
  __device__ __forceinline__ float2 moved(float2 before, float2 numerator, float sum) const {
    // With beta 0 nothing keeps the divisor from 0 where no probe reaches: there is no step to take there.
    const float divisor = (1 - beta) * sum + beta * (sum < peak ? peak : sum);
    const float step = divisor > 0 ? length / divisor : 0.0F;
    return make_float2(before.x + numerator.x * step, before.y + numerator.y * step);
  }
};

struct UpdateArgs {
  float2* object;  // or the numerators, of kSums
  float* power;    // of kSums
  RpieFrames frames;
  int64_t count;
  const float2 *probes, *differences;
  int64_t modes;
  Step step;
  int64_t tiles_across;
};

/// A frame of the batch; touches: its window has pixels in the tile.
struct StagedFrame {
  const float2 *probe, *difference;
  int64_t y, x;
  bool touches;
};

// Tiling: a block owns 8 x 32 pixels of the object, one a thread, and walks the frames, 256 staged in shared memory at
// a time. kSums: what the frames add goes to sums in memory instead of to the object.
template <bool kSums>
__global__ void __launch_bounds__(tile_threads) update_object_kernel(UpdateArgs args) {
  StagedFrame* const stage = dynamic_smem<StagedFrame>();
  const RpieFrames& f = args.frames;
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t tile_row = quotient(blockIdx.x, args.tiles_across), tile_y = tile_row * tile_height,
                tile_x = (blockIdx.x - tile_row * args.tiles_across) * tile_width;
  const int64_t y = tile_y + thread / tile_width, x = tile_x + thread % tile_width, pixels = f.side * f.side;
  const int64_t pixel = y * f.width + x;
  const bool inside = y < f.height && x < f.width;
  float2 numerator = make_float2(0, 0);
  float sum = 0;
  if (kSums && inside) {
    numerator = args.object[pixel];
    sum = args.power[pixel];
  }
  bool covered = false;
  for (int64_t first = 0; first < args.count; first += tile_threads) {
    const int64_t n = first + thread;
    __syncthreads();
    StagedFrame staged = {};
    if (n < args.count && f.window(n) >= 0 && f.probe(n) >= 0) {
      staged = {args.probes + f.probe(n) * args.modes * pixels, args.differences + n * args.modes * pixels,
                f.corner[2 * n], f.corner[2 * n + 1], false};
      staged.touches = staged.y < tile_y + tile_height && staged.y + f.side > tile_y &&
                       staged.x < tile_x + tile_width && staged.x + f.side > tile_x;
    }
    stage[thread] = staged;
    __syncthreads();
    const int in_stage = static_cast<int>(args.count - first < tile_threads ? args.count - first : tile_threads);
    for (int s = 0; s < in_stage; ++s) {
      if (!stage[s].touches) continue;
      const int64_t i = y - stage[s].y, j = x - stage[s].x;
      if (i < 0 || i >= f.side || j < 0 || j >= f.side) continue;
      covered = true;
      for (int64_t k = 0; k < args.modes; ++k) {
        const int64_t at = (k * f.side + i) * f.side + j;
        const float2 p = stage[s].probe[at], term = multiply_conjugate(p, stage[s].difference[at]);
        numerator.x += term.x;
        numerator.y += term.y;
        sum += squared_magnitude(p);
      }
    }
  }
  if (!covered) return;
  if (kSums) {
    args.object[pixel] = numerator;
    args.power[pixel] = sum;
  } else {
    args.object[pixel] = args.step.moved(args.object[pixel], numerator, sum);
  }
}

struct ApplyArgs {
  const float2* numerator;
  const float* power;
  float2* object;
  Step step;
  int64_t count;
};

// Tiling: a thread owns a pixel.
__global__ void __launch_bounds__(tile_threads) apply_step_kernel(ApplyArgs args) {
  const int64_t at = thread_in_grid();
  if (at < args.count) args.object[at] = args.step.moved(args.object[at], args.numerator[at], args.power[at]);
}

template <bool kSums>
void launch_update(Stream& stream, TensorView<const complex64> differences, const RpieBatch& batch,
                   TensorView<const complex64> probes, const Step& step, TensorView<complex64> target, float* power) {
  if (batch.count() == 0) return;
  const int64_t across = divide_up(target.extent(1), tile_width), down = divide_up(target.extent(0), tile_height);
  launch(update_object_kernel<kSums>, dim3(static_cast<unsigned>(across * down)), dim3(tile_threads),
         tile_threads * sizeof(StagedFrame), stream)(UpdateArgs{
      device_pointer(target.data()), power, RpieFrames(batch, target.shape(), probes.extent(0), differences.extent(2)),
      batch.count(), device_pointer(probes.data()), device_pointer(differences.data()), differences.extent(1), step,
      across});
}

struct PeakArgs {
  const float2* from;  // probe [K,N,N], or the object
  RpieFrames frames;   // of the object
  int64_t terms;       // modes, or frames
  float* peaks;        // of each block
};

// Tiling: a thread owns a pixel of the probe or of the window and walks the modes or the frames; a block leaves the
// largest of its sums.
template <bool kWindows>
__global__ void __launch_bounds__(few_threads) peak_kernel(PeakArgs args) {
  const RpieFrames& f = args.frames;
  const int64_t at = thread_in_grid(), pixels = f.side * f.side;
  float sum = 0;
  if (at < pixels) {
    const int64_t row = quotient(at, f.side), in_object = row * f.width + at - row * f.side;
#pragma unroll 4
    for (int64_t t = 0; t < args.terms; ++t) {
      const int64_t window = kWindows ? f.window(t) : 0;
      if (window >= 0) sum += squared_magnitude(args.from[kWindows ? window + in_object : t * pixels + at]);
    }
  }
  const float largest = warp_max(sum);
  if (lane_in_warp() == 0) args.peaks[blockIdx.x * (few_threads / 32) + warp_in_block()] = largest;
}

template <bool kWindows>
float peak_of(Stream& stream, const complex64* from, const RpieFrames& frames, int64_t terms) {
  const int64_t blocks = divide_up(frames.side * frames.side, few_threads);
  return combine_parts(
      stream, blocks * (few_threads / 32), 0.0F,
      [&](float* peaks) {
        launch(peak_kernel<kWindows>, dim3(static_cast<unsigned>(blocks)), dim3(few_threads), 0,
               stream)(PeakArgs{device_pointer(from), frames, terms, peaks});
      },
      [](float a, float b) { return larger(a, b); });  // NaN where any is
}

}  // namespace

void sum_shifted_back(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                      TensorView<complex64> out) {
  launch(sum_shifted_back_kernel, dim3(static_cast<unsigned>(divide_up(out.elements(), few_threads))),
         dim3(few_threads), 0,
         stream)(ShiftBackArgs{device_pointer(spectra.data()), shift_px.data(), device_pointer(out.data()),
                               spectra.extent(0), out.extent(0), out.extent(1)});
}

void update_object(Stream& stream, TensorView<const complex64> differences, const RpieBatch& batch,
                   TensorView<const complex64> probes, const ObjectRule& rule, TensorView<complex64> object) {
  launch_update<false>(stream, differences, batch, probes, {rule.beta, rule.peak, rule.length}, object, nullptr);
}

void add_to_step(Stream& stream, TensorView<const complex64> differences, const RpieBatch& batch,
                 TensorView<const complex64> probes, const ObjectStep& step) {
  launch_update<true>(stream, differences, batch, probes, {}, step.numerator, step.power.data());
}

void apply_step(Stream& stream, const ObjectStep& step, const ObjectRule& rule, TensorView<complex64> object) {
  const int64_t count = object.elements();
  launch(apply_step_kernel, dim3(static_cast<unsigned>(divide_up(count, tile_threads))), dim3(tile_threads), 0,
         stream)(ApplyArgs{device_pointer(step.numerator.data()),
                           step.power.data(),
                           device_pointer(object.data()),
                           {rule.beta, rule.peak, rule.length},
                           count});
}

float peak_power(Stream& stream, TensorView<const complex64> probe) {
  return peak_of<false>(stream, probe.data(), RpieFrames({}, Shape{0, 0}, 0, probe.extent(1)), probe.extent(0));
}

float peak_window_power(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch, int64_t side_px) {
  return peak_of<true>(stream, object.data(), RpieFrames(batch, object.shape(), 0, side_px), batch.count());
}

}  // namespace ptyfuse::ops::cuda
