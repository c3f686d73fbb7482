#pragma once
// The physics step put together from the small operations, each of its values kept: what the fused step must equal.
#include <algorithm>

#include "kernels/ops/complex_patch.h"
#include "kernels/ops/data_loss.h"
#include "kernels/ops/detector_counts.h"
#include "kernels/ops/extract.h"
#include "kernels/ops/fft2.h"
#include "kernels/ops/illuminate.h"
#include "kernels/ops/merge.h"
#include "kernels/ops/physics.h"

namespace ptyfuse::tests {

/// From object patches [B,heads,N,N] to the losses, and back to the gradient with respect to the object patches.
class ComposedPhysics {
 public:
  /// inputs.amplitude and .phase are not used; inputs.measured is contiguous.
  ComposedPhysics(Stream& stream, const ops::PhysicsSpec& spec, int64_t batch, const ops::PhysicsInputs& inputs,
                  TensorView<const complex64> object_patches)
      : region(stream.device(), {batch, spec.canvas, spec.canvas}, "region"),
        patches(stream.device(), {batch, spec.members, spec.side, spec.side}, "patches"),
        exit_waves(stream.device(), {batch * spec.members, spec.probe_modes, spec.side, spec.side}, "exit waves"),
        far_field(stream.device(), exit_waves.shape(), "far field"),
        predicted(stream.device(), {batch * spec.members, spec.side, spec.side}, "predicted"),
        grad_object(stream.device(), object_patches.shape(), "gradient") {
    const int64_t n = spec.side, patterns = batch * spec.members;
    const bool merged = spec.heads == spec.members && inputs.weight;
    const ops::MergeArgs args{inputs.offsets_px, inputs.weight, spec.unmasked_numerator};
    if (merged)
      ops::merge(stream, args, object_patches, region.view());
    else
      pad(object_patches, spec, batch);
    ops::extract(stream, std::as_const(region).view(), inputs.offsets_px, patches.view());
    const ops::Fft2 fft(stream.device(), n, n);
    const auto flat = patches.view().reshape({patterns, n, n});
    ops::illuminate(stream, flat, inputs.probe, exit_waves.view());
    const Shape images{patterns * spec.probe_modes, n, n};
    fft.run(stream, ops::FftDirection::forward, exit_waves.view().reshape(images), far_field.view().reshape(images));
    ops::detector_counts(stream, far_field.view(), inputs.log_scale, predicted.view());

    Tensor<float> counts(stream.device(), predicted.shape(), "counts"),
        grad_nll(stream.device(), counts.shape(), "nll"), grad_mae(stream.device(), counts.shape(), "mae");
    for (int64_t i = 0; i < counts.elements(); ++i) {
      const float amplitude = inputs.measured_scale * inputs.measured.data()[i];
      counts.data()[i] = amplitude * amplitude;
    }
    result.nll =
        ops::poisson_nll(stream, predicted.view(), counts.view(), inputs.mask, inputs.nll_weight, grad_nll.view());
    result.mae =
        ops::amplitude_mae(stream, predicted.view(), counts.view(), inputs.mask, inputs.mae_weight, grad_mae.view());
    result.loss = inputs.nll_weight * result.nll + inputs.mae_weight * result.mae;
    for (int64_t i = 0; i < counts.elements(); ++i) {
      grad_nll.data()[i] += grad_mae.data()[i];
      result.grad_log_scale += 2.0 * predicted.data()[i] * grad_nll.data()[i];
    }

    Tensor<complex64> grad_field(stream.device(), far_field.shape(), "gradient"),
        grad_patches(stream.device(), patches.shape(), "gradient"),
        grad_region(stream.device(), region.shape(), "gradient");
    ops::detector_counts_backward(stream, far_field.view(), inputs.log_scale, grad_nll.view(), grad_field.view());
    fft.run(stream, ops::FftDirection::inverse, grad_field.view().reshape(images), grad_field.view().reshape(images));
    ops::illuminate_adjoint(stream, grad_field.view(), inputs.probe, grad_patches.view().reshape({patterns, n, n}));
    ops::extract_adjoint(stream, grad_patches.view(), inputs.offsets_px, grad_region.view());
    if (merged)
      ops::merge_adjoint(stream, args, grad_region.view(), grad_object.view());
    else
      trim(grad_region, spec, batch);
  }

  Tensor<complex64> region, patches, exit_waves, far_field;
  Tensor<float> predicted;
  Tensor<complex64> grad_object;
  ops::PhysicsResult result;

 private:
  void pad(TensorView<const complex64> object, const ops::PhysicsSpec& spec, int64_t batch) {
    const int64_t margin = (spec.canvas - spec.side) / 2;
    std::fill_n(region.data(), region.elements(), complex64{});
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t y = 0; y < spec.side; ++y)
        for (int64_t x = 0; x < spec.side; ++x) region.view()(b, y + margin, x + margin) = object(b, 0, y, x);
  }
  void trim(const Tensor<complex64>& grad_region, const ops::PhysicsSpec& spec, int64_t batch) {
    const int64_t margin = (spec.canvas - spec.side) / 2;
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t y = 0; y < spec.side; ++y)
        for (int64_t x = 0; x < spec.side; ++x)
          grad_object.view()(b, 0, y, x) = grad_region.view()(b, y + margin, x + margin);
  }
};

}  // namespace ptyfuse::tests
