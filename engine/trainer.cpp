#include "engine/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "engine/device_memory.h"
#include "engine/forward_model.h"
#include "engine/frame_range.h"
#include "engine/frame_stage.h"
#include "engine/learning_rate.h"
#include "engine/probe.h"
#include "engine/train_options.h"
#include "engine/training_set.h"
#include "engine/training_steps.h"
#include "io/whole_number.h"

namespace ptyfuse {
namespace {

using Clock = std::chrono::steady_clock;

// Streams of random numbers, one for each purpose; an epoch's order has purpose_order + its number.
constexpr uint64_t purpose_weights = 0x3e16, purpose_subsample = 0x5ab5, purpose_order = uint64_t{1} << 32;

// The one parameter beside the network's: the intensity scale a, last in the flat buffers.
constexpr const char* scale_name = "log_scale";
constexpr int64_t history_columns = 7;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<int64_t> choose_frames(const TrainConfig& config, int64_t count) {
  std::vector<int64_t> frames = parse_frame_range(config.frames, count);
  const auto available = static_cast<int64_t>(frames.size());
  if (config.subsample > available)
    throw Error(ErrorKind::shape,
                fmt::format("--subsample {}: only {} frames are chosen", config.subsample, available));
  if (config.subsample == 0 || config.subsample == available) return frames;
  std::vector<int64_t> pick = Random(config.seed, purpose_subsample).choose(available, config.subsample);
  std::sort(pick.begin(), pick.end());
  std::vector<int64_t> some;
  some.reserve(pick.size());
  for (const int64_t i : pick) some.push_back(frames[static_cast<size_t>(i)]);
  return some;
}

std::vector<int64_t> sorted_unique(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

}  // namespace

struct Trainer::Impl {
  Impl(const Device& on, const TrainConfig& wanted, std::unique_ptr<io::ScanReader> scan, const RunControl& ctl)
      : device(on), stream(on), config(wanted), control(ctl) {
    if (config.nll_weight == 0 && config.mae_weight == 0 && config.method == Method::pinn)
      throw UsageError(
          "--nll-weight and --mae-weight are both 0: nothing to minimise; give one of them a positive value");
    if (config.tv_weight > 0 && config.method == Method::supervised)
      throw UsageError("--tv-weight belongs to --method pinn; leave it out, or train by pinn");
    info = scan->info();
    if (!UNet::takes_side(info.side_px))
      throw Error(
          ErrorKind::shape,
          fmt::format("{}: diffraction: patterns of {} pixels; the network takes 64, 128 or 256, so crop or pad "
                      "them, or use 'ptyfuse refine', which takes any size",
                      info.path, info.side_px));
    if (config.method == Method::supervised && info.object.empty())
      throw Error(ErrorKind::shape,
                  info.path + ": object: --method supervised learns from the true object, and the scan has none");
    const std::vector<int64_t> frames = choose_frames(config, info.frames);
    GroupingConfig grouping;
    grouping.members = config.method == Method::supervised ? 1 : config.gridsize * config.gridsize;
    grouping.groups = config.groups;
    grouping.neighbors = config.neighbors;
    grouping.oversample = config.oversample;
    grouping.exclude_seed = config.exclude_seed;
    grouping.seed = config.seed;
    groups = make_scan_groups(info, frames, grouping);
    if (config.groups > groups.count())
      control.say(fmt::format("--groups {}: the frames make {} groups of one pattern, and these are trained on",
                              config.groups, groups.count()));
    split = split_groups(groups.count(), config.validation, config.seed);
    if (config.validation > 0 && split.validation.empty())
      control.say("too few groups for a validation set: the training loss steers the schedule");

    // Section 1 averages over groups and members: a frame counts as often as groups hold it.
    std::vector<int64_t> training_frames = frames_of(groups, split.training);
    std::sort(training_frames.begin(), training_frames.end());
    loader = std::make_unique<Loader>(std::move(scan), sorted_unique(groups.index),
                                      Loader::Settings{.host_memory_bytes = config.host_memory_bytes});
    const Loader::Statistics statistics = loader->statistics(training_frames);
    if (statistics.all_zero_frames > 0)
      control.say(fmt::format("{} of {} training frames hold no counts at all", statistics.all_zero_frames,
                              sorted_unique(training_frames).size()));
    const double photons = config.photons > 0 ? config.photons : info.photons_per_pattern.value_or(0);
    scales = make_scales(info.path, info.domain, info.side_px,
                         statistics.sum_of_squares / static_cast<double>(training_frames.size()), photons);
    if (info.domain == io::Domain::amplitude) config.photons = photons;

    if (config.clip_at == 0 && config.clip != Clip::none) config.clip_at = config.clip == Clip::agc ? 0.01 : 1;
    prepare_model();
    prepare_graphs();
    steps_per_epoch = (static_cast<int64_t>(split.training.size()) + config.batch - 1) / config.batch;
    rate = std::make_unique<LearningRate>(config.schedule, config.learning_rate, config.epochs, steps_per_epoch);
  }

