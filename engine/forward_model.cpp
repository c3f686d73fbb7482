#include "engine/forward_model.h"

#include <algorithm>
#include <cmath>

#include "autodiff/ops/nodes.h"
#include "autodiff/ops/patch_view.h"
#include "engine/frame_stage.h"
#include "engine/probe.h"
#include "kernels/ops/complex_patch.h"
#include "kernels/ops/merge.h"

namespace ptyfuse {
namespace {

using autodiff::Tape;
using autodiff::TapeMode;
using autodiff::ValueId;

/// A tape with the network's input on it, and its filling from frames: what both graphs begin with.
struct NetworkInput {
  NetworkInput(const Device& device, const UNet& unet, int64_t batch_groups)
      : config(unet.config()),
        batch(batch_groups),
        shared(config.network == Network::shared),
        tape(device),
        x(tape.input(input_shape(), "x")) {}

  Shape input_shape() const {
    if (batch < 1) throw_shape_error("graph", "a batch of " + std::to_string(batch) + " groups; expected 1 or more");
    const int64_t n = config.side_px;
    return shared ? Shape{batch * config.members(), n, n, 1} : Shape{batch, n, n, config.members()};
  }

  /// A value of the network's shape as [B,heads,N,N].
  TensorView<const float> patches(ValueId value) const {
    return autodiff::patch_view<const float>(tape.value(value), config.members(), shared);
  }
  TensorView<const float> measured() const { return patches(x); }

  void set_frames(Stream& stream, std::span<const float> frames, float factor) {
    const TensorView<float> out = tape.value(x);
    if (static_cast<int64_t>(frames.size()) != out.elements())
      throw_shape_error("set_frames", std::to_string(frames.size()) + " values; expected " +
                                          std::to_string(batch * config.members()) + " frames of " +
                                          std::to_string(config.side_px) + " x " + std::to_string(config.side_px));
    staged.resize(frames.size());
    arrange_frames(stream.device(), frames, config.input_channels(), config.side_px * config.side_px, factor,
                   staged.data());
    copy_to_device(stream, out, staged.data(), out.elements());
  }

  const GeneratorConfig config;
  const int64_t batch;
  const bool shared;
  Tape tape;
  ValueId x;
  std::vector<float> staged;
};

Shape offsets_shape(const NetworkInput& input) {
  return {input.batch, input.config.members(), 2};
}

void require_shape(const char* what, const Shape& shape, const Shape& expected) {
  if (!(shape == expected))
    throw_shape_error("graph", std::string(what) + " " + shape.str() + "; expected " + expected.str());
}

}  // namespace

std::vector<float> merge_weight(const GeneratorConfig& network, MergeWeight rule, double border,
                                const io::ComplexImage& probe) {
  const int64_t n = network.side_px;
  if (!(border >= 0)) throw_shape_error("merge weight", "border " + std::to_string(border) + "; expected 0 or more");
  std::vector<double> power(static_cast<size_t>(n * n), 1.0);
  if (rule == MergeWeight::probe) {
    if (probe.height != n || probe.width != n || probe.depth < 1)
      throw_shape_error("merge weight", "a probe of " + std::to_string(probe.depth) + " x " +
                                            std::to_string(probe.height) + " x " + std::to_string(probe.width) +
                                            "; expected modes of side " + std::to_string(n));
    std::fill(power.begin(), power.end(), 0.0);
    for (size_t i = 0; i < probe.data.size(); ++i)
      power[i % power.size()] += std::norm(std::complex<double>(probe.data[i]));
  }
  double peak = 0;
  for (const double p : power) {
    if (!std::isfinite(p)) throw_shape_error("merge weight", "the probe holds values that are not finite");
    peak = std::max(peak, p);
  }
  if (!(peak > 0)) throw_shape_error("merge weight", "the probe is zero everywhere");

  const bool empty_border = network.pad_object && !network.probe_big;
  std::vector<float> weight(power.size());
  for (int64_t y = 0; y < n; ++y)
    for (int64_t x = 0; x < n; ++x) {
      const bool central = y >= n / 4 && y < 3 * n / 4 && x >= n / 4 && x < 3 * n / 4;
      const size_t i = static_cast<size_t>(y * n + x);
      const double w = rule == MergeWeight::probe ? power[i] / peak + border : central ? 1.0 : border;
      weight[i] = empty_border && !central ? 0.0F : static_cast<float>(w);
    }
  return weight;
}

io::ComplexImage masked_probe(io::ComplexImage probe) {
  if (probe.height != probe.width)
    throw_shape_error("masked probe", "a probe of " + std::to_string(probe.height) + " x " +
                                          std::to_string(probe.width) + "; expected a square one");
  const std::vector<float> support = probe_support(probe.height);
  for (size_t i = 0; i < probe.data.size(); ++i) probe.data[i] *= support[i % support.size()];
  return probe;
}

// ------------------------------------------------------------------------------------------------------------ training

struct TrainingGraph::Impl {
  Impl(const Device& device, const UNet& unet, TensorView<float> parameters, TensorView<float> gradients,
       const TrainingSettings& settings)
      : input(device, unet, settings.batch), supervised(unet.is_supervised()) {
    if (gradients.data() == nullptr) throw_shape_error("TrainingGraph", "no memory for the gradients was given");
    output = unet.record(input.tape, input.x, parameters, gradients);
    input.tape.keep(output.amplitude);
    input.tape.keep(output.phase);
    if (supervised)
      record_targets();
    else
      record_physics(device, settings);
    using autodiff::SegmentValues;
    input.tape.plan(TapeMode::training, settings.recompute ? SegmentValues::recomputed : SegmentValues::kept);
    binding.inputs.measured = input.measured();
  }

