#pragma once
// The two data losses of one pixel, shared by the losses and the fused physics step, so that they agree.
#include <cmath>

#include "kernels/ops/data_loss.h"
#include "kernels/ops/vector_math.h"

namespace ptyfuse::ops::cpu {

/// A loss and its derivative with respect to the predicted counts.
struct PixelLoss {
  float value, slope;
};

/// lambda - n*ln(max(lambda, floor)). The comparison lets NaN pass.
inline PixelLoss poisson_pixel(float predicted, float measured) {
  const bool below = predicted < lambda_floor;
  const float bounded = below ? lambda_floor : predicted;
  const float part = measured / bounded;
  return {std::fma(-measured, logarithm(bounded), predicted), 1.0F - (below ? 0.0F : part)};
}

/// |sqrt(n) - sqrt(lambda + floor)|; its slope is 0 where the two are equal.
inline PixelLoss amplitude_pixel(float predicted, float measured_amplitude) {
  const float amplitude = std::sqrt(predicted + lambda_floor), difference = amplitude - measured_amplitude;
  const float half = 0.5F / amplitude;
  const float slope = std::copysign(half, difference);
  return {std::fabs(difference), difference == 0.0F ? 0.0F : slope};
}

}  // namespace ptyfuse::ops::cpu
