// The steps that handle each frame by itself; sums over frames are in rpie_sums_cuda.cu.
#include "kernels/ops/rpie_cuda.h"

#include "kernels/device/warp.cuh"
#include "kernels/ops/rpie_frames.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int block_threads = 256;
constexpr float modulus_floor = 1e-6F;

// Tiling of every kernel over pixels here: a thread owns kRun pixels, side by side in a row, of one frame and walks the
// modes; blocks run along the frames' memory.
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
    for (int i = 0; i < kRun; ++i) v.value[i] = product(ramp.value[i], v.value[i]);
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

// kConjugate: out = conj(window) * factor[n], else out = probe of n * window.
template <int kRun, bool kConjugate>
__global__ void __launch_bounds__(block_threads) window_product_kernel(WindowArgs args) {
  const RpieFrames& f = args.frames;
  const int64_t at = kRun * thread_in_grid(), pixels = f.side * f.side;
  if (at >= args.total) return;
  const FrameRun run(at, pixels);
  const int64_t row = quotient(run.pixel, f.side), column = run.pixel - row * f.side;
  const int64_t window = f.window(run.n), from = kConjugate ? run.n : f.probe(run.n);
  const bool valid = window >= 0 && from >= 0;
  ComplexRun<kRun> object = {};
  if (valid)
#pragma unroll
    for (int i = 0; i < kRun; ++i) object.value[i] = args.object[window + row * f.width + column + i];
  for (int64_t k = 0; k < args.modes; ++k) {
    ComplexRun<kRun> v = {};
    if (valid) v = load_complex<kRun>(args.factor + (from * args.modes + k) * pixels + run.pixel);
#pragma unroll
    for (int i = 0; i < kRun; ++i)
      v.value[i] = kConjugate ? conjugate_product(object.value[i], v.value[i]) : product(object.value[i], v.value[i]);
    store_complex(args.out + (run.n * args.modes + k) * pixels + run.pixel, v);
  }
}

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
  int64_t modes, pixels;
};

template <int kRun>
__global__ void __launch_bounds__(block_threads, 4) modulus_difference_kernel(ModulusArgs args) {
  constexpr int kept_modes = 4;  // these stay in registers between the two walks
  const int64_t at = kRun * thread_in_grid();
  if (at >= args.total) return;
  const FrameRun run(at, args.pixels);
  float2* const stack = args.spectra + run.n * args.modes * args.pixels + run.pixel;
  ComplexRun<kRun> kept[kept_modes] = {};
  float sum[kRun] = {}, factor[kRun];
#pragma unroll
  for (int k = 0; k < kept_modes; ++k)
    if (k < args.modes) kept[k] = load_complex<kRun>(stack + k * args.pixels);
#pragma unroll
  for (int i = 0; i < kRun; ++i) factor[i] = args.amplitude[at + i];
#pragma unroll
  for (int k = 0; k < kept_modes; ++k)
#pragma unroll
    for (int i = 0; i < kRun; ++i) sum[i] += power(kept[k].value[i]);
  for (int64_t k = kept_modes; k < args.modes; ++k) {
    const ComplexRun<kRun> v = load_complex<kRun>(stack + k * args.pixels);
#pragma unroll
    for (int i = 0; i < kRun; ++i) sum[i] += power(v.value[i]);
  }
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    factor[i] = factor[i] / (sqrtf(sum[i]) + modulus_floor) - 1;
    if (args.mask != nullptr && args.mask[run.pixel + i] == 0) factor[i] = 0;
  }
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

// Tiling: a block owns a frame, its threads stride over the runs of pixels.
template <int kRun>
__global__ void __launch_bounds__(block_threads) modulus_residual_kernel(ResidualArgs args) {
  double* const scratch = dynamic_smem<double>();
  const int64_t n = blockIdx.x;
  const float2* const stack = args.spectra + n * args.modes * args.pixels;
  double apart = 0, total = 0;
  for (int64_t pixel = kRun * static_cast<int64_t>(threadIdx.x); pixel < args.pixels; pixel += kRun * blockDim.x) {
    float sum[kRun] = {};
    for (int64_t k = 0; k < args.modes; ++k) {
      const ComplexRun<kRun> v = load_complex<kRun>(stack + k * args.pixels + pixel);
#pragma unroll
      for (int i = 0; i < kRun; ++i) sum[i] += power(v.value[i]);
    }
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      if (args.mask != nullptr && args.mask[pixel + i] == 0) continue;
      const float measured = args.amplitude[n * args.pixels + pixel + i];
      apart += static_cast<double>(fabsf(sqrtf(sum[i]) - measured));
      total += static_cast<double>(measured);
    }
  }
  apart = block_sum(apart, scratch);
  total = block_sum(total, scratch);
  if (threadIdx.x == 0) {
    args.sums[2 * n] = apart;
    args.sums[2 * n + 1] = total;
  }
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