  void record_targets() {
    const Shape& shape = input.tape.shape(output.amplitude);
    amplitude_target = input.tape.input(shape, "amplitude target");
    phase_target = input.tape.input(shape, "phase target");
    autodiff::absolute_error(input.tape, output.amplitude, amplitude_target, output.phase, phase_target, &error);
  }

  void record_physics(const Device& device, const TrainingSettings& settings) {
    const int64_t n = input.config.side_px;
    if (settings.probe.rank() != 3)
      throw_shape_error("graph", "probe " + settings.probe.shape().str() + "; expected [K,N,N]");
    require_shape("probe", settings.probe.shape(), {settings.probe.extent(0), n, n});
    if (input.config.object_big) require_shape("merge weight", settings.weight.shape(), {n, n});
    if (settings.mask.data() != nullptr) require_shape("mask", settings.mask.shape(), {n, n});

    Stream stream(device);
    offsets = Tensor<float>(device, offsets_shape(input), "offsets");
    fill_zero(stream, offsets.view());
    stream.synchronise();

    binding.spec.batch = settings.batch;
    binding.spec.members = input.config.members();
    binding.spec.heads = input.config.heads();
    binding.spec.side = n;
    binding.spec.canvas = settings.canvas_px;
    binding.spec.probe_modes = settings.probe.extent(0);
    binding.spec.unmasked_numerator = settings.unmasked_numerator;
    binding.inputs.offsets_px = offsets.view();
    binding.inputs.probe = settings.probe;
    if (input.config.object_big) binding.inputs.weight = settings.weight;
    binding.inputs.mask = settings.mask;
    binding.inputs.log_scale_in_memory = settings.log_scale;
    binding.grad_log_scale = settings.grad_log_scale;
    binding.inputs.nll_weight = settings.nll_weight;
    binding.inputs.mae_weight = settings.mae_weight;
    smoothness.weight = settings.tv_weight;
    if (settings.tv_weight != 0)
      autodiff::total_variation(input.tape, output.amplitude, output.phase, &binding, input.shared, &smoothness);
    autodiff::physics_loss(input.tape, output.amplitude, output.phase, &binding, input.shared);
  }

  ops::LossTerms loss() const {
    if (supervised) return {error.amplitude, error.phase, 1};
    return {binding.result.slice(0, 0, 1), smoothness.value, smoothness.weight};
  }

  TrainingResult result(Stream& stream) const {
    const auto read = [&](TensorView<const double> value) {
      double v = 0;
      if (value) copy_to_host(stream, &v, value, 1);
      return v;
    };
    TrainingResult r;
    if (supervised) {
      r.loss = r.mae = read(error.amplitude) + read(error.phase);
      return r;
    }
    static_cast<ops::PhysicsResult&>(r) = ops::Physics::read(stream, binding.result);
    r.total_variation = read(smoothness.value);
    r.loss += smoothness.weight * r.total_variation;
    return r;
  }

