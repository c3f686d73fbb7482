#include "kernels/ops/data_loss_cuda.h"

#include "kernels/ops/likelihood.cuh"
#include "kernels/ops/ordered_sums.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct LossArgs {
  const float* predicted;
  const float* measured;
  const float* mask;  // null: every pixel is used
  float* grad;        // null: none is wanted
  int64_t elements, pixels;
  float slope_scale;
  double* parts;
};

struct Poisson {
  static __device__ __forceinline__ PixelLoss of(float predicted, float measured) {
    return poisson_pixel(predicted, measured);
  }
};
struct Amplitude {
  static __device__ __forceinline__ PixelLoss of(float predicted, float measured) {
    return amplitude_pixel(predicted, sqrtf(measured));
  }
};

// A block of sum_threads takes its share of all pixels of all images. One that is not used may hold anything.
template <class Loss>
__global__ void pixel_losses(const LossArgs args) {
  double sum = 0;
  for (int64_t i = elements_begin(); i < args.elements; i += elements_step()) {
    const bool use = args.mask == nullptr || args.mask[i % args.pixels] != 0.0F;
    const PixelLoss loss = Loss::of(args.predicted[i], args.measured[i]);
    if (use) sum += static_cast<double>(loss.value);
    if (args.grad != nullptr) args.grad[i] = use ? args.slope_scale * loss.slope : 0.0F;
  }
  store_part(sum, args.parts);
}

struct UsedArgs {
  const float* mask;
  int64_t pixels;
  double* parts;
};

__global__ void count_used(const UsedArgs args) {
  double used = 0;
  for (int64_t i = elements_begin(); i < args.pixels; i += elements_step()) used += args.mask[i] != 0.0F ? 1 : 0;
  store_part(used, args.parts);
}

double used_pixels(Stream& stream, TensorView<const float> mask) {
  const int64_t blocks = sum_blocks(mask.elements());
  if (blocks == 0) return 0;
  return ordered_sum(stream, blocks, [&](double* parts) {
    launch(count_used, dim3(static_cast<unsigned>(blocks)), dim3(sum_threads), sum_shared_bytes,
           stream)(UsedArgs{mask.data(), mask.elements(), parts});
  });
}

template <class Loss>
double mean_loss(Stream& stream, TensorView<const float> predicted, TensorView<const float> measured,
                 TensorView<const float> mask, double weight, TensorView<float> grad_predicted) {
  const int64_t blocks = sum_blocks(predicted.elements());
  if (blocks == 0) return 0;
  const double used = mask ? used_pixels(stream, mask) * static_cast<double>(predicted.extent(0))
                           : static_cast<double>(predicted.elements());
  LossArgs args{.predicted = predicted.data(),
                .measured = measured.data(),
                .mask = mask.data(),
                .grad = grad_predicted.data(),
                .elements = predicted.elements(),
                .pixels = predicted.extent(1) * predicted.extent(2),
                .slope_scale = used == 0 ? 0.0F : static_cast<float>(weight / used),
                .parts = nullptr};
  const double sum = ordered_sum(stream, blocks, [&](double* parts) {
    args.parts = parts;
    launch(pixel_losses<Loss>, dim3(static_cast<unsigned>(blocks)), dim3(sum_threads), sum_shared_bytes, stream)(args);
  });
  return used == 0 ? 0 : sum / used;
}

}  // namespace

double poisson_nll(Stream& stream, TensorView<const float> predicted, TensorView<const float> measured,
                   TensorView<const float> mask, double weight, TensorView<float> grad_predicted) {
  return mean_loss<Poisson>(stream, predicted, measured, mask, weight, grad_predicted);
}

double amplitude_mae(Stream& stream, TensorView<const float> predicted, TensorView<const float> measured,
                     TensorView<const float> mask, double weight, TensorView<float> grad_predicted) {
  return mean_loss<Amplitude>(stream, predicted, measured, mask, weight, grad_predicted);
}

}  // namespace ptyfuse::ops::cuda
