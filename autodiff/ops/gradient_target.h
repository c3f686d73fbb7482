#pragma once
#include "autodiff/tape.h"
#include "kernels/ops/add.h"

namespace ptyfuse::autodiff {

/// Where a node whose operation can only overwrite puts the gradient of one of its inputs: straight into the tape, or,
/// where another reader has written there before, into memory of its own that finish() adds.
class GradientTarget {
 public:
  /// For Node::prepare().
  void prepare(const Tape& tape, const Node& node, ValueId input) {
    input_ = input;
    wanted_ = tape.wants_gradient(input);
    adds_ = wanted_ && tape.accumulates(node, input);
    if (adds_) own_ = Tensor<float>(tape.device(), tape.shape(input), "gradient of " + tape.name(input));
  }
  bool wanted() const { return wanted_; }
  bool adds() const { return adds_; }
  /// Empty where no gradient is wanted.
  TensorView<float> view(const Tape& tape) {
    if (!wanted_) return {};
    return adds_ ? own_.view() : tape.gradient(input_);
  }
  void finish(Stream& stream, const Tape& tape) {
    if (adds_) ops::add(stream, own_.view(), tape.gradient(input_));
  }

 private:
  ValueId input_;
  bool wanted_ = false, adds_ = false;
  Tensor<float> own_;
};

}  // namespace ptyfuse::autodiff
