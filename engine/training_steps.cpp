#include "engine/training_steps.h"

#include <algorithm>
#include <cstddef>

#include "kernels/ops/adam.h"
#include "kernels/ops/normalise.h"

namespace ptyfuse {
namespace {

// A step's rate on its way to the device, and its verdict on the way back.
struct Exchange {
  float rate;
  double verdict[3];
};

int64_t bytes_of(int64_t floats) {
  return floats * static_cast<int64_t>(sizeof(float));
}

}  // namespace

TrainingSteps::TrainingSteps(const Device& device, const Settings& settings, const Buffers& buffers)
    : settings_(settings),
      buffers_(buffers),
      rate_(device, {1}, "learning rate"),
      verdict_(device, {3}, "verdict over a step"),
      squares_(device, "the gradient's squares"),
      loaded_{Event(device), Event(device)},
      done_{Event(device), Event(device)} {
  if (settings_.clip == Clip::agc) clip_sums_.emplace(device);
  for (PinnedBuffer& slot : inputs_)
    slot = PinnedBuffer(device, bytes_of(settings_.largest_inputs), "inputs of a step");
  for (PinnedBuffer& slot : exchange_) slot = PinnedBuffer(device, sizeof(Exchange), "outcome of a step");
  Stream stream(device);
  restart(stream);
}

TrainingSteps::~TrainingSteps() {
  try {
    for (const Event& event : loaded_) event.synchronise();  // before the slots go
    for (const Event& event : done_) event.synchronise();
  } catch (const Error&) {
    // A GPU that failed says so where its results are asked for.
  }
}

void TrainingSteps::load(Stream& stream, TrainingGraph& graph, std::span<const float> inputs) {
  std::vector<TensorView<float>> targets;
  int64_t wanted = 0;
  for (const TensorView<float>& target : {graph.offsets(), graph.amplitude_target(), graph.phase_target()}) {
    if (!target) continue;
    targets.push_back(target);
    wanted += target.elements();
  }
  const auto count = static_cast<int64_t>(inputs.size());
  if (count != wanted || count > settings_.largest_inputs)
    throw_shape_error("training step", std::to_string(count) + " inputs of a batch of " +
                                           std::to_string(graph.batch()) + " groups; made for " +
                                           std::to_string(settings_.largest_inputs));
  input_turn_ = 1 - input_turn_;
  loaded_[input_turn_].synchronise();
  const PinnedBuffer& slot = inputs_[input_turn_];
  std::copy(inputs.begin(), inputs.end(), static_cast<float*>(slot.data()));
  int64_t done = 0;
  for (const TensorView<float>& target : targets) {
    enqueue_copy_to_device(stream, target.data(), slot, bytes_of(done), bytes_of(target.elements()));
    done += target.elements();
  }
  loaded_[input_turn_].record(stream);
}

void TrainingSteps::step(Stream& stream, TrainingGraph& graph, double learning_rate, int64_t number) {
  if (begun_ - asked_ > 1) throw_shape_error("training step", "two steps wait for next_outcome() already");
  const auto turn = static_cast<size_t>(begun_ % 2);
  const PinnedBuffer& slot = exchange_[turn];
  auto* const exchange = static_cast<Exchange*>(slot.data());
  exchange->rate = static_cast<float>(ops::adam_rate({.learning_rate = learning_rate}, number));
  enqueue_copy_to_device(stream, rate_.data(), slot, offsetof(Exchange, rate), sizeof exchange->rate);
  auto work = graphs_.find(graph.batch());
  if (work == graphs_.end())
    work =
        graphs_.emplace(graph.batch(), Graph(stream.device(), [this, &graph](Stream& s) { enqueue(s, graph); })).first;
  work->second.run(stream);
  enqueue_copy_to_host(stream, slot, offsetof(Exchange, verdict), verdict_.data(), sizeof exchange->verdict);
  done_[turn].record(stream);
  ++begun_;
}

void TrainingSteps::enqueue(Stream& stream, TrainingGraph& graph) {
  const TensorView<const float> gradients = buffers_.gradients;
  graph.parameters_changed();  // packing the weights anew is part of each step
  graph.enqueue_step(stream);
  ops::sum_of_squares(stream, gradients, squares_);
  ops::judge_step(stream, graph.loss(), squares_.value(), verdict_.view());
  switch (settings_.clip) {
    case Clip::none:
      break;
    case Clip::norm:
      ops::clip_by_norm(stream, settings_.clip_at, squares_.value(), buffers_.gradients);
      break;
    case Clip::value:
      ops::clip_by_value(stream, settings_.clip_at, buffers_.gradients);
      break;
    case Clip::agc:
      ops::clip_adaptive(stream, settings_.clip_at, settings_.tensors, buffers_.parameters, buffers_.gradients,
                         *clip_sums_);
      break;
  }
  ops::adam(stream, {}, rate_.view(), verdict_.view().slice(0, 2, 3), gradients, buffers_.parameters, buffers_.adam_m,
            buffers_.adam_v);
}

TrainingSteps::Outcome TrainingSteps::next_outcome() {
  if (asked_ == begun_) throw_shape_error("training step", "no step waits for next_outcome()");
  const auto turn = static_cast<size_t>(asked_ % 2);
  done_[turn].synchronise();
  ++asked_;
  const double* const verdict = static_cast<const Exchange*>(exchange_[turn].data())->verdict;
  return {verdict[0], verdict[1], verdict[2] != 0};
}

void TrainingSteps::restart(Stream& stream) {
  const double going[3] = {0, 0, 1};
  stream.synchronise();
  copy_to_device(stream, verdict_.view(), going, 3);
  graphs_.clear();
  asked_ = begun_;
}

}  // namespace ptyfuse
