#include "kernels/ops/total_variation.h"

#include "autodiff/ops/gradient_target.h"
#include "autodiff/ops/nodes.h"
#include "autodiff/ops/patch_view.h"
#include "kernels/ops/complex_patch.h"
#include "kernels/ops/merge.h"

namespace ptyfuse::autodiff {
namespace {

class TotalVariationNode final : public Node {
 public:
  TotalVariationNode(ValueId amplitude, ValueId phase, const PhysicsBinding* binding, bool members_as_images,
                     TotalVariationLoss* loss)
      : amplitude_(amplitude),
        phase_(phase),
        binding_(binding),
        members_as_images_(members_as_images),
        merged_(binding->spec.heads == binding->spec.members && binding->inputs.weight),
        loss_(loss) {}

  const char* name() const override { return "total_variation"; }
  std::vector<ValueId> inputs() const override { return {amplitude_, phase_}; }
  std::vector<ValueId> outputs() const override { return {}; }
  std::vector<ValueId> backward_reads() const override { return inputs(); }
  void prepare(const Tape& tape) override {
    grad_amplitude_.prepare(tape, *this, amplitude_);
    grad_phase_.prepare(tape, *this, phase_);
    const ops::PhysicsSpec& s = binding_->spec;
    patches_ = Tensor<complex64>(tape.device(), {s.batch, s.heads, s.side, s.side}, "total variation's patches");
    grad_region_ = Tensor<complex64>(tape.device(), {s.batch, s.side, s.side}, "total variation's gradient");
    sum_ = ops::DeviceSum(tape.device(), "total variation");
    loss_->value = std::as_const(sum_).value();
    if (merged_) region_ = Tensor<complex64>(tape.device(), {s.batch, s.side, s.side}, "total variation's region");
  }

  void forward(Stream& stream, const Tape& tape) override {
    const TensorView<const float> amplitude = patches(tape.value(amplitude_)), phase = patches(tape.value(phase_));
    ops::complex_patch(stream, amplitude, phase, patches_.view());
    // A canvas of the patch's own side is the central part of any larger one.
    if (merged_) ops::merge(stream, merge_args(), patches_.view(), region_.view());
    const TensorView<const complex64> fields = merged_ ? region_.view() : patches_.view().reshape(grad_region_.shape());
    ops::total_variation(stream, fields, loss_->weight, grad_region_.view(), sum_);
  }
  void backward(Stream& stream, const Tape& tape) override {
    if (!grad_amplitude_.wanted() || !grad_phase_.wanted())
      throw_shape_error("total_variation", "amplitude and phase must both depend on parameters");
    if (merged_) ops::merge_adjoint(stream, merge_args(), grad_region_.view(), patches_.view());
    const TensorView<const complex64> grad_patches =
        merged_ ? patches_.view() : grad_region_.view().reshape(patches_.shape());
    ops::complex_patch_backward(stream, patches(tape.value(amplitude_)), patches(tape.value(phase_)), grad_patches,
                                patches(grad_amplitude_.view(tape)), patches(grad_phase_.view(tape)));
    grad_amplitude_.finish(stream, tape);
    grad_phase_.finish(stream, tape);
  }

 private:
  TensorView<float> patches(TensorView<float> v) const {
    return patch_view(v, binding_->spec.members, members_as_images_);
  }
  ops::MergeArgs merge_args() const {
    return {binding_->inputs.offsets_px, binding_->inputs.weight, binding_->spec.unmasked_numerator};
  }

  ValueId amplitude_, phase_;
  const PhysicsBinding* binding_;
  bool members_as_images_, merged_;
  TotalVariationLoss* loss_;
  GradientTarget grad_amplitude_, grad_phase_;
  Tensor<complex64> patches_, region_, grad_region_;
  ops::DeviceSum sum_;
};

}  // namespace

void total_variation(Tape& tape, ValueId amplitude, ValueId phase, const PhysicsBinding* binding,
                     bool members_as_images, TotalVariationLoss* loss) {
  tape.add(std::make_unique<TotalVariationNode>(amplitude, phase, binding, members_as_images, loss));
}

}  // namespace ptyfuse::autodiff
