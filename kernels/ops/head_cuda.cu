#include "kernels/ops/head_cuda.h"

#include "kernels/ops/float_run.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int block_threads = 256;
constexpr float pi = 3.14159265358979F;

/// [B,N,N,C] or the central square of it, in whatever strides; null where there is none.
template <class T>
struct HeadView {
  T* data = nullptr;
  int64_t image = 0, row = 0, pixel = 0, channel = 0;  // strides

  HeadView() = default;
  explicit HeadView(const TensorView<T>& v)
      : data(v.data()), image(v.stride(0)), row(v.stride(1)), pixel(v.stride(2)), channel(v.stride(3)) {}
  __device__ T* at(int64_t b, int64_t y, int64_t x, int64_t c) const {
    return data + b * image + y * row + x * pixel + c * channel;
  }
};

struct HeadArgs {
  HeadActivation centre_kind, border_kind;
  HeadView<const float> centre, border;
  HeadView<float> grad_centre, grad_border;
  const float* grad_out;
  float* out;
  int64_t elements, side, channels;  // of out
  int64_t begin, end;                // rows and columns of the central square
};

__device__ __forceinline__ float logistic(float x) {
  return 1.0F / (1.0F + expf(-x));
}

__device__ __forceinline__ float activate(HeadActivation kind, float x) {
  switch (kind) {
    case HeadActivation::sigmoid:
      return logistic(x);
    case HeadActivation::pi_tanh:
      return pi * tanhf(x);
    case HeadActivation::swish:
      return x * logistic(x);
    case HeadActivation::softplus:
      // As one comparison with NaN on either side would lose it.
      return log1pf(expf(-fabsf(x))) + (x < 0 ? 0.0F : x);
    case HeadActivation::relu:
      return x < 0 ? 0.0F : x;
  }
  return x;
}

__device__ __forceinline__ float slope(HeadActivation kind, float x) {
  switch (kind) {
    case HeadActivation::sigmoid: {
      const float s = logistic(x);
      return s * (1 - s);
    }
    case HeadActivation::pi_tanh: {
      const float t = tanhf(x);
      return pi * (1 - t * t);
    }
    case HeadActivation::swish: {
      const float s = logistic(x);
      return s * (1 + x * (1 - s));
    }
    case HeadActivation::softplus:
      return logistic(x);
    case HeadActivation::relu:
      return x > 0 ? 1.0F : 0.0F;
  }
  return 0;
}

/// Element `at` of out in coordinates.
struct HeadPlace {
  int64_t b, y, x, c;
  bool inside;
  __device__ HeadPlace(const HeadArgs& args, int64_t at) {
    const int64_t pixel = quotient(at, args.channels), line = quotient(pixel, args.side);
    c = at - pixel * args.channels;
    x = pixel - line * args.side;
    b = quotient(line, args.side);
    y = line - b * args.side;
    inside = y >= args.begin && y < args.end && x >= args.begin && x < args.end;
  }
};

// Tiling of both: a thread owns kRun elements of out, side by side and all of one head; blocks run along memory.
template <int kRun>
__global__ void __launch_bounds__(block_threads) head_kernel(HeadArgs args) {
  const int64_t at = kRun * thread_in_grid();
  if (at >= args.elements) return;
  const HeadPlace p(args, at);
  FloatRun<kRun> v = {};
  if (p.inside || args.border.data != nullptr) {
    v = load_run<kRun>(p.inside ? args.centre.at(p.b, p.y - args.begin, p.x - args.begin, p.c)
                                : args.border.at(p.b, p.y, p.x, p.c));
    const HeadActivation kind = p.inside ? args.centre_kind : args.border_kind;
#pragma unroll
    for (int i = 0; i < kRun; ++i) v.value[i] = activate(kind, v.value[i]);
  }
  store_run(args.out + at, v);
}

