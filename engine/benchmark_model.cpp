#include <cmath>

#include "autodiff/ops/nodes.h"
#include "autodiff/tape.h"
#include "engine/benchmark_case.h"
#include "engine/forward_model.h"
#include "engine/grouping.h"
#include "engine/network_cost.h"
#include "kernels/ops/adam.h"
#include "kernels/ops/clip.h"
#include "kernels/ops/physics.h"

namespace ptyfuse::benchmark {
namespace {

constexpr double largest_offset_px = 4;
// Beyond every amplitude and phase, so that the loss' slope is +-1 of its element and no rounding turns it round.
constexpr float target_size = 9;
constexpr double largest_bias = 0.05;

// Small biases instead of none: a sum that is exactly 0 lies on the activation's kink, where rounding, not the method,
// decides which way the gradient goes.
void draw_biases(Bench& b, const std::string& name, std::span<float> values) {
  if (!name.ends_with("/bias")) return;
  for (float& v : values) v = static_cast<float>(b.random.uniform(-largest_bias, largest_bias));
}

struct Network {
  UNet unet;
  std::vector<float> initial;
  std::shared_ptr<Tensor<float>> parameters, gradients;
  std::unique_ptr<autodiff::Tape> tape;
  autodiff::AbsoluteErrorLoss loss;
  autodiff::ValueId x, amplitude_target, phase_target;
  UNet::Output out;
};

std::shared_ptr<Network> make_network(Bench& b, bool backward) {
  auto s = std::make_shared<Network>();
  s->unet = UNet::generator(b.network);
  s->initial.resize(static_cast<size_t>(s->unet.parameter_count()));
  s->unet.initialise(b.random, Initialisation::he, s->initial);
  for (const ParameterEntry& p : s->unet.parameters())
    draw_biases(b, p.name,
                std::span(s->initial).subspan(static_cast<size_t>(p.offset), static_cast<size_t>(p.shape.elements())));
  s->parameters = b.tensor<float>({s->unet.parameter_count()}, s->initial);
  s->gradients = b.tensor<float>({s->unet.parameter_count()}, s->initial);
  s->tape = std::make_unique<autodiff::Tape>(b.device);
  const int64_t n = b.config.side_px;
  s->x = s->tape->input({b.config.batch, n, n, b.members()}, "x");
  s->out = s->unet.record(*s->tape, s->x, s->parameters->view(), backward ? s->gradients->view() : TensorView<float>());
  if (backward) {
    const Shape& shape = s->tape->shape(s->out.amplitude);
    s->amplitude_target = s->tape->input(shape, "amplitude target");
    s->phase_target = s->tape->input(shape, "phase target");
    autodiff::absolute_error(*s->tape, s->out.amplitude, s->amplitude_target, s->out.phase, s->phase_target, &s->loss);
  } else {
    s->tape->keep(s->out.amplitude);
    s->tape->keep(s->out.phase);
  }
  s->tape->plan(backward ? autodiff::TapeMode::training : autodiff::TapeMode::inference);
  const auto fill = [&](autodiff::ValueId value, const std::vector<float>& values) {
    copy_to_device(b.stream, s->tape->value(value), values.data(), static_cast<int64_t>(values.size()));
  };
  fill(s->x, b.random_floats(s->tape->shape(s->x).elements(), 0, 1));
  if (backward)
    for (const autodiff::ValueId target : {s->amplitude_target, s->phase_target}) {
      std::vector<float> values = b.random_floats(s->tape->shape(target).elements(), -1, 1);
      for (float& v : values) v = std::copysign(target_size, v);
      fill(target, values);
    }
  s->tape->forward(b.stream);
  return s;
}

void add_value(Record& r, Bench& b, const Network& s, const std::string& name, autodiff::ValueId value) {
  add_tensor<float>(r, b, name, s.tape->value(value));
}

Prepared unet_forward(Bench& b) {
  auto s = make_network(b, false);
  return {[&b, s] { s->tape->forward(b.stream); }, b.patterns(), network_forward_cost(s->unet, b.config.batch),
          [&b, s](Record& r) {
            r.add_parameters("weights", s->unet, s->initial);
            add_value(r, b, *s, "inputs/x", s->x);
            add_value(r, b, *s, "outputs/amplitude", s->out.amplitude);
            add_value(r, b, *s, "outputs/phase", s->out.phase);
          }};
}

Prepared unet_backward(Bench& b) {
  auto s = make_network(b, true);
  return {[&b, s] { s->tape->backward(b.stream); }, b.patterns(), network_backward_cost(s->unet, b.config.batch),
          [&b, s](Record& r) {
            r.add_parameters("weights", s->unet, s->initial);
            add_value(r, b, *s, "inputs/x", s->x);
            add_value(r, b, *s, "inputs/amplitude_target", s->amplitude_target);
            add_value(r, b, *s, "inputs/phase_target", s->phase_target);
            s->tape->backward(b.stream);
            r.add_number("outputs/loss", b.download(s->loss.amplitude).front() + b.download(s->loss.phase).front());
            r.add_parameters("outputs/gradient", s->unet, b.download(std::as_const(*s->gradients).view()));
          }};
}

// Patches [B,C,N,N] as training hands them over, with the channels of a pixel side by side in memory.
TensorView<float> channels_of(Tensor<float>& channel_last) {
  return channel_last.view().permute({0, 3, 1, 2});
}
void add_channels(Record& r, Bench& b, const std::string& name, const Tensor<float>& channel_last) {
  const Shape& s = channel_last.shape();
  const std::vector<float> host = b.download(channel_last.view());
  const TensorView<const float> in = TensorView<const float>(host.data(), s).permute({0, 3, 1, 2});
  std::vector<float> out;
  out.reserve(host.size());
  for (int64_t i = 0; i < s[0]; ++i)
    for (int64_t c = 0; c < s[3]; ++c)
      for (int64_t y = 0; y < s[1]; ++y)
        for (int64_t x = 0; x < s[2]; ++x) out.push_back(in(i, c, y, x));
  r.add(name, {s[0], s[3], s[1], s[2]}, std::move(out));
}

Prepared physics(Bench& b) {
  struct State {
    std::shared_ptr<Tensor<float>> amplitude, phase, measured, offsets, weight, grad_amplitude, grad_phase;
    std::shared_ptr<Tensor<complex64>> probe;
    std::unique_ptr<ops::Physics> op;
    ops::PhysicsInputs in;
    ops::PhysicsResult run(Stream& stream) {
      return op->run(stream, in, channels_of(*grad_amplitude), channels_of(*grad_phase));
    }
  };
  const int64_t n = b.config.side_px, m = b.members();
  const Shape patches{b.config.batch, n, n, m};
  auto s = std::make_shared<State>();
  s->amplitude = b.floats(patches, 0.2, 1);
  s->phase = b.floats(patches, -1, 1);
  s->measured = b.floats(patches, 0, 1);
  s->grad_amplitude = b.floats(patches, 0, 0);
  s->grad_phase = b.floats(patches, 0, 0);
  const double reach = m > 1 ? largest_offset_px : 0;
  s->offsets = b.floats({b.config.batch, m, 2}, -reach, reach);
  s->weight = b.floats({n, n}, 0.02, 1);
  s->probe = b.probe();
  ops::PhysicsSpec spec;
  spec.batch = b.config.batch;
  spec.members = spec.heads = m;
  spec.side = n;
  spec.canvas = m > 1 ? n + 2 * (static_cast<int64_t>(std::ceil(reach)) + 1) : n;
  s->op = std::make_unique<ops::Physics>(b.device, spec);
  s->in.amplitude = channels_of(*s->amplitude);
  s->in.phase = channels_of(*s->phase);
  s->in.measured = channels_of(*s->measured);
  s->in.offsets_px = s->offsets->view();
  s->in.weight = s->weight->view();
  s->in.probe = s->probe->view();
  s->in.measured_scale = 30;
  s->in.log_scale = std::log(30.0F);
  return {[&b, s] { s->run(b.stream); }, b.patterns(), ops::Physics::cost(spec),
          [&b, s, spec](Record& r) {
            add_channels(r, b, "inputs/amplitude", *s->amplitude);
            add_channels(r, b, "inputs/phase", *s->phase);
            add_channels(r, b, "inputs/measured", *s->measured);
            add_tensor<float>(r, b, "inputs/offsets_px", s->in.offsets_px);
            add_tensor<float>(r, b, "inputs/weight", s->in.weight);
            add_tensor<complex64>(r, b, "inputs/probe", s->in.probe);
            r.add_number("inputs/canvas_px", static_cast<double>(spec.canvas));
            r.add_number("inputs/measured_scale", s->in.measured_scale);
            r.add_number("inputs/log_scale", s->in.log_scale);
            r.add_number("outputs/loss", s->run(b.stream).loss);
            add_channels(r, b, "outputs/grad_amplitude", *s->grad_amplitude);
            add_channels(r, b, "outputs/grad_phase", *s->grad_phase);
          }};
}

struct Training {
  io::ScanInfo info;
  std::vector<float> amplitude;
  std::shared_ptr<Trainer> trainer;
};
void begin_training(Bench& b, Training& s, int64_t steps_per_epoch) {
  s.trainer.reset();
  const int64_t groups = steps_per_epoch * b.config.batch;
  const int64_t frames = b.members() == 1 ? groups : std::max<int64_t>(16, groups);
  s.info = b.scan_info(frames, groups);
  s.amplitude = b.scan_amplitude(frames);
  s.trainer = b.trainer(s.info, s.amplitude);
  io::Checkpoint start = s.trainer->checkpoint();
  for (io::NamedTensor& w : start.weights) draw_biases(b, w.name, w.data);
  s.trainer->restore(start);
}

// Timed as training runs. A GPU is given a step, and the next batch sets out for it, while it works on the step before:
// there a run is an epoch, whose end waits for all its steps. What is recorded is a step on all groups of a scan, so
// that the order in which a trainer draws them does not show.
Prepared train_step(Bench& b) {
  constexpr int64_t steps_per_epoch = 8;
  const int64_t steps = b.device.kind() == DeviceKind::cpu ? 1 : steps_per_epoch;
  auto s = std::make_shared<Training>();
  begin_training(b, *s, steps_per_epoch);
  s->amplitude = {};  // the trainer has its own
  const UNet& unet = s->trainer->network();
  ops::PhysicsSpec spec;
  spec.batch = b.config.batch;
  spec.members = spec.heads = b.members();
  spec.side = b.config.side_px;
  spec.canvas = s->trainer->checkpoint().canvas;
  const int64_t count = unet.parameter_count() + 1;
  ops::Cost cost;
  for (const ops::Cost& part : {network_forward_cost(unet, b.config.batch), network_backward_cost(unet, b.config.batch),
                                ops::Physics::cost(spec), ops::gradient_norm_cost(count), ops::adam_cost(count)}) {
    cost.flop += part.flop;
    cost.bytes += part.bytes;
  }
  return {
      [s, steps] {
        for (int64_t i = 0; i < steps; ++i) s->trainer->advance();
      },
      b.patterns(), cost,
      [&b, s](Record& r) {
        begin_training(b, *s, 1);
        const io::Checkpoint before = s->trainer->checkpoint();
        const TrainConfig& t = s->trainer->config();
        std::vector<int64_t> index = s->info.groups;
        for (int64_t f = 0; b.members() == 1 && f < s->info.frames; ++f) index.push_back(f);
        const Groups groups = groups_from_index(s->info.positions_px, index, b.members());
        const int64_t n = b.config.side_px, pixels = n * n;
        std::vector<float> x;
        for (const int64_t f : groups.index)
          for (int64_t i = 0; i < pixels; ++i)
            x.push_back(static_cast<float>(before.normalisation) * s->amplitude[static_cast<size_t>(f * pixels + i)]);
        r.add("inputs/x", {b.config.batch, b.members(), n, n}, std::move(x));
        r.add("inputs/offsets_px", {b.config.batch, b.members(), 2}, groups.offsets_px);
        r.add("inputs/probe", {before.probe.depth, n, n}, before.probe.data);
        r.add("inputs/weight", {n, n},
              merge_weight(s->trainer->network().config(), t.merge_weight, t.merge_border, before.probe));
        r.add_number("inputs/canvas_px", static_cast<double>(before.canvas));
        r.add_number("inputs/measured_scale", before.measured_scale);
        r.add_number("inputs/log_scale", before.log_scale);
        r.add_number("inputs/learning_rate", before.learning_rate);
        for (const io::NamedTensor& w : before.weights) r.add("weights/" + w.name, w.shape, w.data);
        r.add_number("outputs/loss", s->trainer->step());
        const io::Checkpoint after = s->trainer->checkpoint();
        for (const io::NamedTensor& w : after.weights) r.add("outputs/weights/" + w.name, w.shape, w.data);
        // Adam's first moment after the first step is (1 - beta1) times the gradient.
        const auto share = static_cast<float>(1 - ops::AdamSettings{}.beta1);
        for (io::NamedTensor m : after.adam_m) {
          for (float& v : m.data) v /= share;
          r.add("outputs/gradient/" + m.name, m.shape, std::move(m.data));
        }
      },
      steps};
}

}  // namespace

std::vector<Case> model_cases() {
  constexpr auto suite = BenchmarkSuite::model;
  return {
      {{"unet_forward", suite, "the network: patterns to amplitude and phase"}, unet_forward},
      {{"unet_backward", suite, "the network's way back, to the gradients of its weights"}, unet_backward},
      {{"physics", suite, "patches to loss (merge, probe, far field, Poisson) and back to their gradients"}, physics},
      {{"train_step", suite, "a whole training step: loading, forward, physics, backward, Adam"}, train_step}};
}

}  // namespace ptyfuse::benchmark