  void prepare_model() {
    double outside = 0;
    if (config.method == Method::pinn) {
      probe = prepare_probe(config, choose_probe(config.probe, info));
      outside = power_outside_centre(probe);
    }
    const GeneratorConfig shape = resolve_network(config, info.side_px, outside, device, control);
    network = config.method == Method::supervised ? UNet::supervised(shape) : UNet::generator(shape);
    config.side_px = shape.side_px;
    config.gridsize = shape.gridsize;
    config.pad_object = shape.pad_object ? Toggle::on : Toggle::off;
    config.precision = shape.precision == ops::Precision::bf16 ? PrecisionChoice::bf16 : PrecisionChoice::fp32;

    const int64_t count = network.parameter_count() + 1;
    for (const auto& [tensor, name] :
         {std::pair{&parameters, "parameters"}, std::pair{&gradients, "gradients"},
          std::pair{&adam_m, "Adam's first moment"}, std::pair{&adam_v, "Adam's second moment"}}) {
      *tensor = Tensor<float>(device, {count}, name);
      fill_zero(stream, tensor->view());
    }
    std::vector<float> values(static_cast<size_t>(count));
    Random random(config.seed, purpose_weights);
    network.initialise(random, config.initialisation, std::span(values).first(static_cast<size_t>(count - 1)));
    values.back() = static_cast<float>(scales.log_scale);
    copy_to_device(stream, parameters.view(), values.data(), count);
    prepare_steps();

    settings.nll_weight = config.nll_weight;
    settings.mae_weight = config.mae_weight;
    settings.tv_weight = config.tv_weight;
    settings.canvas_px = groups.canvas(info.side_px);
    settings.log_scale = last(parameters);
    if (config.train_scale) settings.grad_log_scale = last(gradients);
    if (config.method == Method::supervised) return;
    probe_memory = Tensor<complex64>(device, {probe.depth, probe.height, probe.width}, "probe");
    copy_to_device(stream, probe_memory.view(), probe.data.data(), probe_memory.elements());
    settings.probe = std::as_const(probe_memory).view();
    const std::vector<float> weight = merge_weight(shape, config.merge_weight, config.merge_border, probe);
    weight_memory = Tensor<float>(device, {info.side_px, info.side_px}, "merge weight");
    copy_to_device(stream, weight_memory.view(), weight.data(), weight_memory.elements());
    settings.weight = std::as_const(weight_memory).view();
    if (!info.mask.empty()) {
      const std::vector<float> mask(info.mask.begin(), info.mask.end());
      mask_memory = Tensor<float>(device, {info.side_px, info.side_px}, "detector mask");
      copy_to_device(stream, mask_memory.view(), mask.data(), mask_memory.elements());
      settings.mask = std::as_const(mask_memory).view();
    }
  }

  void prepare_steps() {
    const int64_t largest_batch = *batch_sizes(config.batch).rbegin(), side = info.side_px;
    TrainingSteps::Settings s;
    s.clip = config.clip;
    s.clip_at = config.clip_at;
    s.largest_inputs = largest_batch * (config.method == Method::supervised ? 2 * side * side : 2 * groups.members);
    for (const ParameterEntry& p : network.parameters()) s.tensors.push_back({p.offset, p.offset + p.shape.elements()});
    training_steps = std::make_unique<TrainingSteps>(
        device, s, TrainingSteps::Buffers{parameters.view(), gradients.view(), adam_m.view(), adam_v.view()});
  }