template <int kRun>
__global__ void __launch_bounds__(block_threads) head_backward_kernel(HeadArgs args) {
  const int64_t at = kRun * thread_in_grid();
  if (at >= args.elements) return;
  const HeadPlace p(args, at);
  if (!p.inside && args.border.data == nullptr) return;
  const FloatRun<kRun> v = load_run<kRun>(p.inside ? args.centre.at(p.b, p.y - args.begin, p.x - args.begin, p.c)
                                                   : args.border.at(p.b, p.y, p.x, p.c));
  FloatRun<kRun> grad = load_run<kRun>(args.grad_out + at);
  const HeadActivation kind = p.inside ? args.centre_kind : args.border_kind;
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    // Not a product for relu: what is not finite ends there.
    if (kind == HeadActivation::relu)
      grad.value[i] = v.value[i] > 0 ? grad.value[i] : 0.0F;
    else
      grad.value[i] *= slope(kind, v.value[i]);
  }
  if (p.inside) store_run(args.grad_centre.at(p.b, p.y - args.begin, p.x - args.begin, p.c), grad);
  if (args.border.data == nullptr) return;
  store_run(args.grad_border.at(p.b, p.y, p.x, p.c), p.inside ? FloatRun<kRun>{} : grad);
}

HeadArgs head_args(const HeadSpec& spec, const TensorView<const float>& centre, const TensorView<const float>& border,
                   const Shape& out) {
  HeadArgs args{};
  args.centre_kind = spec.centre;
  args.border_kind = spec.border;
  args.centre = HeadView<const float>(centre);
  if (border) args.border = HeadView<const float>(border);
  args.elements = out.elements();
  args.side = out[1];
  args.channels = out[3];
  args.begin = (out[1] - centre.extent(1)) / 2;
  args.end = args.begin + centre.extent(1);
  return args;
}

/// Whether each aligned four of out lies in one head, and is an aligned four of the view too: four channels of a pixel,
/// or pixels without gaps.
template <class T>
bool fits_fours(const HeadArgs& args, const HeadView<T>& v) {
  if (v.data == nullptr) return true;
  const bool in_pixel = args.channels % 4 == 0 && v.pixel % 4 == 0, over_pixels = v.pixel == args.channels &&
                                                                                  args.side * args.channels % 4 == 0 &&
                                                                                  args.begin * args.channels % 4 == 0;
  return (in_pixel || over_pixels) && aligned16(v.data) && v.channel == 1 && v.row % 4 == 0 && v.image % 4 == 0;
}
bool fits_fours(const HeadArgs& args) {
  return aligned16(args.out) && aligned16(args.grad_out) && fits_fours(args, args.centre) &&
         fits_fours(args, args.border) && fits_fours(args, args.grad_centre) && fits_fours(args, args.grad_border);
}

}  // namespace

void head(Stream& stream, const HeadSpec& spec, TensorView<const float> centre, TensorView<const float> border,
          TensorView<float> out) {
  if (out.empty()) return;
  HeadArgs args = head_args(spec, centre, border, out.shape());
  args.out = out.data();
  with_run(fits_fours(args), [&](auto run) {
    launch(head_kernel<run.value>, grid_of(args.elements / run.value, block_threads), dim3(block_threads), 0,
           stream)(args);
  });
}

void head_backward(Stream& stream, const HeadSpec& spec, TensorView<const float> centre, TensorView<const float> border,
                   TensorView<const float> grad_out, TensorView<float> grad_centre, TensorView<float> grad_border) {
  if (grad_out.empty()) return;
  HeadArgs args = head_args(spec, centre, border, grad_out.shape());
  args.grad_out = grad_out.data();
  args.grad_centre = HeadView<float>(grad_centre);
  if (border) args.grad_border = HeadView<float>(grad_border);
  with_run(fits_fours(args), [&](auto run) {
    launch(head_backward_kernel<run.value>, grid_of(args.elements / run.value, block_threads), dim3(block_threads), 0,
           stream)(args);
  });
}

}  // namespace ptyfuse::ops::cuda
