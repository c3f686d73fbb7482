#include "kernels/ops/illuminate_cuda.h"

#include "kernels/ops/complex_math.cuh"
#include "kernels/ops/pixel_launch.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct IlluminateArgs {
  const float2* patches;
  const float2* probe;
  const float2* exit_waves;
  float2* out;
  int64_t patch_pixels;  // of all patches
  int64_t pixels;        // of one
  int modes;
};

// A thread takes one pixel of a patch through all modes.
__global__ void illuminate_pixels(const IlluminateArgs args) {
  const int64_t i = pixel_index();
  if (i >= args.patch_pixels) return;
  const int64_t image = i / args.pixels, pixel = i - image * args.pixels;
  const float2 patch = args.patches[i];
  for (int k = 0; k < args.modes; ++k)
    args.out[(image * args.modes + k) * args.pixels + pixel] = multiply(args.probe[k * args.pixels + pixel], patch);
}

__global__ void illuminate_pixels_adjoint(const IlluminateArgs args) {
  const int64_t i = pixel_index();
  if (i >= args.patch_pixels) return;
  const int64_t image = i / args.pixels, pixel = i - image * args.pixels;
  float2 sum = make_float2(0.0F, 0.0F);
  for (int k = 0; k < args.modes; ++k)
    sum = add(sum, multiply_conjugate(args.probe[k * args.pixels + pixel],
                                      args.exit_waves[(image * args.modes + k) * args.pixels + pixel]));
  args.out[i] = sum;
}

}  // namespace

void illuminate(Stream& stream, TensorView<const complex64> patches, TensorView<const complex64> probe,
                TensorView<complex64> exit_waves) {
  const IlluminateArgs args{.patches = device_pointer(patches.data()),
                            .probe = device_pointer(probe.data()),
                            .exit_waves = nullptr,
                            .out = device_pointer(exit_waves.data()),
                            .patch_pixels = patches.elements(),
                            .pixels = patches.extent(1) * patches.extent(2),
                            .modes = static_cast<int>(probe.extent(0))};
  launch_pixels(illuminate_pixels, args.patch_pixels, stream, args);
}

void illuminate_adjoint(Stream& stream, TensorView<const complex64> grad_exit_waves, TensorView<const complex64> probe,
                        TensorView<complex64> grad_patches) {
  const IlluminateArgs args{.patches = nullptr,
                            .probe = device_pointer(probe.data()),
                            .exit_waves = device_pointer(grad_exit_waves.data()),
                            .out = device_pointer(grad_patches.data()),
                            .patch_pixels = grad_patches.elements(),
                            .pixels = grad_patches.extent(1) * grad_patches.extent(2),
                            .modes = static_cast<int>(probe.extent(0))};
  launch_pixels(illuminate_pixels_adjoint, args.patch_pixels, stream, args);
}

}  // namespace ptyfuse::ops::cuda