  TrainingGraph make_graph(const Device& on, int64_t batch) {
    TrainingSettings s = settings;
    s.batch = batch;
    s.recompute = recompute;
    const int64_t count = network.parameter_count();
    return {on, network, parameters.view().slice(0, 0, count), gradients.view().slice(0, 0, count), s};
  }

  // Every number of groups that a batch of the training or validation set has, where `batch` is the largest wanted.
  std::set<int64_t> batch_sizes(int64_t batch) const {
    std::set<int64_t> sizes;
    for (const auto& list : {std::cref(split.training), std::cref(split.validation)})
      add_batch_sizes(static_cast<int64_t>(list.get().size()), batch, sizes);
    return sizes;
  }

  // All memory of the device that steps need, so that none runs out of it later.
  void take_memory(int64_t batch) {
    const std::set<int64_t> sizes = batch_sizes(batch);
    stage = std::make_unique<FrameStage>(device, network.config(), *sizes.rbegin());
    for (const int64_t size : sizes) graphs.emplace(size, make_graph(device, size));
  }
  bool fits(int64_t batch) {
    bool taken = true;
    try {
      take_memory(batch);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::memory) throw;
      taken = false;
    }
    stage.reset();
    graphs.clear();
    return taken;
  }

  // First what costs time alone: the network's stages are run again on the way back. A batch is part of the result:
  // where it does not fit even so, the user decides.
  void prepare_graphs() {
    std::string why;
    for (const bool again : {false, true}) {
      if (config.recompute == (again ? Toggle::off : Toggle::on)) continue;
      recompute = again;
      try {
        take_memory(config.batch);
        if (again && config.recompute == Toggle::automatic)
          control.say(
              "the device's memory does not hold what the network's stages give: they are run again on the way "
              "back (--recompute)");
        return;
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::memory) throw;
        why = e.what();
        stage.reset();
        graphs.clear();
      }
    }
    int64_t smaller = std::min(config.batch, *batch_sizes(config.batch).rbegin()) / 2;
    while (smaller > 0 && !fits(smaller)) smaller /= 2;
    const std::optional<int64_t> needed = memory_needed_bytes(device, [this](const Device& on) {
      const std::set<int64_t> sizes = batch_sizes(config.batch);
      const FrameStage frames(on, network.config(), *sizes.rbegin());
      std::vector<TrainingGraph> all;
      for (const int64_t size : sizes) all.push_back(make_graph(on, size));
    });
    why = without_advice(why);
    std::string mend = smaller > 0 ? fmt::format("--batch {} fits", smaller) : "No smaller --batch fits";
    if (needed) {
      const std::string enough = size_option(device.memory_in_use_bytes() + *needed);
      mend += smaller > 0 ? fmt::format(", and --batch {} with --device-memory {}", config.batch, enough)
                          : fmt::format("; --batch {} needs --device-memory {}", config.batch, enough);
    }
    if (config.recompute == Toggle::off) mend += "; --recompute auto needs less";
    if (smaller > 0) mend += "; another batch trains another model";
    throw Error(ErrorKind::memory, fmt::format("training with --batch {}: {}. {}", config.batch, why, mend));
  }

  // The groups [first, first + batch) of a list.
  std::span<const int64_t> batch_of(const std::vector<int64_t>& list, int64_t number) const {
    const int64_t first = number * config.batch, count = static_cast<int64_t>(list.size());
    return std::span(list).subspan(static_cast<size_t>(first),
                                   static_cast<size_t>(std::min(config.batch, count - first)));
  }
  int64_t batches_of(const std::vector<int64_t>& list) const {
    return (static_cast<int64_t>(list.size()) + config.batch - 1) / config.batch;
  }

  // The epoch's order, and the walk of the loader over the rest of it and the validation set.
  void begin_walk() {
    order = split.training;
    const std::vector<int64_t> shuffle = Random(config.seed, purpose_order + static_cast<uint64_t>(epoch))
                                             .permutation(static_cast<int64_t>(order.size()));
    for (size_t i = 0; i < order.size(); ++i) order[i] = split.training[static_cast<size_t>(shuffle[i])];
    std::vector<std::vector<int64_t>> walk;
    const auto add = [&](std::span<const int64_t> batch) {
      walk.push_back(frames_of(groups, {batch.begin(), batch.end()}));
    };
    for (int64_t b = step_in_epoch; b < steps_per_epoch; ++b) add(batch_of(order, b));
    for (int64_t b = 0; b < batches_of(split.validation); ++b) add(batch_of(split.validation, b));
    unstaged = walk.size();
    loader->start(std::move(walk));
    walking = true;
    epoch_start = Clock::now();
    patterns_timed = 0;
    stage_next();
  }

