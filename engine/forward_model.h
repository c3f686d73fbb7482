#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/config.h"
#include "engine/unet.h"
#include "io/scan.h"
#include "kernels/device/buffer.h"
#include "kernels/ops/physics.h"
#include "kernels/ops/step_verdict.h"

namespace ptyfuse {

/// The merge's weight map w [N*N] (section 0.6): `probe` is sum_k |P_k|^2 / max + border; `square` is 1 on the central
/// N/2 square and `border` outside. Where the generator leaves the border empty (pad_object on, probe_big off) w is 0
/// outside the central square under both rules, for there is nothing to average there.
/// probe [K,N,N] (`square` does not look at it). Error(shape): a probe of another side, not finite or zero; border < 0.
std::vector<float> merge_weight(const GeneratorConfig& network, MergeWeight rule, double border,
                                const io::ComplexImage& probe);

/// The probe times its support m (section 5, probe.mask): the same as masking the illuminated field.
io::ComplexImage masked_probe(io::ComplexImage probe);

/// What a training graph needs beside the network. The views are the caller's memory on the graph's device, alive and
/// unmoved as long as the graph.
struct TrainingSettings {
  int64_t batch = 0;                  ///< groups of a step, exactly (a short last batch has a graph of its own)
  int64_t canvas_px = 0;              ///< Q, Groups::canvas()
  TensorView<const complex64> probe;  ///< [K,N,N], as masked_probe() gives it where the probe is masked
  TensorView<const float> weight;     ///< [N,N], merge_weight(); may be empty where nothing is merged
  TensorView<const float> mask;       ///< [N,N] of 0 and 1 (1 = use), DC at the centre; or empty
  double nll_weight = 1, mae_weight = 0;
  double tv_weight = 0;  ///< times the total variation of the merged region's central N x N, a sum over the batch
  bool unmasked_numerator = false;    ///< the reference's merge, see kernels/ops/merge.h
  TensorView<const float> log_scale;  ///< [1]: a of section 0.3, read in place of set_scales()'s; or empty
  TensorView<float> grad_log_scale;   ///< [1]: a step writes d loss / d a; or empty
  bool recompute = false;  ///< keep of each stage of the network its input alone, and run it again on the way back
};

/// Losses of one batch; for a supervised network loss = mae = mean |a - target| + mean |phi - target|, all else 0.
struct TrainingResult : ops::PhysicsResult {
  double total_variation = 0;  ///< unweighted; loss contains tv_weight times it
};

/// Forward, loss and backward of one batch of B groups with C members: a generator with the physics behind it, or a
/// supervised network with targets. Built once per batch size; calls allocate nothing on the device.
/// Filled before step() or evaluate(): frames, and offsets() (physics) or the targets (supervised).
/// Moving a graph keeps its views valid. Not thread-safe; any number of graphs may share parameters.
///
///   TrainingGraph graph(device, unet, parameters.view(), gradients.view(), settings);
///   graph.set_scales(log_scale, measured_scale);
///   graph.set_frames(stream, frames, factor);
///   copy_to_device(stream, graph.offsets(), offsets.data(), count);
///   const TrainingResult result = graph.step(stream);   // gradients are now written
///   ... update the parameters ...
///   graph.parameters_changed();
class TrainingGraph {
 public:
  /// parameters, gradients [unet.parameter_count()] in the device's memory.
  /// Error(shape): settings that do not fit the network; Error(memory).
  TrainingGraph(const Device& device, const UNet& unet, TensorView<float> parameters, TensorView<float> gradients,
                const TrainingSettings& settings);
  ~TrainingGraph();
  TrainingGraph(TrainingGraph&&) noexcept;
  TrainingGraph& operator=(TrainingGraph&&) noexcept;

  int64_t batch() const;
  /// Bytes of the tape's one buffer (the operations' own scratch comes on top, see Device::memory_in_use_bytes()).
  int64_t planned_bytes() const;

  /// The network's input, normalised amplitude X: [B,N,N,C] (grouped, supervised) or [B*C,N,N,1] (shared), contiguous.
  /// A FrameStage fills it while another batch computes; set_frames() does it on the spot.
  TensorView<float> x();
  /// The same memory as the physics sees it: [B,C,N,N].
  TensorView<const float> measured() const;
  /// X = factor * frames; frames [B*C,N,N] amplitudes on the host, group by group, members in order.
  void set_frames(Stream& stream, std::span<const float> frames, float factor);
  /// [B,C,2] float32, [y,x], o_c = mean r - r_c; empty for a supervised network. Zero at first.
  TensorView<float> offsets();
  /// [B,N,N,1] float32; empty for a generator. phase in radians.
  TensorView<float> amplitude_target();
  TensorView<float> phase_target();

  /// a (where the settings have no log_scale) and s of section 0.3: expected counts e^(2a) sum_k |F_k|^2 are compared
  /// with (s*X)^2. 0 and 1 at first.
  void set_scales(float log_scale, float measured_scale);
  /// To be called after each change of the parameters' memory: convolutions pack their weights anew.
  void parameters_changed();

  /// Forward, loss and backward; overwrites the gradients. Losses that are not finite are returned, not hidden.
  TrainingResult step(Stream& stream);
  /// Forward and loss only; the gradients stay as they are.
  TrainingResult evaluate(Stream& stream);

  /// step() and evaluate() without their wait: the result stays in the device's memory. A step can be recorded by a
  /// Graph, if parameters_changed() was called before it.
  void enqueue_step(Stream& stream);
  void enqueue_evaluate(Stream& stream);
  /// Of the last one, in stream order; the memory stays where it is.
  ops::LossTerms loss() const;
  /// The same on the host: waits.
  TrainingResult result(Stream& stream) const;

  /// What the network gave in the last step() or evaluate(): [B,heads,N,N] each (any strides).
  TensorView<const float> amplitude() const;
  TensorView<const float> phase() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct InferenceSettings {
  int64_t batch = 0;                ///< groups of a run, exactly
  TensorView<const float> weight;   ///< [N,N], merge_weight() of training; may be empty where nothing is merged
  bool unmasked_numerator = false;  ///< as in training
};

/// Amplitude, phase and object of one batch of B groups. Built once per batch size; calls allocate nothing on the
/// device. A graph of a supervised network is used in the same way and needs no offsets.
class InferenceGraph {
 public:
  /// parameters [unet.parameter_count()] in the device's memory. Error(shape), Error(memory) as TrainingGraph.
  InferenceGraph(const Device& device, const UNet& unet, TensorView<float> parameters,
                 const InferenceSettings& settings);
  ~InferenceGraph();
  InferenceGraph(InferenceGraph&&) noexcept;
  InferenceGraph& operator=(InferenceGraph&&) noexcept;

  int64_t batch() const;
  int64_t planned_bytes() const;

  /// As in TrainingGraph.
  TensorView<float> x();
  void set_frames(Stream& stream, std::span<const float> frames, float factor);
  TensorView<float> offsets();
  void parameters_changed();

  void run(Stream& stream);

  /// [B,heads,N,N] each (any strides), of the last run.
  TensorView<const float> amplitude() const;
  TensorView<const float> phase() const;
  /// [B,N,N] contiguous: the merged region's central N x N, about the group's mean position; where members share one
  /// object (object_big off) or there is no group (supervised), the patch itself.
  TensorView<const complex64> objects() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ptyfuse
