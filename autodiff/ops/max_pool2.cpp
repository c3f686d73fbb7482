#include "kernels/ops/max_pool2.h"

#include "autodiff/ops/max_pool2_node.h"
#include "autodiff/ops/nodes.h"

namespace ptyfuse::autodiff {

ValueId MaxPool2Node::output(Tape& tape, ValueId in) {
  const Shape& source = tape.shape(in);
  if (source.rank() != 4 || source[1] % 2 != 0 || source[2] % 2 != 0)
    throw_shape_error("max_pool2", "input " + source.str() + "; expected [B,H,W,C] with even H and W");
  return tape.intermediate({source[0], source[1] / 2, source[2] / 2, source[3]}, tape.name(in) + " pooled");
}

void MaxPool2Node::forward(Stream& stream, const Tape& tape) {
  if (!pooled_before_) ops::max_pool2(stream, tape.value(in_), tape.value(out_));
}

void MaxPool2Node::backward(Stream& stream, const Tape& tape) {
  ops::max_pool2_backward(stream, tape.value(in_), tape.value(out_), tape.gradient(out_), gradient_.view(tape));
  gradient_.finish(stream, tape);
}

ValueId max_pool2(Tape& tape, ValueId in) {
  const ValueId out = MaxPool2Node::output(tape, in);
  tape.add(std::make_unique<MaxPool2Node>(in, out, false));
  return out;
}

}  // namespace ptyfuse::autodiff