  // The walk's next batch sets out for the device, where one is left.
  void stage_next() {
    if (unstaged == 0) return;
    --unstaged;
    try {
      stage->put(loader->next(), static_cast<float>(scales.normalisation));
    } catch (...) {
      walking = false;  // the batch is lost: another attempt walks anew
      throw;
    }
  }

  // Fills a graph with the walk's next batch, which is these groups.
  TrainingGraph& load(std::span<const int64_t> batch) {
    TrainingGraph& g = graphs.at(static_cast<int64_t>(batch.size()));
    stage->take(stream, g.x());
    g.set_scales(0, static_cast<float>(scales.measured_scale));  // the intensity scale is among the parameters
    inputs.clear();
    if (config.method == Method::supervised) {
      std::vector<float> phase;
      truth_patches(info, frames_of(groups, {batch.begin(), batch.end()}), inputs, phase);
      inputs.insert(inputs.end(), phase.begin(), phase.end());
    } else {
      const auto width = static_cast<size_t>(groups.members * 2);
      for (const int64_t i : batch) {
        const auto begin = groups.offsets_px.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(i) * width);
        inputs.insert(inputs.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
      }
    }
    training_steps->load(stream, g, inputs);
    return g;
  }

  void advance() {
    if (!walking) begin_walk();
    if (step_in_epoch < steps_per_epoch) begin_step();
    if (step_in_epoch == steps_per_epoch) end_epoch();
  }

  // Gives a GPU its next step while it works on the one before, whose outcome is looked at before a third one is given.
  void begin_step() {
    look_at_all_but(1);
    const std::span<const int64_t> batch = batch_of(order, step_in_epoch);
    TrainingGraph& g = load(batch);
    training_steps->step(stream, g, rate->at(steps, epoch), steps + 1);
    for (auto& [size, other] : graphs) other.parameters_changed();
    begun.push_back({steps, step_in_epoch, batch.size()});
    ++steps;
    ++step_in_epoch;
    patterns_timed += static_cast<int64_t>(batch.size()) * groups.members;
    stage_next();  // while the GPU works
  }

  // Looks at the outcomes of steps, the first ones first. After a bad one the trainer stands where that step began: its
  // update, and those of the steps behind it, were left out.
  void look_at_all_but(size_t left) {
    while (begun.size() > left) {
      const TrainingSteps::Outcome outcome = training_steps->next_outcome();
      const BegunStep step = begun.front();
      begun.pop_front();
      if (!outcome.finite) {
        steps = step.steps;
        step_in_epoch = step.step_in_epoch;
        walking = false;
        begun.clear();
        training_steps->restart(stream);
        throw Error(
            ErrorKind::numeric,
            fmt::format("the {} is not finite in epoch {}, step {}; the last checkpoint is kept. Try a smaller --lr, "
                        "--clip norm, or look at the data with 'ptyfuse info'",
                        std::isfinite(outcome.loss) ? "gradient" : "loss", epoch + 1, step_in_epoch + 1));
      }
      last_loss = outcome.loss;
      loss_sum += outcome.loss * static_cast<double>(step.groups);
    }
  }
  void settle() { look_at_all_but(0); }

  static TensorView<float> last(Tensor<float>& buffer) {
    return buffer.view().slice(0, buffer.elements() - 1, buffer.elements());
  }

  double validate() {
    double sum = 0;
    for (int64_t b = 0; b < batches_of(split.validation); ++b) {
      const std::span<const int64_t> batch = batch_of(split.validation, b);
      TrainingGraph& g = load(batch);
      g.enqueue_evaluate(stream);
      stage_next();  // before the wait for the loss
      sum += g.result(stream).loss * static_cast<double>(batch.size());
    }
    return split.validation.empty() ? std::numeric_limits<double>::quiet_NaN()
                                    : sum / static_cast<double>(split.validation.size());
  }