  NetworkInput input;
  bool supervised;
  UNet::Output output;
  ValueId amplitude_target, phase_target;
  Tensor<float> offsets;
  autodiff::PhysicsBinding binding;
  autodiff::TotalVariationLoss smoothness;
  autodiff::AbsoluteErrorLoss error;
};

TrainingGraph::TrainingGraph(const Device& device, const UNet& unet, TensorView<float> parameters,
                             TensorView<float> gradients, const TrainingSettings& settings)
    : impl_(std::make_unique<Impl>(device, unet, parameters, gradients, settings)) {}
TrainingGraph::~TrainingGraph() = default;
TrainingGraph::TrainingGraph(TrainingGraph&&) noexcept = default;
TrainingGraph& TrainingGraph::operator=(TrainingGraph&&) noexcept = default;

int64_t TrainingGraph::batch() const {
  return impl_->input.batch;
}
int64_t TrainingGraph::planned_bytes() const {
  return impl_->input.tape.planned_bytes();
}
TensorView<float> TrainingGraph::x() {
  return impl_->input.tape.value(impl_->input.x);
}
TensorView<const float> TrainingGraph::measured() const {
  return impl_->input.measured();
}
void TrainingGraph::set_frames(Stream& stream, std::span<const float> frames, float factor) {
  impl_->input.set_frames(stream, frames, factor);
}
TensorView<float> TrainingGraph::offsets() {
  return impl_->supervised ? TensorView<float>() : impl_->offsets.view();
}
TensorView<float> TrainingGraph::amplitude_target() {
  return impl_->supervised ? impl_->input.tape.value(impl_->amplitude_target) : TensorView<float>();
}
TensorView<float> TrainingGraph::phase_target() {
  return impl_->supervised ? impl_->input.tape.value(impl_->phase_target) : TensorView<float>();
}

void TrainingGraph::set_scales(float log_scale, float measured_scale) {
  impl_->binding.inputs.log_scale = log_scale;
  impl_->binding.inputs.measured_scale = measured_scale;
}
void TrainingGraph::parameters_changed() {
  impl_->input.tape.parameters_changed();
}

TrainingResult TrainingGraph::step(Stream& stream) {
  enqueue_step(stream);
  return result(stream);
}
TrainingResult TrainingGraph::evaluate(Stream& stream) {
  enqueue_evaluate(stream);
  return result(stream);
}
void TrainingGraph::enqueue_step(Stream& stream) {
  impl_->binding.loss_only = false;
  impl_->input.tape.forward(stream);
  impl_->input.tape.backward(stream);
}
void TrainingGraph::enqueue_evaluate(Stream& stream) {
  impl_->binding.loss_only = true;
  impl_->input.tape.forward(stream);
}
ops::LossTerms TrainingGraph::loss() const {
  return impl_->loss();
}
TrainingResult TrainingGraph::result(Stream& stream) const {
  return impl_->result(stream);
}

TensorView<const float> TrainingGraph::amplitude() const {
  return impl_->input.patches(impl_->output.amplitude);
}
TensorView<const float> TrainingGraph::phase() const {
  return impl_->input.patches(impl_->output.phase);
}

// ----------------------------------------------------------------------------------------------------------- inference

struct InferenceGraph::Impl {
  Impl(const Device& device, const UNet& unet, TensorView<float> parameters, const InferenceSettings& settings)
      : input(device, unet, settings.batch), supervised(unet.is_supervised()), merged(input.config.object_big) {
    output = unet.record(input.tape, input.x, parameters, {});
    input.tape.keep(output.amplitude);
    input.tape.keep(output.phase);
    const int64_t n = input.config.side_px;
    if (merged) {
      require_shape("merge weight", settings.weight.shape(), {n, n});
      patches = Tensor<complex64>(device, {settings.batch, input.config.heads(), n, n}, "patches");
    }
    objects = Tensor<complex64>(device, {settings.batch, n, n}, "objects");
    if (!supervised) {
      Stream stream(device);
      offsets = Tensor<float>(device, offsets_shape(input), "offsets");
      fill_zero(stream, offsets.view());
      stream.synchronise();
    }
    if (merged) merge = {offsets.view(), settings.weight, settings.unmasked_numerator};
    input.tape.plan(TapeMode::inference);
  }

  TensorView<const float> amplitude() const { return input.patches(output.amplitude); }
  TensorView<const float> phase() const { return input.patches(output.phase); }

  void run(Stream& stream) {
    input.tape.forward(stream);
    if (!merged) {
      const int64_t n = input.config.side_px;
      ops::complex_patch(stream, amplitude(), phase(), objects.view().reshape({input.batch, 1, n, n}));
      return;
    }
    ops::complex_patch(stream, amplitude(), phase(), patches.view());
    // A canvas of the patch's own side is the central part of any larger one.
    ops::merge(stream, merge, patches.view(), objects.view());
  }

  NetworkInput input;
  bool supervised, merged;
  UNet::Output output;
  Tensor<float> offsets;
  Tensor<complex64> patches, objects;
  ops::MergeArgs merge;
};

InferenceGraph::InferenceGraph(const Device& device, const UNet& unet, TensorView<float> parameters,
                               const InferenceSettings& settings)
    : impl_(std::make_unique<Impl>(device, unet, parameters, settings)) {}
InferenceGraph::~InferenceGraph() = default;
InferenceGraph::InferenceGraph(InferenceGraph&&) noexcept = default;
InferenceGraph& InferenceGraph::operator=(InferenceGraph&&) noexcept = default;

int64_t InferenceGraph::batch() const {
  return impl_->input.batch;
}
int64_t InferenceGraph::planned_bytes() const {
  return impl_->input.tape.planned_bytes();
}
TensorView<float> InferenceGraph::x() {
  return impl_->input.tape.value(impl_->input.x);
}
void InferenceGraph::set_frames(Stream& stream, std::span<const float> frames, float factor) {
  impl_->input.set_frames(stream, frames, factor);
}
TensorView<float> InferenceGraph::offsets() {
  return impl_->supervised ? TensorView<float>() : impl_->offsets.view();
}
void InferenceGraph::parameters_changed() {
  impl_->input.tape.parameters_changed();
}
void InferenceGraph::run(Stream& stream) {
  impl_->run(stream);
}
TensorView<const float> InferenceGraph::amplitude() const {
  return impl_->amplitude();
}
TensorView<const float> InferenceGraph::phase() const {
  return impl_->phase();
}
TensorView<const complex64> InferenceGraph::objects() const {
  return impl_->objects.view();
}

}  // namespace ptyfuse
