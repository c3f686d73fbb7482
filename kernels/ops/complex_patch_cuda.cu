#include "kernels/ops/complex_patch_cuda.h"

#include "kernels/ops/complex_math.cuh"
#include "kernels/ops/pixel_launch.cuh"
#include "kernels/ops/strided_images.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct PatchArgs {
  StridedImages<const float> amplitude, phase;
  StridedImages<float> grad_amplitude, grad_phase;
  const float2* grad_out;
  float2* out;
  int64_t images, channels, height, width;
};

struct Pixel {
  int64_t b, c;
  int y, x;
};
__device__ __forceinline__ Pixel pixel_of(int64_t i, const PatchArgs& args, int64_t channels) {
  const int64_t row = i / args.width, channel = row / args.height, b = channel / channels;
  return {b, channel - b * channels, static_cast<int>(row - channel * args.height),
          static_cast<int>(i - row * args.width)};
}

// A thread for each pixel of each channel.
__global__ void patch_pixels(const PatchArgs args) {
  const int64_t i = pixel_index();
  if (i >= args.images * args.channels * args.height * args.width) return;
  const Pixel p = pixel_of(i, args, args.channels);
  args.out[i] = polar(*args.amplitude.at(p.b, p.c, p.y, p.x), *args.phase.at(p.b, p.c, p.y, p.x));
}

__global__ void patch_pixels_backward(const PatchArgs args) {
  const int64_t i = pixel_index();
  if (i >= args.images * args.channels * args.height * args.width) return;
  const Pixel p = pixel_of(i, args, args.channels);
  const float2 grad =
      polar_gradient(*args.amplitude.at(p.b, p.c, p.y, p.x), *args.phase.at(p.b, p.c, p.y, p.x), args.grad_out[i]);
  *args.grad_amplitude.at(p.b, p.c, p.y, p.x) = grad.x;
  *args.grad_phase.at(p.b, p.c, p.y, p.x) = grad.y;
}

// A thread for each pixel of four channels that lie side by side in the strided tensors.
__global__ void patch_pixels4(const PatchArgs args) {
  const int64_t i = pixel_index(), plane = args.height * args.width;
  if (i >= args.images * plane) return;
  const Pixel p = pixel_of(i, args, 1);
  const float4 a = *reinterpret_cast<const float4*>(args.amplitude.at(p.b, 0, p.y, p.x));
  const float4 phase = *reinterpret_cast<const float4*>(args.phase.at(p.b, 0, p.y, p.x));
  float2* const out = args.out + 3 * p.b * plane + i;
  out[0] = polar(a.x, phase.x);
  out[plane] = polar(a.y, phase.y);
  out[2 * plane] = polar(a.z, phase.z);
  out[3 * plane] = polar(a.w, phase.w);
}

__global__ void patch_pixels4_backward(const PatchArgs args) {
  const int64_t i = pixel_index(), plane = args.height * args.width;
  if (i >= args.images * plane) return;
  const Pixel p = pixel_of(i, args, 1);
  const float4 a = *reinterpret_cast<const float4*>(args.amplitude.at(p.b, 0, p.y, p.x));
  const float4 phase = *reinterpret_cast<const float4*>(args.phase.at(p.b, 0, p.y, p.x));
  const float2* const grad = args.grad_out + 3 * p.b * plane + i;
  const float2 g0 = polar_gradient(a.x, phase.x, grad[0]), g1 = polar_gradient(a.y, phase.y, grad[plane]);
  const float2 g2 = polar_gradient(a.z, phase.z, grad[2 * plane]), g3 = polar_gradient(a.w, phase.w, grad[3 * plane]);
  *reinterpret_cast<float4*>(args.grad_amplitude.at(p.b, 0, p.y, p.x)) = make_float4(g0.x, g1.x, g2.x, g3.x);
  *reinterpret_cast<float4*>(args.grad_phase.at(p.b, 0, p.y, p.x)) = make_float4(g0.y, g1.y, g2.y, g3.y);
}

}  // namespace

void complex_patch(Stream& stream, TensorView<const float> amplitude, TensorView<const float> phase,
                   TensorView<complex64> out) {
  const PatchArgs args{.amplitude = strided_images("complex_patch", amplitude),
                       .phase = strided_images("complex_patch", phase),
                       .grad_amplitude = {},
                       .grad_phase = {},
                       .grad_out = nullptr,
                       .out = device_pointer(out.data()),
                       .images = out.extent(0),
                       .channels = out.extent(1),
                       .height = out.extent(2),
                       .width = out.extent(3)};
  if (four_channels_together(amplitude) && four_channels_together(phase))
    launch_pixels(patch_pixels4, out.elements() / 4, stream, args);
  else
    launch_pixels(patch_pixels, out.elements(), stream, args);
}

void complex_patch_backward(Stream& stream, TensorView<const float> amplitude, TensorView<const float> phase,
                            TensorView<const complex64> grad_out, TensorView<float> grad_amplitude,
                            TensorView<float> grad_phase) {
  const PatchArgs args{.amplitude = strided_images("complex_patch_backward", amplitude),
                       .phase = strided_images("complex_patch_backward", phase),
                       .grad_amplitude = strided_images("complex_patch_backward", grad_amplitude),
                       .grad_phase = strided_images("complex_patch_backward", grad_phase),
                       .grad_out = device_pointer(grad_out.data()),
                       .out = nullptr,
                       .images = grad_out.extent(0),
                       .channels = grad_out.extent(1),
                       .height = grad_out.extent(2),
                       .width = grad_out.extent(3)};
  if (four_channels_together(amplitude) && four_channels_together(phase) && four_channels_together(grad_amplitude) &&
      four_channels_together(grad_phase))
    launch_pixels(patch_pixels4_backward, grad_out.elements() / 4, stream, args);
  else
    launch_pixels(patch_pixels_backward, grad_out.elements(), stream, args);
}

}  // namespace ptyfuse::ops::cuda
