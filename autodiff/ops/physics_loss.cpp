#include "kernels/ops/physics.h"

#include <optional>

#include "autodiff/ops/gradient_target.h"
#include "autodiff/ops/nodes.h"
#include "autodiff/ops/patch_view.h"

namespace ptyfuse::autodiff {
namespace {

/// The fused step gives loss and gradients in one pass, so in training both are made in forward().
class PhysicsLossNode final : public Node {
 public:
  PhysicsLossNode(ValueId amplitude, ValueId phase, PhysicsBinding* binding, bool members_as_images)
      : amplitude_(amplitude), phase_(phase), binding_(binding), members_as_images_(members_as_images) {}

  const char* name() const override { return "physics_loss"; }
  std::vector<ValueId> inputs() const override { return {amplitude_, phase_}; }
  std::vector<ValueId> outputs() const override { return {}; }
  std::vector<ValueId> backward_reads() const override { return {}; }
  void prepare(const Tape& tape) override {
    grad_amplitude_.prepare(tape, *this, amplitude_);
    grad_phase_.prepare(tape, *this, phase_);
    physics_.emplace(tape.device(), binding_->spec);
    binding_->result = physics_->result();
  }

  void forward(Stream& stream, const Tape& tape) override {
    binding_->inputs.amplitude = patches(tape.value(amplitude_));
    binding_->inputs.phase = patches(tape.value(phase_));
    const bool training = !binding_->loss_only;
    has_gradients_ = training;
    if (!training) return physics_->enqueue(stream, binding_->inputs, {}, {});
    physics_->enqueue(stream, binding_->inputs, patches(grad_amplitude_.view(tape)), patches(grad_phase_.view(tape)),
                      binding_->grad_log_scale);
  }
  void backward(Stream& stream, const Tape& tape) override {
    if (!has_gradients_)
      throw_shape_error("physics_loss", "backward() after a forward() with loss_only, which makes no gradients");
    grad_amplitude_.finish(stream, tape);
    grad_phase_.finish(stream, tape);
  }

 private:
  TensorView<float> patches(TensorView<float> v) const {
    return patch_view(v, binding_->spec.members, members_as_images_);
  }

  ValueId amplitude_, phase_;
  PhysicsBinding* binding_;
  bool members_as_images_, has_gradients_ = false;
  GradientTarget grad_amplitude_, grad_phase_;
  std::optional<ops::Physics> physics_;
};

}  // namespace

void physics_loss(Tape& tape, ValueId amplitude, ValueId phase, PhysicsBinding* binding, bool members_as_images) {
  const ops::PhysicsSpec& spec = binding->spec;
  const Shape expected = members_as_images ? Shape{spec.batch * spec.members, spec.side, spec.side, 1}
                                           : Shape{spec.batch, spec.side, spec.side, spec.heads};
  for (const ValueId v : {amplitude, phase})
    if (!(tape.shape(v) == expected))
      throw_shape_error("physics_loss",
                        "'" + tape.name(v) + "' has shape " + tape.shape(v).str() + "; expected " + expected.str());
  if (members_as_images && spec.heads != spec.members)
    throw_shape_error("physics_loss", "members as images need a head for each member");
  tape.add(std::make_unique<PhysicsLossNode>(amplitude, phase, binding, members_as_images));
}

}  // namespace ptyfuse::autodiff
