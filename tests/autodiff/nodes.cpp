// Nodes where a value has several readers: what the operations overwrite, the tape must add up.
#include "autodiff/ops/nodes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

using autodiff::Tape;
using autodiff::TapeMode;
using autodiff::ValueId;

/// One trainable convolution, and behind it what `branches` records: pairs of outputs whose mean absolute distance from
/// -1000 is the loss, so that the loss is their mean plus a constant.
class Fork {
 public:
  using Branches = std::vector<std::pair<ValueId, ValueId>> (*)(Tape&, ValueId);
  static constexpr int64_t batch = 2, side = 8, in_channels = 2, channels = 4;

  explicit Fork(Branches branches)
      : device_(test_device()),
        stream_(device_),
        kernel_(upload<float>(stream_, {3, 3, in_channels, channels},
                              random_floats(9 * in_channels * channels, -0.5, 0.5, 1))),
        bias_(upload<float>(stream_, {channels}, random_floats(channels, -0.2, 0.2, 2))),
        kernel_gradient_(device_, kernel_.shape(), "gradient"),
        bias_gradient_(device_, bias_.shape(), "gradient"),
        tape_(device_) {
    const ValueId x = tape_.input({batch, side, side, in_channels}, "x");
    const ValueId v = autodiff::conv3x3(tape_, x, tape_.parameter(kernel_.view(), kernel_gradient_.view(), "kernel"),
                                        tape_.parameter(bias_.view(), bias_gradient_.view(), "bias"),
                                        ops::ConvActivation::none, ops::Precision::fp32);
    const auto pairs = branches(tape_, v);
    losses_.resize(pairs.size());
    std::vector<ValueId> targets;
    for (size_t i = 0; i < pairs.size(); ++i) {
      targets.push_back(tape_.input(tape_.shape(pairs[i].first), "target"));
      targets.push_back(tape_.input(tape_.shape(pairs[i].first), "target"));
      autodiff::absolute_error(tape_, pairs[i].first, targets[2 * i], pairs[i].second, targets[2 * i + 1], &losses_[i]);
    }
    tape_.plan(TapeMode::training);
    const std::vector<float> in = random_floats(tape_.value(x).elements(), -1, 1, 3);
    copy_to_device(stream_, tape_.value(x), in.data(), static_cast<int64_t>(in.size()));
    for (const ValueId t : targets) {
      const std::vector<float> far(static_cast<size_t>(tape_.value(t).elements()), -1000.0F);
      copy_to_device(stream_, tape_.value(t), far.data(), static_cast<int64_t>(far.size()));
    }
  }

  double read(TensorView<const double> value) {
    double v = 0;
    copy_to_host(stream_, &v, value, 1);
    return v;
  }
  double loss() {
    tape_.parameters_changed();
    tape_.forward(stream_);
    double sum = 0;
    for (const autodiff::AbsoluteErrorLoss& l : losses_) sum += read(l.amplitude) + read(l.phase) - 2000;
    return sum;
  }

  /// The gradient of every parameter against central differences of the loss itself.
  void check(double tolerance) {
    for (int run = 0; run < 2; ++run) {  // the second time over memory that holds the first's values
      loss();
      tape_.backward(stream_);
    }
    expect_differences(kernel_, kernel_gradient_, tolerance);
    expect_differences(bias_, bias_gradient_, tolerance);
  }

 private:
  void expect_differences(Tensor<float>& parameter, const Tensor<float>& gradient, double tolerance) {
    const std::vector<float> expected = download(stream_, gradient);
    std::vector<double> difference(expected.size());
    std::vector<float> values = download(stream_, parameter);
    const auto loss_at = [&](size_t i, float value) {
      values[i] = value;
      copy_to_device(stream_, parameter.view(), values.data(), parameter.elements());
      return loss();
    };
    for (size_t i = 0; i < expected.size(); ++i) {
      const float at = values[i], step = 1.0F / 1024;
      const double up = loss_at(i, at + step), down = loss_at(i, at - step);
      difference[i] = (up - down) / (2.0 * step);
      loss_at(i, at);
    }
    EXPECT_WITHIN(relative_l2(expected.data(), difference.data(), parameter.elements()), tolerance);
  }

  Device device_;
  Stream stream_;
  Tensor<float> kernel_, bias_, kernel_gradient_, bias_gradient_;
  Tape tape_;
  std::vector<autodiff::AbsoluteErrorLoss> losses_;
};

