// The steps that handle each frame by itself; sums over frames are in rpie_sums_cuda.cu.
#include "kernels/ops/rpie_cuda.h"

#include "kernels/device/warp.cuh"
#include "kernels/ops/rpie_frames.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int block_threads = 256;

// Tiling of the kernels over pixels: a thread owns kRun pixels, side by side in one frame, and walks the modes; blocks
// run along the frames' memory.
struct FrameRun {
  int64_t n, pixel;  // of `pixels` in a frame
  __device__ FrameRun(int64_t at, int64_t pixels) : n(quotient(at, pixels)), pixel(at - n * pixels) {}
};

struct ShiftArgs {
  const float2* spectra;  // [K,N,N]
  const float* shift_px;
  float2* out;                 // [b,K,N,N]
  int64_t modes, side, total;  // b * N * N
};

template <int kRun>
__global__ void __launch_bounds__(block_threads) shift_spectra_kernel(ShiftArgs args) {
  const int64_t at = kRun * thread_in_grid(), pixels = args.side * args.side;
  if (at >= args.total) return;
  const FrameRun run(at, pixels);
  const int64_t row = quotient(run.pixel, args.side), column = run.pixel - row * args.side, zero = args.side / 2;
  const float shift_y = args.shift_px[2 * run.n], shift_x = args.shift_px[2 * run.n + 1];
  ComplexRun<kRun> ramp;
#pragma unroll
  for (int i = 0; i < kRun; ++i)
    ramp.value[i] = frequency_ramp(shift_y, shift_x, row - zero, column + i - zero, args.side);
  for (int64_t k = 0; k < args.modes; ++k) {
    ComplexRun<kRun> v = load_complex<kRun>(args.spectra + k * pixels + run.pixel);
#pragma unroll
    for (int i = 0; i < kRun; ++i) v.value[i] = multiply(ramp.value[i], v.value[i]);
    store_complex(args.out + (run.n * args.modes + k) * pixels + run.pixel, v);
  }
}

struct WindowArgs {
  const float2* object;
  RpieFrames frames;
  const float2* factor;  // probes [S,K,N,N], or differences [b,K,N,N]
  float2* out;           // [b,K,N,N]
  int64_t modes, total;  // b * N * N
};

// kConjugate: out = conj(window) * factor[n], else out = probe of n * window. One pixel a thread: windows begin
// anywhere, pairs of their pixels would straddle 16 bytes.
template <bool kConjugate>
__global__ void __launch_bounds__(block_threads) window_product_kernel(WindowArgs args) {
  const RpieFrames& f = args.frames;
  const int64_t at = thread_in_grid(), pixels = f.side * f.side;
  if (at >= args.total) return;
  const FrameRun run(at, pixels);
  const int64_t row = quotient(run.pixel, f.side), column = run.pixel - row * f.side;
  const int64_t window = f.window(run.n), from = kConjugate ? run.n : f.probe(run.n);
  const bool valid = window >= 0 && from >= 0;
  const float2 zero = make_float2(0, 0), object = valid ? args.object[window + row * f.width + column] : zero;
  const float2* const factor = args.factor + (valid ? from : 0) * args.modes * pixels + run.pixel;
  float2* const out = args.out + run.n * args.modes * pixels + run.pixel;
#pragma unroll 4
  for (int64_t k = 0; k < args.modes; ++k) {
    const float2 v = valid ? factor[k * pixels] : zero;
    out[k * pixels] = kConjugate ? multiply_conjugate(object, v) : multiply(object, v);
  }
}

/// The measured amplitudes of a run, and whether each is in use.
template <int kRun>
struct Measured {
  float amplitude[kRun];
  bool used[kRun];

  __device__ Measured(const float* amplitudes, const uint8_t* mask) {
    if constexpr (kRun == 2) {
      const float2 a = *reinterpret_cast<const float2*>(amplitudes);
      amplitude[0] = a.x, amplitude[1] = a.y;
      const uint16_t both = mask != nullptr ? *reinterpret_cast<const uint16_t*>(mask) : uint16_t{0x0101};
      used[0] = (both & 0xffU) != 0, used[1] = both >> 8 != 0;
    } else {
      amplitude[0] = *amplitudes;
      used[0] = mask == nullptr || *mask != 0;
    }
  }
};

struct ModulusArgs {
  const float* amplitude;        // [b,N,N]
  const uint8_t* mask;           // [N,N], or null
  float2* spectra;               // [b,K,N,N]
  int64_t modes, pixels, total;  // N * N, b * N * N
};

