#include <optional>

#include "autodiff/ops/max_pool2_node.h"
#include "autodiff/ops/nodes.h"

namespace ptyfuse::autodiff {
namespace {

class Conv3x3Node final : public Node {
 public:
  Conv3x3Node(ValueId in, ValueId weights, ValueId bias, ValueId out, std::optional<ValueId> pooled,
              const ops::Conv3x3Spec& spec)
      : in_(in), weights_(weights), bias_(bias), out_(out), pooled_(pooled), spec_(spec) {}

  const char* name() const override { return "conv3x3"; }
  std::vector<ValueId> inputs() const override { return {in_, weights_, bias_}; }
  std::vector<ValueId> outputs() const override { return {out_}; }
  std::vector<ValueId> early_outputs() const override {
    return pooled_ ? std::vector<ValueId>{*pooled_} : std::vector<ValueId>{};
  }
  std::vector<ValueId> backward_reads() const override {
    if (spec_.activation == ops::ConvActivation::none) return {in_};
    return {in_, out_};
  }

  void prepare(const Tape& tape) override {
    convolution_.emplace(tape.device(), spec_, tape.mode() == TapeMode::training, tape.convolution_scratch());
  }

  void forward(Stream& stream, const Tape& tape) override {
    if (packed_version_ != tape.parameters_version()) {
      convolution_->set_weights(stream, tape.value(weights_), tape.value(bias_));
      packed_version_ = tape.parameters_version();
    }
    if (pooled_)
      convolution_->forward_and_pool(stream, tape.value(in_), tape.value(out_), tape.value(*pooled_));
    else
      convolution_->forward(stream, tape.value(in_), tape.value(out_));
  }

  void backward(Stream& stream, const Tape& tape) override {
    const bool to_input = tape.wants_gradient(in_);
    convolution_->backward(stream, tape.value(in_), tape.value(out_), tape.gradient(out_),
                           to_input ? tape.gradient(in_) : TensorView<float>(),
                           to_input && tape.accumulates(*this, in_), tape.gradient(weights_), tape.gradient(bias_));
  }

 private:
  ValueId in_, weights_, bias_, out_;
  std::optional<ValueId> pooled_;
  ops::Conv3x3Spec spec_;
  std::optional<ops::Conv3x3> convolution_;
  int64_t packed_version_ = -1;
};

struct Recorded {
  ops::Conv3x3Spec spec;
  ValueId out;
};
Recorded output_of(Tape& tape, ValueId in, ValueId weights, ValueId bias, ops::ConvActivation activation,
                   ops::Precision precision, bool input_upsampled) {
  const Shape& source = tape.shape(in);
  const Shape& kernel = tape.shape(weights);
  if (source.rank() != 4 || kernel.rank() != 4 || kernel[0] != 3 || kernel[1] != 3 || kernel[2] != source[3] ||
      !(tape.shape(bias) == Shape{kernel[3]}))
    throw_shape_error("conv3x3", "input " + source.str() + ", weights " + kernel.str() + " and bias " +
                                     tape.shape(bias).str() + "; expected [B,H,W,Cin], [3,3,Cin,Cout] and [Cout]");
  const int64_t factor = input_upsampled ? 2 : 1;
  ops::Conv3x3Spec spec;
  spec.batch = source[0];
  spec.height = source[1] * factor;
  spec.width = source[2] * factor;
  spec.in_channels = source[3];
  spec.out_channels = kernel[3];
  spec.activation = activation;
  spec.precision = precision;
  spec.input_upsampled = input_upsampled;
  return {spec,
          tape.intermediate({spec.batch, spec.height, spec.width, spec.out_channels}, tape.name(weights) + " output")};
}

}  // namespace

ValueId conv3x3(Tape& tape, ValueId in, ValueId weights, ValueId bias, ops::ConvActivation activation,
                ops::Precision precision, bool input_upsampled) {
  const Recorded made = output_of(tape, in, weights, bias, activation, precision, input_upsampled);
  tape.add(std::make_unique<Conv3x3Node>(in, weights, bias, made.out, std::nullopt, made.spec));
  return made.out;
}

ValueId conv3x3_and_pool(Tape& tape, ValueId in, ValueId weights, ValueId bias, ops::ConvActivation activation,
                         ops::Precision precision) {
  const Recorded made = output_of(tape, in, weights, bias, activation, precision, false);
  const ValueId pooled = MaxPool2Node::output(tape, made.out);
  tape.add(std::make_unique<Conv3x3Node>(in, weights, bias, made.out, pooled, made.spec));
  tape.add(std::make_unique<MaxPool2Node>(made.out, pooled, true));
  return pooled;
}

}  // namespace ptyfuse::autodiff
