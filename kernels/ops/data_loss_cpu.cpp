#include "kernels/ops/data_loss_cpu.h"

#include <vector>

#include "kernels/ops/likelihood_cpu.h"

namespace ptyfuse::ops::cpu {
namespace {

// The mean of pixel_loss(predicted, measured) over used pixels. Each image's sum is kept and the sums are added in
// order, so that the result does not depend on the number of threads. A pixel that is not used may hold anything.
template <class PixelLossOf>
double mean_loss(const Device& device, TensorView<const float> predicted, TensorView<const float> measured,
                 TensorView<const float> mask, double weight, TensorView<float> grad_predicted,
                 const PixelLossOf& pixel_loss) {
  const int64_t images = predicted.extent(0), pixels = predicted.extent(1) * predicted.extent(2);
  int64_t used = pixels;
  if (mask) {
    used = 0;
    for (int64_t i = 0; i < pixels; ++i) used += mask.data()[i] != 0.0F ? 1 : 0;
  }
  used *= images;
  const float slope_scale = used == 0 ? 0.0F : static_cast<float>(weight / static_cast<double>(used));
  std::vector<double> sums(static_cast<size_t>(images));
  device.parallel_for(images, 4096 / (pixels + 1) + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = begin; n < end; ++n) {
      const float* lambda = predicted.data() + n * pixels;
      const float* counts = measured.data() + n * pixels;
      float* grad = grad_predicted ? grad_predicted.data() + n * pixels : nullptr;
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < pixels; ++i) {
        const bool use = !mask || mask.data()[i] != 0.0F;
        const PixelLoss loss = pixel_loss(lambda[i], counts[i]);
        sum += use ? static_cast<double>(loss.value) : 0.0;
        if (grad != nullptr) grad[i] = use ? slope_scale * loss.slope : 0.0F;
      }
      sums[static_cast<size_t>(n)] = sum;
    }
  });
  double total = 0;
  for (double s : sums) total += s;
  return used == 0 ? 0 : total / static_cast<double>(used);
}

}  // namespace

double poisson_nll(const Device& device, TensorView<const float> predicted, TensorView<const float> measured,
                   TensorView<const float> mask, double weight, TensorView<float> grad_predicted) {
  return mean_loss(device, predicted, measured, mask, weight, grad_predicted, poisson_pixel);
}

double amplitude_mae(const Device& device, TensorView<const float> predicted, TensorView<const float> measured,
                     TensorView<const float> mask, double weight, TensorView<float> grad_predicted) {
  return mean_loss(device, predicted, measured, mask, weight, grad_predicted,
                   [](float lambda, float counts) { return amplitude_pixel(lambda, std::sqrt(counts)); });
}

}  // namespace ptyfuse::ops::cpu