struct ResidualArgs {
  const float2* spectra;
  const float* amplitude;
  const uint8_t* mask;
  double* sums;  // [b,2]
  int64_t frames, modes, pixels;
};

template <int kRun>
__global__ void __launch_bounds__(block_threads, 4) modulus_difference_kernel(ModulusArgs args) {
  constexpr int kept_modes = 4;  // these stay in registers between the two walks
  const int64_t at = kRun * thread_in_grid();
  if (at >= args.total) return;
  const FrameRun run(at, args.pixels);
  float2* const stack = args.spectra + run.n * args.modes * args.pixels + run.pixel;
  ComplexRun<kRun> kept[kept_modes] = {};
  const Measured<kRun> measured(args.amplitude + at, args.mask != nullptr ? args.mask + run.pixel : nullptr);
  float sum[kRun] = {}, factor[kRun];
#pragma unroll
  for (int k = 0; k < kept_modes; ++k)
    if (k < args.modes) kept[k] = load_complex<kRun>(stack + k * args.pixels);
#pragma unroll
  for (int k = 0; k < kept_modes; ++k)
#pragma unroll
    for (int i = 0; i < kRun; ++i) sum[i] += squared_magnitude(kept[k].value[i]);
  for (int64_t k = kept_modes; k < args.modes; ++k) {
    const ComplexRun<kRun> v = load_complex<kRun>(stack + k * args.pixels);
#pragma unroll
    for (int i = 0; i < kRun; ++i) sum[i] += squared_magnitude(v.value[i]);
  }
#pragma unroll
  for (int i = 0; i < kRun; ++i)
    factor[i] = measured.used[i] ? measured.amplitude[i] / (sqrtf(sum[i]) + modulus_floor) - 1 : 0.0F;
  const auto scale = [&](ComplexRun<kRun> v, int64_t k) {
#pragma unroll
    for (int i = 0; i < kRun; ++i) v.value[i] = make_float2(factor[i] * v.value[i].x, factor[i] * v.value[i].y);
    store_complex(stack + k * args.pixels, v);
  };
#pragma unroll
  for (int k = 0; k < kept_modes; ++k)
    if (k < args.modes) scale(kept[k], k);
  for (int64_t k = kept_modes; k < args.modes; ++k) scale(load_complex<kRun>(stack + k * args.pixels), k);
}

constexpr int64_t many_pixels = 1024;

// Tiling: a block owns a frame of many pixels, a warp one of few; the threads stride over its runs.
template <int kRun, bool kWarps>
__global__ void __launch_bounds__(block_threads, 4) modulus_residual_kernel(ResidualArgs args) {
  constexpr int threads = kWarps ? 32 : block_threads;
  const int thread = kWarps ? lane_in_warp() : static_cast<int>(threadIdx.x);
  const int64_t n = kWarps ? static_cast<int64_t>(blockIdx.x) * (block_threads / 32) + warp_in_block() : blockIdx.x;
  const float2* const stack = args.spectra + n * args.modes * args.pixels;
  double apart = 0, total = 0;
  for (int64_t pixel = kRun * thread; n < args.frames && pixel < args.pixels; pixel += kRun * threads) {
    const Measured<kRun> measured(args.amplitude + n * args.pixels + pixel,
                                  args.mask != nullptr ? args.mask + pixel : nullptr);
    float sum[kRun] = {};
    for (int64_t k = 0; k < args.modes; ++k) {
      const ComplexRun<kRun> v = load_complex<kRun>(stack + k * args.pixels + pixel);
#pragma unroll
      for (int i = 0; i < kRun; ++i) sum[i] += squared_magnitude(v.value[i]);
    }
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      if (!measured.used[i]) continue;
      apart += static_cast<double>(fabsf(sqrtf(sum[i]) - measured.amplitude[i]));
      total += static_cast<double>(measured.amplitude[i]);
    }
  }
  if constexpr (kWarps) {
    apart = warp_sum(apart);
    total = warp_sum(total);
  } else {
    double* const scratch = dynamic_smem<double>();
    apart = block_sum(apart, scratch);
    total = block_sum(total, scratch);
  }
  if (thread != 0 || n >= args.frames) return;
  args.sums[2 * n] = apart;
  args.sums[2 * n + 1] = total;
}

struct AddScaledArgs {
  const float* in;
  float factor;
  float* sum;

