#include "kernels/ops/merge_cuda.h"

#include "kernels/ops/pixel_launch.cuh"
#include "kernels/ops/translation.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct MergeKernelArgs {
  const float2* in;
  const float* offsets_px;
  const float* weight;
  float2* out;
  int64_t pixels;  // of all of `out`
  int members, side, canvas;
  bool unmasked_numerator;
};

__device__ __forceinline__ Placement placement(const MergeKernelArgs& args, int64_t patch) {
  return merge_placement(args.offsets_px + 2 * patch, (args.canvas - args.side) / 2);
}

// What the merge divides by at (y, x) of a group's canvas.
__device__ float denominator(const MergeKernelArgs& args, int64_t group, int y, int x) {
  float sum = merge_epsilon;
  for (int64_t patch = group * args.members; patch < (group + 1) * args.members; ++patch)
    sum += translated_real(placement(args, patch), y, x, args.side,
                           [&](int sy, int sx) { return args.weight[sy * args.side + sx]; });
  return sum;
}

// A thread for each pixel of a region gathers from all members, in their order.
__global__ void merge_pixels(const MergeKernelArgs args) {
  const int64_t i = pixel_index();
  if (i >= args.pixels) return;
  const int64_t row = i / args.canvas, group = row / args.canvas;
  const int y = static_cast<int>(row - group * args.canvas), x = static_cast<int>(i - row * args.canvas);
  float2 sum = make_float2(0.0F, 0.0F);
  for (int64_t patch = group * args.members; patch < (group + 1) * args.members; ++patch) {
    const float2* const in = args.in + patch * args.side * args.side;
    sum = add(sum, translated(placement(args, patch), y, x, args.side, [&](int sy, int sx) {
                const int at = sy * args.side + sx;
                return args.unmasked_numerator ? in[at] : scale(args.weight[at], in[at]);
              }));
  }
  args.out[i] = scale(1.0F / denominator(args, group, y, x), sum);
}

// A thread for each pixel of a patch gathers from its region.
__global__ void merge_pixels_adjoint(const MergeKernelArgs args) {
  const int64_t i = pixel_index();
  if (i >= args.pixels) return;
  const int64_t row = i / args.side, patch = row / args.side, group = patch / args.members;
  const int y = static_cast<int>(row - patch * args.side), x = static_cast<int>(i - row * args.side);
  const float2* const region = args.in + group * args.canvas * args.canvas;
  const float2 sum = translated(transposed(placement(args, patch)), y, x, args.canvas, [&](int ry, int rx) {
    return scale(1.0F / denominator(args, group, ry, rx), region[ry * args.canvas + rx]);
  });
  args.out[i] = args.unmasked_numerator ? sum : scale(args.weight[y * args.side + x], sum);
}

MergeKernelArgs kernel_args(const MergeArgs& args, TensorView<const complex64> in, TensorView<complex64> out,
                            const Shape& patches, int64_t canvas) {
  return {.in = device_pointer(in.data()),
          .offsets_px = args.offsets_px.data(),
          .weight = args.weight.data(),
          .out = device_pointer(out.data()),
          .pixels = out.elements(),
          .members = static_cast<int>(patches[1]),
          .side = static_cast<int>(patches[2]),
          .canvas = static_cast<int>(canvas),
          .unmasked_numerator = args.unmasked_numerator};
}

}  // namespace

void merge(Stream& stream, const MergeArgs& args, TensorView<const complex64> patches, TensorView<complex64> region) {
  launch_pixels(merge_pixels, region.elements(), stream,
                kernel_args(args, patches, region, patches.shape(), region.extent(1)));
}

void merge_adjoint(Stream& stream, const MergeArgs& args, TensorView<const complex64> grad_region,
                   TensorView<complex64> grad_patches) {
  launch_pixels(merge_pixels_adjoint, grad_patches.elements(), stream,
                kernel_args(args, grad_region, grad_patches, grad_patches.shape(), grad_region.extent(1)));
}

}  // namespace ptyfuse::ops::cuda
