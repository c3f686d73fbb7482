#include "kernels/ops/data_loss_cpu.h"

#include <type_traits>
#include <vector>

#include "kernels/ops/likelihood_cpu.h"

namespace ptyfuse::ops::cpu {
namespace {

// The sum of an image's pixel losses, and their slopes into grad where there is one. What a pixel has to be asked is
// settled outside of the loop, which vectorises so.
template <bool masked, bool with_slopes, class PixelLossOf>
double image_loss(const float* lambda, const float* counts, const float* mask, float* grad, int64_t pixels,
                  float slope_scale, const PixelLossOf& pixel_loss) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < pixels; ++i) {
    const PixelLoss loss = pixel_loss(lambda[i], counts[i]);
    float value = loss.value, slope = slope_scale * loss.slope;
    if constexpr (masked) {
      const bool use = mask[i] != 0.0F;
      value = use ? value : 0.0F;
      slope = use ? slope : 0.0F;
    }
    sum += static_cast<double>(value);
    if constexpr (with_slopes) grad[i] = slope;
  }
  return sum;
}

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
      const auto loss_of = [&]<bool masked>(std::bool_constant<masked>) {
        return grad != nullptr
                   ? image_loss<masked, true>(lambda, counts, mask.data(), grad, pixels, slope_scale, pixel_loss)
                   : image_loss<masked, false>(lambda, counts, mask.data(), grad, pixels, slope_scale, pixel_loss);
      };
      sums[static_cast<size_t>(n)] = mask ? loss_of(std::true_type()) : loss_of(std::false_type());
    }
  });
  double total = 0;
  for (double s : sums) total += s;
  return used == 0 ? 0 : total / static_cast<double>(used);
}

}  // namespace

double poisson_nll(const Device& device, TensorView<const float> predicted, TensorView<const float> measured,
                   TensorView<const float> mask, double weight, TensorView<float> grad_predicted) {
  return mean_loss(device, predicted, measured, mask, weight, grad_predicted,
                   [](float lambda, float counts) { return poisson_pixel(lambda, counts); });
}

double amplitude_mae(const Device& device, TensorView<const float> predicted, TensorView<const float> measured,
                     TensorView<const float> mask, double weight, TensorView<float> grad_predicted) {
  return mean_loss(device, predicted, measured, mask, weight, grad_predicted,
                   [](float lambda, float counts) { return amplitude_pixel(lambda, std::sqrt(counts)); });
}

}  // namespace ptyfuse::ops::cpu
