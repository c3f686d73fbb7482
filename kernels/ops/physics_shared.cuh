#pragma once
// What the fused physics step and the one by parts have in common.
#include "kernels/device/warp.cuh"
#include "kernels/ops/likelihood.cuh"
#include "kernels/ops/physics_cuda.h"
#include "kernels/ops/pixel_launch.cuh"
#include "kernels/ops/strided_images.cuh"
#include "kernels/ops/translation.cuh"

namespace ptyfuse::ops::cuda {

/// A call's tensors and constants, as the kernels take them.
struct PhysicsCall {
  StridedImages<const float> amplitude, phase, measured;
  StridedImages<float> grad_amplitude, grad_phase;  ///< null: forward only
  const float* offsets_px;
  const float2* probe;
  const float* weight;
  const float* mask;
  int64_t groups;  ///< of the whole batch
  int side, canvas, members, heads, modes;
  bool merged;  ///< the region is a weighted mean of the members' patches, not one padded patch
  bool unmasked_numerator;
  const float* intensity_scale;  ///< of the unscaled transform's squared magnitude; PhysicsSums writes it
  float measured_scale;
  double nll_weight, mae_weight;
};

inline PhysicsCall physics_call(const PhysicsSpec& spec, const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                                TensorView<float> grad_phase, const PhysicsSums& sums) {
  return {.amplitude = strided_images("physics", inputs.amplitude),
          .phase = strided_images("physics", inputs.phase),
          .measured = strided_images("physics", inputs.measured),
          .grad_amplitude = strided_images("physics", grad_amplitude),
          .grad_phase = strided_images("physics", grad_phase),
          .offsets_px = inputs.offsets_px.data(),
          .probe = device_pointer(inputs.probe.data()),
          .weight = inputs.weight.data(),
          .mask = inputs.mask.data(),
          .groups = inputs.amplitude.extent(0),
          .side = static_cast<int>(spec.side),
          .canvas = static_cast<int>(spec.canvas),
          .members = static_cast<int>(spec.members),
          .heads = static_cast<int>(spec.heads),
          .modes = static_cast<int>(spec.probe_modes),
          .merged = spec.heads == spec.members && static_cast<bool>(inputs.weight),
          .unmasked_numerator = spec.unmasked_numerator,
          .intensity_scale = sums.intensity_scale(),
          .measured_scale = inputs.measured_scale,
          .nll_weight = inputs.nll_weight,
          .mae_weight = inputs.mae_weight};
}

/// Losses of pixels, added up by a thread.
struct LossSums {
  double nll = 0, mae = 0, slope = 0;
};

/// How much a used pixel counts: the weights of both losses over the number of used pixels in the batch; and the scale
/// of its intensity.
struct LossSlopes {
  float nll, mae, intensity_scale;
};
__device__ __forceinline__ LossSlopes loss_slopes(const PhysicsCall& call, double used) {
  const double all = used * static_cast<double>(call.groups * call.members), per_pixel = all == 0 ? 0 : 1 / all;
  return {static_cast<float>(call.nll_weight * per_pixel), static_cast<float>(call.mae_weight * per_pixel),
          *call.intensity_scale};
}

/// Adds a used pixel's losses; the result is what its unscaled transform is multiplied by to become the loss's
/// gradient.
__device__ __forceinline__ float compare_pixel(const PhysicsCall& call, const LossSlopes& slopes, float intensity,
                                               float measured, LossSums& sums) {
  const float predicted = slopes.intensity_scale * intensity, amplitude = fabsf(call.measured_scale * measured);
  const PixelLoss poisson = poisson_pixel(predicted, amplitude * amplitude);
  const PixelLoss absolute = amplitude_pixel(predicted, amplitude);
  const float slope = slopes.nll * poisson.slope + slopes.mae * absolute.slope;
  sums.nll += static_cast<double>(poisson.value);
  sums.mae += static_cast<double>(absolute.value);
  sums.slope += static_cast<double>(predicted * slope);
  return 2.0F * slopes.intensity_scale * slope;
}

/// Adds up the block's sums into values[0..2]; `scratch`: a double for each warp. All threads must call.
__device__ __forceinline__ void store_sums(const LossSums& sums, double* scratch, double* values) {
  const double nll = block_sum(sums.nll, scratch), mae = block_sum(sums.mae, scratch);
  const double slope = block_sum(sums.slope, scratch);
  if (threadIdx.x == 0) {
    values[0] = nll;
    values[1] = mae;
    values[2] = slope;
  }
}

}  // namespace ptyfuse::ops::cuda
