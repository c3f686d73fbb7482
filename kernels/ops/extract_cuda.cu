#include "kernels/ops/extract_cuda.h"

#include "kernels/ops/pixel_launch.cuh"
#include "kernels/ops/translation.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct ExtractArgs {
  const float2* in;
  const float* offsets_px;
  float2* out;
  int64_t pixels;  // of all of `out`
  int members, side, canvas;
};

// A thread for each pixel of a patch.
__global__ void extract_pixels(const ExtractArgs args) {
  const int64_t i = pixel_index();
  if (i >= args.pixels) return;
  const int64_t row = i / args.side, patch = row / args.side;
  const float2* const region = args.in + patch / args.members * args.canvas * args.canvas;
  const Placement place = extract_placement(args.offsets_px + 2 * patch, (args.canvas - args.side) / 2);
  args.out[i] = translated(place, static_cast<int>(row - patch * args.side), static_cast<int>(i - row * args.side),
                           args.canvas, [&](int y, int x) { return region[y * args.canvas + x]; });
}

// A thread for each pixel of a region gathers from all members, in their order.
__global__ void extract_pixels_adjoint(const ExtractArgs args) {
  const int64_t i = pixel_index();
  if (i >= args.pixels) return;
  const int64_t row = i / args.canvas, group = row / args.canvas;
  float2 sum = make_float2(0.0F, 0.0F);
  for (int64_t patch = group * args.members; patch < (group + 1) * args.members; ++patch) {
    const float2* const grad = args.in + patch * args.side * args.side;
    const Placement place = transposed(extract_placement(args.offsets_px + 2 * patch, (args.canvas - args.side) / 2));
    sum =
        add(sum, translated(place, static_cast<int>(row - group * args.canvas), static_cast<int>(i - row * args.canvas),
                            args.side, [&](int y, int x) { return grad[y * args.side + x]; }));
  }
  args.out[i] = sum;
}

}  // namespace

void extract(Stream& stream, TensorView<const complex64> region, TensorView<const float> offsets_px,
             TensorView<complex64> patches) {
  const ExtractArgs args{.in = device_pointer(region.data()),
                         .offsets_px = offsets_px.data(),
                         .out = device_pointer(patches.data()),
                         .pixels = patches.elements(),
                         .members = static_cast<int>(patches.extent(1)),
                         .side = static_cast<int>(patches.extent(2)),
                         .canvas = static_cast<int>(region.extent(1))};
  launch_pixels(extract_pixels, args.pixels, stream, args);
}

void extract_adjoint(Stream& stream, TensorView<const complex64> grad_patches, TensorView<const float> offsets_px,
                     TensorView<complex64> grad_region) {
  const ExtractArgs args{.in = device_pointer(grad_patches.data()),
                         .offsets_px = offsets_px.data(),
                         .out = device_pointer(grad_region.data()),
                         .pixels = grad_region.elements(),
                         .members = static_cast<int>(grad_patches.extent(1)),
                         .side = static_cast<int>(grad_patches.extent(2)),
                         .canvas = static_cast<int>(grad_region.extent(1))};
  launch_pixels(extract_pixels_adjoint, args.pixels, stream, args);
}

}  // namespace ptyfuse::ops::cuda