TEST(nodes, pooling_and_upsampling_of_one_value_add_their_gradients) {
  Fork([](Tape& tape, ValueId v) {
    const ValueId pooled = autodiff::max_pool2(tape, v);
    const ValueId back = autodiff::max_pool2(tape, autodiff::max_pool2(tape, autodiff::upsample2(tape, v)));
    return std::vector<std::pair<ValueId, ValueId>>{{pooled, back}};
  }).check(5e-3);
}

TEST(nodes, upsampling_adds_where_another_reader_came_first) {
  Fork([](Tape& tape, ValueId v) {
    const ValueId back = autodiff::max_pool2(tape, autodiff::upsample2(tape, v));
    const ValueId again = autodiff::upsample2(tape, autodiff::max_pool2(tape, v));
    return std::vector<std::pair<ValueId, ValueId>>{{back, again}};
  }).check(5e-3);
}

TEST(nodes, heads_of_one_value_add_their_gradients) {
  Fork([](Tape& tape, ValueId v) {
    const ops::HeadSpec sigmoid{ops::HeadActivation::sigmoid, ops::HeadActivation::swish};
    const ops::HeadSpec tanh{ops::HeadActivation::pi_tanh, ops::HeadActivation::pi_tanh};
    const ValueId padded = autodiff::head(tape, sigmoid, autodiff::max_pool2(tape, v), v, true);
    const ValueId plain = autodiff::head(tape, tanh, v, {}, false);
    return std::vector<std::pair<ValueId, ValueId>>{{padded, plain}, {v, autodiff::head(tape, sigmoid, v, {}, false)}};
  }).check(5e-3);
}

TEST(nodes, losses_of_one_value_add_their_gradients) {
  Fork([](Tape& tape, ValueId v) {
    const ValueId pooled = autodiff::max_pool2(tape, v);
    const ValueId again = autodiff::max_pool2(tape, autodiff::upsample2(tape, pooled));
    return std::vector<std::pair<ValueId, ValueId>>{{pooled, again}, {again, pooled}};
  }).check(5e-3);
}

TEST(nodes, a_loss_without_gradients_has_no_way_back) {
  const Device device = test_device();
  Stream stream(device);
  struct Head {
    Tensor<float> kernel, bias, kernel_gradient, bias_gradient;
  };
  std::vector<Head> heads;
  for (const uint64_t seed : {1, 2})
    heads.push_back({upload<float>(stream, {3, 3, 2, 4}, random_floats(72, -0.5, 0.5, seed)),
                     upload<float>(stream, {4}, random_floats(4, -0.2, 0.2, seed)),
                     Tensor<float>(device, {3, 3, 2, 4}, "gradient"), Tensor<float>(device, {4}, "gradient")});
  const Tensor<float> offsets = upload<float>(stream, {1, 4, 2}, std::vector<float>(8)),
                      weight = upload<float>(stream, {8, 8}, std::vector<float>(64, 1)),
                      measured = upload<float>(stream, {1, 4, 8, 8}, std::vector<float>(256, 1));
  const Tensor<complex64> probe = upload<complex64>(stream, {1, 8, 8}, std::vector<complex64>(64, 1));
  autodiff::PhysicsBinding binding;
  binding.spec = {.batch = 1, .members = 4, .heads = 4, .side = 8, .canvas = 10};
  binding.inputs.offsets_px = offsets.view();
  binding.inputs.weight = weight.view();
  binding.inputs.measured = measured.view();
  binding.inputs.probe = probe.view();
  Tape tape(device);
  const ValueId x = tape.input({1, 8, 8, 2}, "x");
  std::vector<ValueId> patches;
  for (Head& h : heads)
    patches.push_back(autodiff::conv3x3(tape, x, tape.parameter(h.kernel.view(), h.kernel_gradient.view(), "kernel"),
                                        tape.parameter(h.bias.view(), h.bias_gradient.view(), "bias"),
                                        ops::ConvActivation::none, ops::Precision::fp32));
  autodiff::physics_loss(tape, patches[0], patches[1], &binding, false);
  tape.plan(TapeMode::training);
  const std::vector<float> in = random_floats(128, -1, 1, 3);
  copy_to_device(stream, tape.value(x), in.data(), 128);
  tape.forward(stream);
  EXPECT_EQ(error_message([&] { tape.backward(stream); }), "no error");
  binding.loss_only = true;
  tape.forward(stream);
  EXPECT_NE(error_message([&] { tape.backward(stream); }).find("loss_only"), std::string::npos);
}

