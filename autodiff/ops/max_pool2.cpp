#include "kernels/ops/max_pool2.h"

#include "autodiff/ops/gradient_target.h"
#include "autodiff/ops/nodes.h"

namespace ptyfuse::autodiff {
namespace {

class MaxPool2Node final : public Node {
 public:
  MaxPool2Node(ValueId in, ValueId out) : in_(in), out_(out) {}

  const char* name() const override { return "max_pool2"; }
  std::vector<ValueId> inputs() const override { return {in_}; }
  std::vector<ValueId> outputs() const override { return {out_}; }
  std::vector<ValueId> backward_reads() const override { return {in_, out_}; }
  void prepare(const Tape& tape) override { gradient_.prepare(tape, *this, in_); }

  void forward(Stream& stream, const Tape& tape) override { ops::max_pool2(stream, tape.value(in_), tape.value(out_)); }
  void backward(Stream& stream, const Tape& tape) override {
    ops::max_pool2_backward(stream, tape.value(in_), tape.value(out_), tape.gradient(out_), gradient_.view(tape));
    gradient_.finish(stream, tape);
  }

 private:
  ValueId in_, out_;
  GradientTarget gradient_;
};

}  // namespace

ValueId max_pool2(Tape& tape, ValueId in) {
  const Shape& source = tape.shape(in);
  if (source.rank() != 4 || source[1] % 2 != 0 || source[2] % 2 != 0)
    throw_shape_error("max_pool2", "input " + source.str() + "; expected [B,H,W,C] with even H and W");
  const ValueId out =
      tape.intermediate({source[0], source[1] / 2, source[2] / 2, source[3]}, tape.name(in) + " pooled");
  tape.add(std::make_unique<MaxPool2Node>(in, out));
  return out;
}

}  // namespace ptyfuse::autodiff