  void end_epoch() {
    settle();
    const double epoch_seconds = seconds_since(epoch_start);
    HistoryRow row;
    row.learning_rate = rate->at(steps - 1, epoch);
    row.epoch = epoch + 1;
    row.step = steps;
    row.loss = loss_sum / static_cast<double>(split.training.size());
    row.patterns_per_s = static_cast<double>(patterns_timed) / std::max(epoch_seconds, 1e-9);
    row.val_loss = validate();
    ++epoch;
    row.seconds = seconds_before + seconds_since(session_start);
    history.push_back(row);
    rate->epoch_ended(std::isfinite(row.val_loss) ? row.val_loss : row.loss);
    const bool watch = config.early_stopping && config.schedule != Schedule::cosine;
    if (early.epoch_ended(row.loss) && watch) {
      stopped_early = true;
      control.say(fmt::format("the training loss has not improved for 3 epochs: stopping after epoch {}", epoch));
    }
    step_in_epoch = 0;
    loss_sum = 0;
    walking = false;
  }

  bool finished() const { return epoch >= config.epochs || stopped_early; }

  void report(bool epoch_ended) const {
    ProgressEvent event;
    event.task = "train";
    event.unit = "patterns";
    const double per_epoch = static_cast<double>(split.training.size()) * static_cast<double>(groups.members);
    const double epoch_part = static_cast<double>(step_in_epoch) / static_cast<double>(steps_per_epoch);
    event.done = per_epoch * (static_cast<double>(epoch) + epoch_part);
    event.total = per_epoch * static_cast<double>(config.epochs);
    event.rate = epoch_ended ? history.back().patterns_per_s
                             : static_cast<double>(patterns_timed) / std::max(seconds_since(epoch_start), 1e-9);
    event.seconds_left = (event.total - event.done) / std::max(event.rate, 1e-9);
    if (epoch_ended) {
      const HistoryRow& row = history.back();
      event.message = fmt::format("epoch {}/{}  loss {:.6g}", row.epoch, config.epochs, row.loss);
      if (std::isfinite(row.val_loss)) event.message += fmt::format("  validation {:.6g}", row.val_loss);
      const double left = finished() ? 0 : event.seconds_left;
      event.message +=
          fmt::format("  rate {:.2g}  {:.0f} patterns/s  {:.0f} s left", row.learning_rate, row.patterns_per_s, left);
    }
    control.report(event);
  }

  // -- checkpoint: callbacks' state and history as a list of numbers
  std::vector<double> trainer_state() const {
    std::vector<double> s = rate->state();
    for (const double v : early.state()) s.push_back(v);
    s.push_back(stopped_early ? 1 : 0);
    s.push_back(loss_sum);
    s.push_back(seconds_before + seconds_since(session_start));
    s.push_back(static_cast<double>(groups.count()));
    s.push_back(static_cast<double>(history.size()));
    for (const HistoryRow& r : history)
      for (const double v : {static_cast<double>(r.epoch), static_cast<double>(r.step), r.seconds, r.loss, r.val_loss,
                             r.learning_rate, r.patterns_per_s})
        s.push_back(v);
    return s;
  }

  // Two data sets that agree in both scales agree in their mean power, which tells patterns apart.
  void require_same_patterns(const io::Checkpoint& c) const {
    constexpr double rounding = 1e-12;
    for (const auto& [stored, found] :
         {std::pair{c.normalisation, scales.normalisation}, std::pair{c.measured_scale, scales.measured_scale}})
      if (!(std::abs(found - stored) <= rounding * std::abs(stored)))
        throw Error(ErrorKind::shape,
                    info.path +
                        ": these scans hold other patterns than the run was started on; name the same files, or "
                        "start another run");
  }