// In inference, memory is used again as soon as its last reader is done: two layers show that a pooled value's is its
// own from the convolution on.
TEST(nodes, a_convolution_that_pools_is_a_convolution_and_a_pool) {
  struct Results {
    std::vector<float> pooled, gradient;
    bool operator==(const Results&) const = default;
  };
  const auto run = [](bool together, TapeMode mode) {
    Stream stream(test_device());
    const Device& device = stream.device();
    Tape tape(device);
    const ValueId x = tape.input({2, 8, 8, 3}, "x"), target = tape.input({2, 2, 2, 3}, "target"),
                  other = tape.input({2, 2, 2, 3}, "other target");
    ValueId v = x;
    std::vector<Tensor<float>> memory;
    memory.reserve(8);
    const auto keep = [&](const Shape& shape, uint64_t seed) -> Tensor<float>& {
      memory.push_back(upload<float>(stream, shape, random_floats(shape.elements(), -0.5, 0.5, seed)));
      return memory.back();
    };
    for (const uint64_t layer : {1, 2}) {
      Tensor<float>&kernel = keep({3, 3, 3, 3}, layer), &slope = keep({3, 3, 3, 3}, layer), &bias = keep({3}, layer),
      &bias_slope = keep({3}, layer);
      const ValueId k = tape.parameter(kernel.view(), slope.view(), "kernel");
      const ValueId b = tape.parameter(bias.view(), bias_slope.view(), "bias");
      constexpr auto relu = ops::ConvActivation::relu;
      v = together ? autodiff::conv3x3_and_pool(tape, v, k, b, relu, ops::Precision::fp32)
                   : autodiff::max_pool2(tape, autodiff::conv3x3(tape, v, k, b, relu, ops::Precision::fp32));
    }
    tape.keep(v);
    autodiff::AbsoluteErrorLoss loss;
    if (mode == TapeMode::training)
      autodiff::absolute_error(tape, v, target, autodiff::upsample2(tape, autodiff::max_pool2(tape, v)), other, &loss);
    tape.plan(mode);
    const std::vector<float> in = random_floats(384, -1, 1, 3), aim(24, -1000.0F);
    copy_to_device(stream, tape.value(x), in.data(), 384);
    for (const ValueId t : {target, other}) copy_to_device(stream, tape.value(t), aim.data(), 24);
    tape.forward(stream);
    Results r;
    r.pooled.resize(24);
    copy_to_host(stream, r.pooled.data(), TensorView<const float>(tape.value(v)), 24);
    if (mode == TapeMode::training) {
      tape.backward(stream);
      r.gradient = download(stream, memory[1]);
    }
    return r;
  };
  for (const TapeMode mode : {TapeMode::inference, TapeMode::training}) {
    const Results apart = run(false, mode);
    EXPECT_EQ(run(true, mode), apart);
    EXPECT_GT(*std::max_element(apart.pooled.begin(), apart.pooled.end()), 0);
  }
}

TEST(nodes, say_which_shapes_do_not_fit) {
  const Device device = test_device();
  Tape tape(device);
  Tensor<float> kernel(device, {3, 3, 2, 4}, "kernel"), bias(device, {4}, "bias");
  const ValueId k = tape.parameter(kernel.view(), {}, "kernel"), b = tape.parameter(bias.view(), {}, "bias");
  const ValueId odd = tape.input({1, 5, 4, 3}, "odd"), even = tape.input({1, 4, 4, 2}, "even");
  autodiff::PhysicsBinding binding;
  binding.spec.batch = 1;
  binding.spec.side = 4;
  autodiff::AbsoluteErrorLoss loss;
  const auto expect_named = [](const std::string& message, const char* expected) {
    EXPECT_NE(message.find(expected), std::string::npos) << message;
  };
  expect_named(
      error_message([&] { autodiff::conv3x3(tape, odd, k, b, ops::ConvActivation::none, ops::Precision::fp32); }),
      "conv3x3: input [1, 5, 4, 3]");
  expect_named(error_message([&] { autodiff::max_pool2(tape, odd); }), "even H and W");
  expect_named(error_message([&] { autodiff::upsample2(tape, b); }), "upsample2: input [4]");
  expect_named(error_message([&] { autodiff::head(tape, {}, even, even, true); }), "twice the centre's");
  expect_named(error_message([&] { autodiff::head(tape, {}, even, odd, false); }), "twice the centre's");
  expect_named(error_message([&] { autodiff::absolute_error(tape, even, odd, even, even, &loss); }), "'odd'");
  expect_named(error_message([&] { autodiff::physics_loss(tape, even, even, &binding, false); }),
               "expected [1, 4, 4, 1]");
}

}  // namespace
}  // namespace ptyfuse::tests
