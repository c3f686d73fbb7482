#include "kernels/ops/head.h"

#include "autodiff/ops/gradient_target.h"
#include "autodiff/ops/nodes.h"

namespace ptyfuse::autodiff {
namespace {

class HeadNode final : public Node {
 public:
  HeadNode(const ops::HeadSpec& spec, ValueId centre, ValueId border, ValueId out)
      : spec_(spec), centre_(centre), border_(border), out_(out) {}

  const char* name() const override { return "head"; }
  std::vector<ValueId> inputs() const override {
    if (!has_border()) return {centre_};
    return {centre_, border_};
  }
  std::vector<ValueId> outputs() const override { return {out_}; }
  std::vector<ValueId> backward_reads() const override { return inputs(); }
  void prepare(const Tape& tape) override {
    grad_centre_.prepare(tape, *this, centre_);
    if (has_border()) grad_border_.prepare(tape, *this, border_);
  }

  void forward(Stream& stream, const Tape& tape) override {
    ops::head(stream, spec_, tape.value(centre_), border(tape), tape.value(out_));
  }
  void backward(Stream& stream, const Tape& tape) override {
    ops::head_backward(stream, spec_, tape.value(centre_), border(tape), tape.gradient(out_), grad_centre_.view(tape),
                       grad_border_.view(tape));
    grad_centre_.finish(stream, tape);
    grad_border_.finish(stream, tape);
  }

 private:
  bool has_border() const { return border_.index >= 0; }
  TensorView<const float> border(const Tape& tape) const {
    return has_border() ? TensorView<const float>(tape.value(border_)) : TensorView<const float>();
  }

  ops::HeadSpec spec_;
  ValueId centre_, border_, out_;
  GradientTarget grad_centre_, grad_border_;
};

}  // namespace

ValueId head(Tape& tape, const ops::HeadSpec& spec, ValueId centre, ValueId border, bool padded) {
  const Shape& inner = tape.shape(centre);
  if (inner.rank() != 4) throw_shape_error("head", "centre " + inner.str() + "; expected [B,H,W,C]");
  const int64_t factor = padded ? 2 : 1;
  const Shape full{inner[0], inner[1] * factor, inner[2] * factor, inner[3]};
  if (border.index >= 0 && (!padded || !(tape.shape(border) == full)))
    throw_shape_error("head", "border " + tape.shape(border).str() + " round a centre " + inner.str() +
                                  "; a border has twice the centre's height and width");
  const ValueId out = tape.intermediate(full, tape.name(centre) + " activated");
  tape.add(std::make_unique<HeadNode>(spec, centre, border, out));
  return out;
}

}  // namespace ptyfuse::autodiff