dim3 blocks_of(int64_t threads) {
  return dim3(static_cast<unsigned>(divide_up(threads, block_threads)));
}

}  // namespace

void shift_spectra(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                   TensorView<complex64> out) {
  const int64_t side = out.extent(2), total = out.extent(0) * side * side;
  const ShiftArgs args{pairs_of(spectra.data()), shift_px.data(), pairs_of(out.data()), out.extent(1), side, total};
  with_complex_run(side % 2 == 0 && aligned16(spectra.data()) && aligned16(out.data()), [&](auto run) {
    launch(shift_spectra_kernel<run.value>, blocks_of(total / run.value), dim3(block_threads), 0, stream)(args);
  });
}

void exit_waves(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                TensorView<const complex64> probes, TensorView<complex64> waves) {
  const int64_t side = waves.extent(2), total = waves.extent(0) * side * side;
  const WindowArgs args{pairs_of(object.data()), RpieFrames(batch, object.shape(), probes.extent(0), side),
                        pairs_of(probes.data()), pairs_of(waves.data()),
                        waves.extent(1),         total};
  with_complex_run(side % 2 == 0 && aligned16(probes.data()) && aligned16(waves.data()), [&](auto run) {
    launch(window_product_kernel<run.value, false>, blocks_of(total / run.value), dim3(block_threads), 0, stream)(args);
  });
}

void weigh_by_object(Stream& stream, TensorView<const complex64> object, const RpieBatch& batch,
                     TensorView<const complex64> differences, TensorView<complex64> out) {
  const int64_t side = out.extent(2), total = out.extent(0) * side * side;
  const WindowArgs args{pairs_of(object.data()),
                        RpieFrames(batch, object.shape(), 0, side),
                        pairs_of(differences.data()),
                        pairs_of(out.data()),
                        out.extent(1),
                        total};
  with_complex_run(side % 2 == 0 && aligned16(differences.data()) && aligned16(out.data()), [&](auto run) {
    launch(window_product_kernel<run.value, true>, blocks_of(total / run.value), dim3(block_threads), 0, stream)(args);
  });
}

void modulus_difference(Stream& stream, TensorView<const float> amplitude, TensorView<const uint8_t> mask,
                        TensorView<complex64> spectra) {
  const ModulusArgs args{amplitude.data(),
                         mask.data(),
                         pairs_of(spectra.data()),
                         spectra.extent(1),
                         spectra.extent(2) * spectra.extent(3),
                         amplitude.elements()};
  with_complex_run(args.pixels % 2 == 0 && aligned16(spectra.data()), [&](auto run) {
    launch(modulus_difference_kernel<run.value>, blocks_of(args.total / run.value), dim3(block_threads), 0,
           stream)(args);
  });
}

void modulus_residual(Stream& stream, TensorView<const complex64> spectra, TensorView<const float> amplitude,
                      TensorView<const uint8_t> mask, TensorView<double> sums) {
  const ResidualArgs args{pairs_of(spectra.data()),
                          amplitude.data(),
                          mask.data(),
                          sums.data(),
                          spectra.extent(1),
                          spectra.extent(2) * spectra.extent(3)};
  const int64_t wanted = divide_up(args.pixels, 32) * 32;
  const int threads = wanted < block_threads ? static_cast<int>(wanted) : block_threads;
  with_complex_run(args.pixels % 2 == 0 && aligned16(spectra.data()), [&](auto run) {
    launch(modulus_residual_kernel<run.value>, dim3(static_cast<unsigned>(spectra.extent(0))),
           dim3(static_cast<unsigned>(threads)), block_threads / 32 * sizeof(double), stream)(args);
  });
}

void add_scaled(Stream& stream, TensorView<const complex64> in, float factor, TensorView<complex64> sum) {
  const float* const from = reinterpret_cast<const float*>(in.data());
  float* const to = reinterpret_cast<float*>(sum.data());
  launch_elementwise<4>(stream, AddScaledArgs{from, factor, to}, split_fours(2 * in.elements(), {from, to}));
}

}  // namespace ptyfuse::ops::cuda