  void set_trainer_state(const std::vector<double>& s) {
    constexpr size_t fixed = 10;
    const size_t rows = s.size() < fixed ? 0 : (s.size() - fixed) / history_columns;
    bool sound = s.size() == fixed + rows * history_columns && s[9] == static_cast<double>(rows) &&
                 io::is_count(s[2]) && io::is_count(s[4]);
    for (size_t i = fixed; sound && i < s.size(); i += history_columns)
      sound = io::is_count(s[i]) && io::is_count(s[i + 1]);
    if (!sound) throw Error(ErrorKind::shape, "checkpoint: the trainer's state has another layout than this version's");
    if (s[8] != static_cast<double>(groups.count()))
      throw Error(ErrorKind::shape,
                  fmt::format("checkpoint: it was trained on {:.0f} groups, these scans and settings give {}", s[8],
                              groups.count()));
    rate->set_state({s[0], s[1], s[2]});
    early.set_state({s[3], s[4]});
    stopped_early = s[5] != 0;
    loss_sum = s[6];
    seconds_before = s[7];
    history.clear();
    for (size_t i = fixed; i < s.size(); i += history_columns)
      history.push_back({static_cast<int64_t>(s[i]), static_cast<int64_t>(s[i + 1]), s[i + 2], s[i + 3], s[i + 4],
                         s[i + 5], s[i + 6]});
  }

  std::vector<io::NamedTensor> download(const Tensor<float>& buffer) const {
    std::vector<float> all(static_cast<size_t>(buffer.elements()));
    stream.synchronise();
    Stream s(device);
    copy_to_host(s, all.data(), buffer.view(), buffer.elements());
    std::vector<io::NamedTensor> tensors;
    for (const ParameterEntry& p : network.parameters()) {
      io::NamedTensor t;
      t.name = p.name;
      for (int a = 0; a < p.shape.rank(); ++a) t.shape.push_back(p.shape[a]);
      t.data.assign(all.begin() + p.offset, all.begin() + p.offset + p.shape.elements());
      tensors.push_back(std::move(t));
    }
    tensors.push_back({scale_name, {1}, {all.back()}});
    return tensors;
  }

  void upload(const std::vector<io::NamedTensor>& tensors, Tensor<float>& buffer) {
    std::vector<float> all = flatten_weights(network, tensors, true);
    copy_to_device(stream, buffer.view(), all.data(), buffer.elements());
  }

  Device device;
  Stream stream;
  TrainConfig config;
  RunControl control;
  io::ScanInfo info;
  std::unique_ptr<Loader> loader;
  Groups groups;
  GroupSplit split;
  Scales scales;
  UNet network;
  io::ComplexImage probe;
  TrainingSettings settings;
  Tensor<float> parameters, gradients, adam_m, adam_v, weight_memory, mask_memory;
  Tensor<complex64> probe_memory;
  std::unique_ptr<FrameStage> stage;
  std::map<int64_t, TrainingGraph> graphs;
  bool recompute = false;
  std::unique_ptr<TrainingSteps> training_steps;
  struct BegunStep {
    int64_t steps, step_in_epoch;  // before it
    size_t groups;
  };
  std::deque<BegunStep> begun;  // steps whose outcome is not looked at yet
  double last_loss = 0;
  std::unique_ptr<LearningRate> rate;
  EarlyStopping early;
  int64_t steps_per_epoch = 1, epoch = 0, steps = 0, step_in_epoch = 0;
  double loss_sum = 0;
  bool stopped_early = false, walking = false;
  size_t unstaged = 0;  // batches of the walk
  std::vector<int64_t> order;
  std::vector<float> inputs;
  std::vector<HistoryRow> history;
  double seconds_before = 0;
  Clock::time_point session_start = Clock::now(), epoch_start = Clock::now();
  int64_t patterns_timed = 0;
};

std::vector<float> flatten_weights(const UNet& network, const std::vector<io::NamedTensor>& tensors, bool with_scale) {
  std::vector<float> all(static_cast<size_t>(network.parameter_count() + (with_scale ? 1 : 0)));
  std::map<std::string, const io::NamedTensor*> by_name;
  for (const io::NamedTensor& t : tensors) by_name[t.name] = &t;
  const auto place = [&](const std::string& name, const Shape& shape, int64_t offset) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) throw Error(ErrorKind::shape, "checkpoint: weights/" + name + " is missing");
    const io::NamedTensor& t = *found->second;
    bool same = static_cast<int>(t.shape.size()) == shape.rank();
    for (int a = 0; same && a < shape.rank(); ++a) same = t.shape[static_cast<size_t>(a)] == shape[a];
    if (!same || static_cast<int64_t>(t.data.size()) != shape.elements())
      throw Error(ErrorKind::shape, "checkpoint: weights/" + name + ": expected shape " + shape.str());
    std::copy(t.data.begin(), t.data.end(), all.begin() + offset);
  };
  for (const ParameterEntry& p : network.parameters()) place(p.name, p.shape, p.offset);
  if (with_scale) place(scale_name, {1}, network.parameter_count());
  return all;
}

