#include "kernels/ops/max_pool2_cuda.h"

#include "kernels/device/warp.cuh"
#include "kernels/ops/float_run.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int block_threads = 256;

struct MaxPool2Args {
  const float *in, *out_in, *grad_out;  // out_in and grad_out: backward
  float *out, *grad_in;
  int64_t small;            // elements of out
  int64_t width, channels;  // of out

  // Where the window of out's element `at` begins in `in`.
  __device__ int64_t window(int64_t at) const {
    const int64_t pixel = quotient(at, channels), row = quotient(pixel, width);
    return (2 * row * width + 2 * pixel) * channels + (at - pixel * channels);
  }
  __device__ int64_t row_stride() const { return 2 * width * channels; }
};

// Tiling of both: a thread owns kRun channels of one pixel of the small image and their window; blocks run along
// memory.
template <int kRun>
__global__ void __launch_bounds__(block_threads) max_pool2_kernel(MaxPool2Args args) {
  const int64_t at = kRun * thread_in_grid();
  if (at >= args.small) return;
  const float* const window = args.in + args.window(at);
  const FloatRun<kRun> a = load_run<kRun>(window), b = load_run<kRun>(window + args.channels),
                       c = load_run<kRun>(window + args.row_stride()),
                       d = load_run<kRun>(window + args.row_stride() + args.channels);
  FloatRun<kRun> largest;
#pragma unroll
  for (int i = 0; i < kRun; ++i)
    largest.value[i] = larger(larger(a.value[i], b.value[i]), larger(c.value[i], d.value[i]));
  store_run(args.out + at, largest);
}

template <int kRun>
__global__ void __launch_bounds__(block_threads) max_pool2_backward_kernel(MaxPool2Args args) {
  const int64_t at = kRun * thread_in_grid();
  if (at >= args.small) return;
  const int64_t first = args.window(at), places[4] = {first, first + args.channels, first + args.row_stride(),
                                                      first + args.row_stride() + args.channels};
  FloatRun<kRun> window[4];
#pragma unroll
  for (int p = 0; p < 4; ++p) window[p] = load_run<kRun>(args.in + places[p]);
  const FloatRun<kRun> top = load_run<kRun>(args.out_in + at), grad = load_run<kRun>(args.grad_out + at);
  bool found[kRun] = {};
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    FloatRun<kRun> share;
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const bool takes = !found[i] && window[p].value[i] == top.value[i];
      found[i] = found[i] || takes;
      share.value[i] = takes ? grad.value[i] : 0.0F;
    }
    store_run(args.grad_in + places[p], share);
  }
}

}  // namespace

void max_pool2(Stream& stream, TensorView<const float> in, TensorView<float> out) {
  if (out.empty()) return;
  const MaxPool2Args args{in.data(), nullptr,        nullptr,       out.data(),
                          nullptr,   out.elements(), out.extent(2), out.extent(3)};
  with_run(out.extent(3) % 4 == 0 && aligned16(in.data()) && aligned16(out.data()), [&](auto run) {
    launch(max_pool2_kernel<run.value>, grid_of(out.elements() / run.value, block_threads), dim3(block_threads), 0,
           stream)(args);
  });
}

void max_pool2_backward(Stream& stream, TensorView<const float> in, TensorView<const float> out,
                        TensorView<const float> grad_out, TensorView<float> grad_in) {
  if (out.empty()) return;
  const MaxPool2Args args{in.data(),      out.data(),     grad_out.data(), nullptr,
                          grad_in.data(), out.elements(), out.extent(2),   out.extent(3)};
  const bool fours = out.extent(3) % 4 == 0 && aligned16(in.data()) && aligned16(out.data()) &&
                     aligned16(grad_out.data()) && aligned16(grad_in.data());
  with_run(fours, [&](auto run) {
    launch(max_pool2_backward_kernel<run.value>, grid_of(out.elements() / run.value, block_threads),
           dim3(block_threads), 0, stream)(args);
  });
}

}  // namespace ptyfuse::ops::cuda
