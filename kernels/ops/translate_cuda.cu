#include "kernels/ops/translate_cuda.h"

#include "kernels/ops/bilinear.h"
#include "kernels/ops/elementwise.cuh"

namespace ptyfuse::ops::cuda {
namespace {

constexpr int block_threads = 256;
constexpr int rows = 4;  // of a thread: five rows of two pixels in flight for four results

struct TranslateArgs {
  const float2* in;
  const float* shift_px;
  float2* out;
  int64_t threads;  // images * strips * width
  int64_t height, width, strips;
  bool adjoint;
};

__device__ __forceinline__ float2 add_scaled(float2 sum, float weight, float2 v) {
  return make_float2(sum.x + weight * v.x, sum.y + weight * v.y);
}

// Gather form. Tiling: a thread owns four rows of one column of an image; blocks run along the rows of strips of four
// rows, image after image.
__global__ void __launch_bounds__(block_threads) translate_kernel(TranslateArgs args) {
  const int64_t thread = thread_in_grid();
  if (thread >= args.threads) return;
  const int64_t strip = quotient(thread, args.width), column = thread - strip * args.width,
                n = quotient(strip, args.strips), first_row = rows * (strip - n * args.strips);
  BilinearAxis y = translation_axis(args.shift_px[2 * n]), x = translation_axis(args.shift_px[2 * n + 1]);
  if (args.adjoint) y = transposed(y), x = transposed(x);

  const float2* const image = args.in + n * args.height * args.width;
  const int64_t left = column + x.first, top = first_row + y.first;
  const bool has_left = left >= 0 && left < args.width, has_right = left + 1 >= 0 && left + 1 < args.width;
  float2 along[rows + 1];  // interpolated along x
#pragma unroll
  for (int r = 0; r <= rows; ++r) {
    const bool has_row = top + r >= 0 && top + r < args.height;
    const float2* const at = image + (top + r) * args.width + left;
    const float2 zero = make_float2(0, 0), a = has_row && has_left ? at[0] : zero,
                 b = has_row && has_right ? at[1] : zero;
    along[r] = add_scaled(make_float2(x.w0 * a.x, x.w0 * a.y), x.w1, b);
  }
  float2* const to = args.out + (n * args.height + first_row) * args.width + column;
#pragma unroll
  for (int r = 0; r < rows; ++r)
    if (first_row + r < args.height)
      to[r * args.width] = add_scaled(make_float2(y.w0 * along[r].x, y.w0 * along[r].y), y.w1, along[r + 1]);
}

}  // namespace

void translate(Stream& stream, TensorView<const complex64> in, TensorView<const float> shift_px, bool adjoint,
               TensorView<complex64> out) {
  if (in.empty()) return;
  const int64_t strips = divide_up(in.extent(1), rows), threads = in.extent(0) * strips * in.extent(2);
  launch(translate_kernel, dim3(static_cast<unsigned>(divide_up(threads, block_threads))), dim3(block_threads), 0,
         stream)(TranslateArgs{reinterpret_cast<const float2*>(in.data()), shift_px.data(),
                               reinterpret_cast<float2*>(out.data()), threads, in.extent(1), in.extent(2), strips,
                               adjoint});
}

}  // namespace ptyfuse::ops::cuda
