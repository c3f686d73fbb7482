#pragma once
// The node of a max-pool, for those who record it; private to this room.
#include "autodiff/ops/gradient_target.h"

namespace ptyfuse::autodiff {

class MaxPool2Node final : public Node {
 public:
  /// pooled_before: the node that produces `in` writes `out` as well.
  MaxPool2Node(ValueId in, ValueId out, bool pooled_before) : in_(in), out_(out), pooled_before_(pooled_before) {}

  /// The value that the node will produce. Error(shape): `in` has another rank or odd extents.
  static ValueId output(Tape& tape, ValueId in);

  const char* name() const override { return "max_pool2"; }
  std::vector<ValueId> inputs() const override { return {in_}; }
  std::vector<ValueId> outputs() const override { return {out_}; }
  std::vector<ValueId> backward_reads() const override { return {in_, out_}; }
  void prepare(const Tape& tape) override { gradient_.prepare(tape, *this, in_); }
  void forward(Stream& stream, const Tape& tape) override;
  void backward(Stream& stream, const Tape& tape) override;

 private:
  ValueId in_, out_;
  bool pooled_before_;
  GradientTarget gradient_;
};

}  // namespace ptyfuse::autodiff