Trainer::Trainer(const Device& device, const TrainConfig& config, std::unique_ptr<io::ScanReader> scan,
                 const RunControl& control)
    : impl_(std::make_unique<Impl>(device, config, std::move(scan), control)) {}
Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;

const TrainConfig& Trainer::config() const {
  return impl_->config;
}
const UNet& Trainer::network() const {
  return impl_->network;
}
int64_t Trainer::group_count() const {
  return impl_->groups.count();
}
int64_t Trainer::steps_per_epoch() const {
  return impl_->steps_per_epoch;
}
bool Trainer::finished() const {
  return impl_->finished();
}
const std::vector<HistoryRow>& Trainer::history() const {
  return impl_->history;
}
double Trainer::step() {
  impl_->advance();
  impl_->settle();
  return impl_->last_loss;
}

void Trainer::advance() {
  impl_->advance();
}

io::Checkpoint Trainer::checkpoint() const {
  impl_->settle();
  TrainConfig config = impl_->config;
  io::Checkpoint c;
  c.config = train_options(config).to_toml();
  c.weights = impl_->download(impl_->parameters);
  c.adam_m = impl_->download(impl_->adam_m);
  c.adam_v = impl_->download(impl_->adam_v);
  c.step = impl_->steps;
  c.epoch = impl_->epoch;
  c.step_in_epoch = impl_->step_in_epoch;
  const auto random = Random(config.seed, purpose_order + static_cast<uint64_t>(c.epoch)).state();
  c.random_state.assign(random.begin(), random.end());
  c.normalisation = impl_->scales.normalisation;
  c.log_scale = static_cast<double>(c.weights.back().data.front());
  c.measured_scale = impl_->scales.measured_scale;
  c.learning_rate = impl_->rate->at(c.step, c.epoch);
  c.trainer_state = impl_->trainer_state();
  c.canvas = impl_->settings.canvas_px;
  c.probe = impl_->probe;
  return c;
}

void Trainer::restore(const io::Checkpoint& c) {
  impl_->require_same_patterns(c);
  if (c.step < 0 || c.epoch < 0 || c.step_in_epoch < 0 || c.step_in_epoch > impl_->steps_per_epoch)
    throw Error(ErrorKind::shape, fmt::format("checkpoint: it stands at step {} of epoch {}; these scans and settings "
                                              "give epochs of {} steps",
                                              c.step_in_epoch, c.epoch + 1, impl_->steps_per_epoch));
  impl_->upload(c.weights, impl_->parameters);
  impl_->upload(c.adam_m, impl_->adam_m);
  impl_->upload(c.adam_v, impl_->adam_v);
  impl_->set_trainer_state(c.trainer_state);
  impl_->steps = c.step;
  impl_->epoch = c.epoch;
  impl_->step_in_epoch = c.step_in_epoch;
  // The same numbers as this trainer's own but for rounding, which follows how the frames are read; the stored ones
  // keep the bits.
  impl_->scales.normalisation = c.normalisation;
  impl_->scales.measured_scale = c.measured_scale;
  impl_->begun.clear();
  impl_->training_steps->restart(impl_->stream);
  impl_->session_start = Clock::now();
  impl_->walking = false;
  for (auto& [size, graph] : impl_->graphs) graph.parameters_changed();
}

void Trainer::run(const std::function<void(const Trainer&)>& save) {
  Impl& t = *impl_;
  t.session_start = Clock::now();
  if (t.steps == 0) save(*this);
  while (!t.finished()) {
    if (t.control.stop_requested()) {
      t.settle();
      save(*this);
      throw Error(ErrorKind::cancelled,
                  fmt::format("training stopped after epoch {}, step {}; the state is saved, --resume goes on", t.epoch,
                              t.step_in_epoch));
    }
    const int64_t epoch = t.epoch;
    t.advance();
    const bool epoch_ended = t.epoch != epoch;
    t.report(epoch_ended);
    if (epoch_ended && (t.finished() || t.epoch % t.config.checkpoint_every == 0)) save(*this);
  }
}

}  // namespace ptyfuse
