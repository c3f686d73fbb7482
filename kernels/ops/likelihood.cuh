#pragma once
// The two data losses of one pixel in kernels, shared by the losses and the fused physics step, so that they agree; as
// likelihood_cpu.h.
#include "kernels/device/launch.cuh"
#include "kernels/ops/data_loss.h"

namespace ptyfuse::ops::cuda {

/// A loss and its derivative with respect to the predicted counts.
struct PixelLoss {
  float value, slope;
};

/// lambda - n*ln(max(lambda, floor)). The comparison lets NaN pass.
__device__ __forceinline__ PixelLoss poisson_pixel(float predicted, float measured) {
  const bool below = predicted < lambda_floor;
  const float bounded = below ? lambda_floor : predicted;
  return {fmaf(-measured, logf(bounded), predicted), 1.0F - (below ? 0.0F : measured / bounded)};
}

/// |sqrt(n) - sqrt(lambda + floor)|; its slope is 0 where the two are equal.
__device__ __forceinline__ PixelLoss amplitude_pixel(float predicted, float measured_amplitude) {
  const float amplitude = sqrtf(predicted + lambda_floor), difference = amplitude - measured_amplitude;
  return {fabsf(difference), difference == 0.0F ? 0.0F : copysignf(0.5F / amplitude, difference)};
}

}  // namespace ptyfuse::ops::cuda
