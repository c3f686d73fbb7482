#include "kernels/ops/absolute_error.h"

#include "autodiff/ops/gradient_target.h"
#include "autodiff/ops/nodes.h"

namespace ptyfuse::autodiff {
namespace {

class AbsoluteErrorNode final : public Node {
 public:
  AbsoluteErrorNode(ValueId amplitude, ValueId amplitude_target, ValueId phase, ValueId phase_target,
                    AbsoluteErrorLoss* result)
      : amplitude_(amplitude),
        amplitude_target_(amplitude_target),
        phase_(phase),
        phase_target_(phase_target),
        result_(result) {}

  const char* name() const override { return "absolute_error"; }
  std::vector<ValueId> inputs() const override { return {amplitude_, amplitude_target_, phase_, phase_target_}; }
  std::vector<ValueId> outputs() const override { return {}; }
  std::vector<ValueId> backward_reads() const override { return inputs(); }
  void prepare(const Tape& tape) override {
    grad_amplitude_.prepare(tape, *this, amplitude_);
    grad_phase_.prepare(tape, *this, phase_);
    for (auto& [sum, value] : {std::pair{&amplitude_error_, &result_->amplitude}, {&phase_error_, &result_->phase}}) {
      *sum = ops::DeviceSum(tape.device(), "absolute error");
      *value = std::as_const(*sum).value();
    }
  }

  void forward(Stream& stream, const Tape& tape) override {
    ops::absolute_error(stream, tape.value(amplitude_), tape.value(amplitude_target_), {}, amplitude_error_);
    ops::absolute_error(stream, tape.value(phase_), tape.value(phase_target_), {}, phase_error_);
  }
  void backward(Stream& stream, const Tape& tape) override {
    if (grad_amplitude_.wanted())
      ops::absolute_error(stream, tape.value(amplitude_), tape.value(amplitude_target_), grad_amplitude_.view(tape),
                          amplitude_error_);
    if (grad_phase_.wanted())
      ops::absolute_error(stream, tape.value(phase_), tape.value(phase_target_), grad_phase_.view(tape), phase_error_);
    grad_amplitude_.finish(stream, tape);
    grad_phase_.finish(stream, tape);
  }

 private:
  ValueId amplitude_, amplitude_target_, phase_, phase_target_;
  AbsoluteErrorLoss* result_;
  GradientTarget grad_amplitude_, grad_phase_;
  ops::DeviceSum amplitude_error_, phase_error_;  // the same by both ways
};

}  // namespace

void absolute_error(Tape& tape, ValueId amplitude, ValueId amplitude_target, ValueId phase, ValueId phase_target,
                    AbsoluteErrorLoss* result) {
  for (const ValueId v : {amplitude_target, phase, phase_target})
    if (!(tape.shape(v) == tape.shape(amplitude)))
      throw_shape_error("absolute_error", "'" + tape.name(v) + "' has shape " + tape.shape(v).str() +
                                              ", the amplitude " + tape.shape(amplitude).str());
  tape.add(std::make_unique<AbsoluteErrorNode>(amplitude, amplitude_target, phase, phase_target, result));
}

}  // namespace ptyfuse::autodiff
