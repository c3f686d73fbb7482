#include "kernels/ops/detector_counts_cuda.h"

#include <cmath>

#include "kernels/ops/complex_math.cuh"
#include "kernels/ops/pixel_launch.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct CountsArgs {
  const float2* far_field;
  float* counts;
  const float* grad_counts;
  float2* grad_far_field;
  int64_t count_pixels;  // of all patterns
  int64_t pixels;        // of one
  int modes;
  float scale;
};

// A thread takes one pixel of a pattern through all modes.
__global__ void count_pixels(const CountsArgs args) {
  const int64_t i = pixel_index();
  if (i >= args.count_pixels) return;
  const int64_t image = i / args.pixels, first = image * args.modes * args.pixels + (i - image * args.pixels);
  float sum = 0.0F;
  for (int k = 0; k < args.modes; ++k) sum += squared_magnitude(args.far_field[first + k * args.pixels]);
  args.counts[i] = args.scale * sum;
}

__global__ void count_pixels_backward(const CountsArgs args) {
  const int64_t i = pixel_index();
  if (i >= args.count_pixels) return;
  const int64_t image = i / args.pixels, first = image * args.modes * args.pixels + (i - image * args.pixels);
  const float by = args.scale * args.grad_counts[i];
  for (int k = 0; k < args.modes; ++k) {
    const int64_t at = first + k * args.pixels;
    args.grad_far_field[at] = scale(by, args.far_field[at]);
  }
}

float intensity_scale(float log_scale) {
  return static_cast<float>(std::exp(2.0 * static_cast<double>(log_scale)));
}

}  // namespace

void detector_counts(Stream& stream, TensorView<const complex64> far_field, float log_scale, TensorView<float> counts) {
  const CountsArgs args{.far_field = device_pointer(far_field.data()),
                        .counts = counts.data(),
                        .grad_counts = nullptr,
                        .grad_far_field = nullptr,
                        .count_pixels = counts.elements(),
                        .pixels = far_field.extent(2) * far_field.extent(3),
                        .modes = static_cast<int>(far_field.extent(1)),
                        .scale = intensity_scale(log_scale)};
  launch_pixels(count_pixels, args.count_pixels, stream, args);
}

void detector_counts_backward(Stream& stream, TensorView<const complex64> far_field, float log_scale,
                              TensorView<const float> grad_counts, TensorView<complex64> grad_far_field) {
  const CountsArgs args{.far_field = device_pointer(far_field.data()),
                        .counts = nullptr,
                        .grad_counts = grad_counts.data(),
                        .grad_far_field = device_pointer(grad_far_field.data()),
                        .count_pixels = grad_counts.elements(),
                        .pixels = far_field.extent(2) * far_field.extent(3),
                        .modes = static_cast<int>(far_field.extent(1)),
                        .scale = 2 * intensity_scale(log_scale)};
  launch_pixels(count_pixels_backward, args.count_pixels, stream, args);
}

}  // namespace ptyfuse::ops::cuda
