#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "engine/config.h"
#include "engine/forward_model.h"
#include "kernels/device/buffer.h"
#include "kernels/device/event.h"
#include "kernels/device/graph.h"
#include "kernels/device/pinned_buffer.h"
#include "kernels/ops/clip.h"

namespace ptyfuse {

/// One step of training after another without a wait between them. A step is everything from a graph's inputs to the
/// changed parameters: packing of weights, forward, loss, backward, clipping, Adam. On a GPU it is one CUDA graph for
/// each batch size (kernels/device/graph.h). What changes from step to step lies in the device's memory: inputs and
/// learning rate come, and loss and norm go, by copies of pinned memory in the stream's order, two slots of each, so
/// that one step can be given to the device while another is under way.
///
///   steps.load(stream, graph, inputs);
///   steps.step(stream, graph, learning_rate, number);   // on a GPU: launched, not done
///   ... another load() and step() ...
///   steps.next_outcome();                               // of the first one
///
/// A step whose loss or gradient is not finite changes nothing, nor do those behind it, until restart(). Not
/// thread-safe.
class TrainingSteps {
 public:
  /// Flat buffers [P], the caller's, alive and unmoved as long as this. The gradients beyond a network's own
  /// (the intensity scale's) are zero, or TrainingSettings::grad_log_scale writes them.
  struct Buffers {
    TensorView<float> parameters, gradients, adam_m, adam_v;
  };
  struct Settings {
    Clip clip = Clip::none;
    double clip_at = 0;
    std::vector<ops::ParameterRange> tensors;  ///< for Clip::agc
    int64_t largest_inputs = 0;                ///< floats that load() is given
  };
  TrainingSteps(const Device& device, const Settings& settings, const Buffers& buffers);
  TrainingSteps(const TrainingSteps&) = delete;
  TrainingSteps& operator=(const TrainingSteps&) = delete;
  ~TrainingSteps();

  /// What a graph needs beside its frames: offsets [B,C,2], or amplitude and phase targets [B,N,N] one behind the
  /// other. `inputs` may change after the return. Error(shape): another number of values.
  void load(Stream& stream, TrainingGraph& graph, std::span<const float> inputs);

  /// `number` counts steps from 1. The graph lives until restart(), and is the only one of its batch size.
  /// Error(shape): two steps wait for next_outcome() already.
  void step(Stream& stream, TrainingGraph& graph, double learning_rate, int64_t number);

  struct Outcome {
    double loss = 0, norm = 0;  ///< norm: of the gradient, before clipping
    bool finite = false;        ///< both are, and those of all steps before: the step counted
  };
  /// Of the first step that was not yet asked for; waits for it. Error(shape): there is none.
  Outcome next_outcome();

  /// Forgets outcomes, a bad one among them, and how steps were recorded; waits for the stream.
  void restart(Stream& stream);

 private:
  void enqueue(Stream& stream, TrainingGraph& graph);

  Settings settings_;
  Buffers buffers_;
  Tensor<float> rate_;      // [1], as ops::adam_rate gives it
  Tensor<double> verdict_;  // [3], see ops::judge_step
  ops::DeviceSum squares_;
  std::optional<ops::AdaptiveClipSums> clip_sums_;
  std::map<int64_t, Graph> graphs_;  // by batch size

  std::array<PinnedBuffer, 2> inputs_;
  std::array<Event, 2> loaded_;  // the slot has been read
  size_t input_turn_ = 0;
  std::array<PinnedBuffer, 2> exchange_;  // Exchange
  std::array<Event, 2> done_;             // the step's outcome has come
  int64_t begun_ = 0, asked_ = 0;         // steps
};

}  // namespace ptyfuse
