#pragma once
// The physics step put together from the small operations, each of its values kept: what the fused step must equal.
#include <algorithm>

#include "kernels/ops/add.h"
#include "kernels/ops/complex_patch.h"
#include "kernels/ops/data_loss.h"
#include "kernels/ops/detector_counts.h"
#include "kernels/ops/extract.h"
#include "kernels/ops/fft2.h"
#include "kernels/ops/illuminate.h"
#include "kernels/ops/merge.h"
#include "kernels/ops/physics.h"
#include "tests/support/device.h"

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
      pad(stream, object_patches, spec, batch);
    ops::extract(stream, std::as_const(region).view(), inputs.offsets_px, patches.view());
    const ops::Fft2 fft(stream.device(), n, n);
    const auto flat = patches.view().reshape({patterns, n, n});
    ops::illuminate(stream, flat, inputs.probe, exit_waves.view());
    const Shape images{patterns * spec.probe_modes, n, n};
    fft.run(stream, ops::FftDirection::forward, exit_waves.view().reshape(images), far_field.view().reshape(images));
    ops::detector_counts(stream, far_field.view(), inputs.log_scale, predicted.view());

    Tensor<float> counts(stream.device(), predicted.shape(), "counts"),
        grad_nll(stream.device(), counts.shape(), "nll"), grad_mae(stream.device(), counts.shape(), "mae");
    std::vector<float> squares(static_cast<size_t>(counts.elements()));
    copy_to_host(stream, squares.data(), inputs.measured, counts.elements());
    for (float& v : squares) v = inputs.measured_scale * v * (inputs.measured_scale * v);
    copy_to_device(stream, counts.view(), squares.data(), counts.elements());
    result.nll =
        ops::poisson_nll(stream, predicted.view(), counts.view(), inputs.mask, inputs.nll_weight, grad_nll.view());
    result.mae =
        ops::amplitude_mae(stream, predicted.view(), counts.view(), inputs.mask, inputs.mae_weight, grad_mae.view());
    result.loss = inputs.nll_weight * result.nll + inputs.mae_weight * result.mae;
    ops::add(stream, std::as_const(grad_mae).view(), grad_nll.view());
    const auto slopes = download(stream, grad_nll), rates = download(stream, predicted);
    for (size_t i = 0; i < slopes.size(); ++i) result.grad_log_scale += 2.0 * rates[i] * slopes[i];

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
      trim(stream, grad_region, spec, batch);
  }

  Tensor<complex64> region, patches, exit_waves, far_field;
  Tensor<float> predicted;
  Tensor<complex64> grad_object;
  ops::PhysicsResult result;

 private:
  void pad(Stream& stream, TensorView<const complex64> object, const ops::PhysicsSpec& spec, int64_t batch) {
    const int64_t margin = (spec.canvas - spec.side) / 2;
    std::vector<complex64> one(static_cast<size_t>(object.elements())), padded(static_cast<size_t>(region.elements()));
    copy_to_host(stream, one.data(), object, object.elements());
    const TensorView<complex64> from(one.data(), object.shape()), to(padded.data(), region.shape());
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t y = 0; y < spec.side; ++y)
        for (int64_t x = 0; x < spec.side; ++x) to(b, y + margin, x + margin) = from(b, 0, y, x);
    copy_to_device(stream, region.view(), padded.data(), region.elements());
  }
  void trim(Stream& stream, const Tensor<complex64>& grad_region, const ops::PhysicsSpec& spec, int64_t batch) {
    const int64_t margin = (spec.canvas - spec.side) / 2;
    const HostCopy from(stream, grad_region);
    std::vector<complex64> trimmed(static_cast<size_t>(grad_object.elements()));
    const TensorView<complex64> to(trimmed.data(), grad_object.shape());
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t y = 0; y < spec.side; ++y)
        for (int64_t x = 0; x < spec.side; ++x) to(b, 0, y, x) = from(b, y + margin, x + margin);
    copy_to_device(stream, grad_object.view(), trimmed.data(), grad_object.elements());
  }
};

}  // namespace ptyfuse::tests