  struct Loaded {
    float4 term, sum;
  };
  __device__ Loaded load4(int64_t i) const { return {four(in, i), four(sum, i)}; }
  __device__ void store4(int64_t i, const Loaded& l) const {
    four(sum, i) = make_float4(l.sum.x + factor * l.term.x, l.sum.y + factor * l.term.y, l.sum.z + factor * l.term.z,
                               l.sum.w + factor * l.term.w);
  }
  __device__ void apply1(int64_t i) const { sum[i] += factor * in[i]; }
};

/// Whether frames fall into aligned pairs of pixels.
bool fits_pairs(const TensorView<const complex64>& spectra, const TensorView<const float>& amplitude,
                const TensorView<const uint8_t>& mask) {
  return spectra.extent(2) * spectra.extent(3) % 2 == 0 && aligned16(spectra.data()) &&
         reinterpret_cast<uintptr_t>(amplitude.data()) % 8 == 0 && reinterpret_cast<uintptr_t>(mask.data()) % 2 == 0;
}

}  // namespace

void shift_spectra(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                   TensorView<complex64> out) {
  const int64_t side = out.extent(2), total = out.extent(0) * side * side;
  const ShiftArgs args{
      device_pointer(spectra.data()), shift_px.data(), device_pointer(out.data()), out.extent(1), side, total};
  with_complex_run(side % 2 == 0 && aligned16(spectra.data()) && aligned16(out.data()), [&](auto run) {
    launch(shift_spectra_kernel<run.value>, grid_of(total / run.value, block_threads), dim3(block_threads), 0,
           stream)(args);
  });
}

void exit_waves(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                TensorView<const complex64> probes, TensorView<complex64> waves) {
  const int64_t side = waves.extent(2), total = waves.extent(0) * side * side;
  const WindowArgs args{device_pointer(object.data()),
                        RpieFrames(batch, object.shape(), probes.extent(0), side),
                        device_pointer(probes.data()),
                        device_pointer(waves.data()),
                        waves.extent(1),
                        total};
  launch(window_product_kernel<false>, grid_of(total, block_threads), dim3(block_threads), 0, stream)(args);
}

void weigh_by_object(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                     TensorView<const complex64> differences, TensorView<complex64> out) {
  const int64_t side = out.extent(2), total = out.extent(0) * side * side;
  const WindowArgs args{device_pointer(object.data()),
                        RpieFrames(batch, object.shape(), 0, side),
                        device_pointer(differences.data()),
                        device_pointer(out.data()),
                        out.extent(1),
                        total};
  launch(window_product_kernel<true>, grid_of(total, block_threads), dim3(block_threads), 0, stream)(args);
}

void modulus_difference(Stream& stream, TensorView<const float> amplitude, TensorView<const uint8_t> mask,
                        TensorView<complex64> spectra) {
  const ModulusArgs args{amplitude.data(),
                         mask.data(),
                         device_pointer(spectra.data()),
                         spectra.extent(1),
                         spectra.extent(2) * spectra.extent(3),
                         amplitude.elements()};
  with_complex_run(fits_pairs(spectra, amplitude, mask), [&](auto run) {
    launch(modulus_difference_kernel<run.value>, grid_of(args.total / run.value, block_threads), dim3(block_threads), 0,
           stream)(args);
  });
}

void modulus_residual(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> amplitude,
                      TensorView<const uint8_t> mask, TensorView<double> sums) {
  const int64_t frames = spectra.extent(0), pixels = spectra.extent(2) * spectra.extent(3);
  const ResidualArgs args{
      device_pointer(spectra.data()), amplitude.data(), mask.data(), sums.data(), frames, spectra.extent(1), pixels};
  with_complex_run(fits_pairs(spectra, amplitude, mask), [&](auto run) {
    if (pixels < many_pixels)
      launch(modulus_residual_kernel<run.value, true>, grid_of(32 * frames, block_threads), dim3(block_threads), 0,
             stream)(args);
    else
      launch(modulus_residual_kernel<run.value, false>, dim3(static_cast<unsigned>(frames)), dim3(block_threads),
             block_threads / 32 * sizeof(double), stream)(args);
  });
}

void add_scaled(Stream& stream, TensorView<const complex64> in, float factor, TensorView<complex64> sum) {
  const float* const from = reinterpret_cast<const float*>(in.data());
  float* const to = reinterpret_cast<float*>(sum.data());
  launch_elementwise<4>(stream, AddScaledArgs{from, factor, to}, split_fours(2 * in.elements(), {from, to}));
}

}  // namespace ptyfuse::ops::cuda
