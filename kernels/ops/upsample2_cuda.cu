#include "kernels/ops/upsample2_cuda.h"

#include "kernels/ops/float_run.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int block_threads = 256;

struct Upsample2Args {
  const float* from;
  float* to;
  int64_t threads_elements;  // elements that the threads share out
  int64_t width, channels;   // of the small image
};

// Tiling: a thread owns kRun channels of a column of the large image and writes them to both rows of a pair, so that
// stores run along memory; neighbours read the same pixel.
template <int kRun>
__global__ void __launch_bounds__(block_threads) upsample2_kernel(Upsample2Args args) {
  const int64_t at = kRun * thread_in_grid();
  if (at >= args.threads_elements) return;
  const int64_t row_elements = 2 * args.width * args.channels, pair = quotient(at, row_elements),
                along = at - pair * row_elements, column = quotient(along, args.channels),
                channel = along - column * args.channels;
  const FloatRun<kRun> v = load_run<kRun>(args.from + (pair * args.width + column / 2) * args.channels + channel);
  float* const upper = args.to + 2 * pair * row_elements + along;
  store_run(upper, v);
  store_run(upper + row_elements, v);
}

// Tiling: a thread owns kRun channels of one pixel of the small image.
template <int kRun>
__global__ void __launch_bounds__(block_threads) upsample2_adjoint_kernel(Upsample2Args args) {
  const int64_t at = kRun * thread_in_grid();
  if (at >= args.threads_elements) return;
  const int64_t pixel = quotient(at, args.channels), row = quotient(pixel, args.width),
                row_elements = 2 * args.width * args.channels;
  const float* const window =
      args.from + (2 * row * args.width + 2 * pixel) * args.channels + (at - pixel * args.channels);
  const FloatRun<kRun> a = load_run<kRun>(window), b = load_run<kRun>(window + args.channels),
                       c = load_run<kRun>(window + row_elements),
                       d = load_run<kRun>(window + row_elements + args.channels);
  FloatRun<kRun> sum;
#pragma unroll
  for (int i = 0; i < kRun; ++i) sum.value[i] = (a.value[i] + b.value[i]) + (c.value[i] + d.value[i]);
  store_run(args.to + at, sum);
}

}  // namespace

void upsample2(Stream& stream, TensorView<const float> in, TensorView<float> out) {
  if (in.empty()) return;
  const Upsample2Args args{in.data(), out.data(), out.elements() / 2, in.extent(2), in.extent(3)};
  with_run(in.extent(3) % 4 == 0 && aligned16(in.data()) && aligned16(out.data()), [&](auto run) {
    launch(upsample2_kernel<run.value>, grid_of(args.threads_elements / run.value, block_threads), dim3(block_threads),
           0, stream)(args);
  });
}

void upsample2_adjoint(Stream& stream, TensorView<const float> grad_out, TensorView<float> grad_in) {
  if (grad_in.empty()) return;
  const Upsample2Args args{grad_out.data(), grad_in.data(), grad_in.elements(), grad_in.extent(2), grad_in.extent(3)};
  with_run(grad_in.extent(3) % 4 == 0 && aligned16(grad_out.data()) && aligned16(grad_in.data()), [&](auto run) {
    launch(upsample2_adjoint_kernel<run.value>, grid_of(args.threads_elements / run.value, block_threads),
           dim3(block_threads), 0, stream)(args);
  });
}

}  // namespace ptyfuse::ops::cuda
