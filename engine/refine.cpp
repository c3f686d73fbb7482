#include "engine/refine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numbers>
#include <numeric>
#include <optional>
#include <span>

#include "engine/device_memory.h"
#include "engine/frame_positions.h"
#include "engine/frame_range.h"
#include "engine/loader.h"
#include "engine/probe.h"
#include "engine/probe_modes.h"
#include "engine/random.h"
#include "kernels/device/buffer.h"
#include "kernels/device/free_memory.h"
#include "kernels/ops/rpie.h"
#include "kernels/ops/rpie_positions.h"
#include "kernels/ops/rpie_waves.h"

namespace ptyfuse {
namespace {

constexpr uint64_t order_stream = 0x726566696e65;
constexpr double least_length = 0.1;
constexpr double whole_until = 0.7;  // of the sweeps
// Sweeps before the probe moves: a flat object says nothing of it yet.
constexpr int64_t probe_begins = 1;
// Sweeps before positions move: there must be an object to find them on.
constexpr int64_t positions_begin = 2;
constexpr double positions_exact_from = 0.5;  // of the sweeps
// First-order movements fall short: the measured waves are given the model's phases, so about half of what is missing
// goes unseen.
constexpr double position_scale = 2;
constexpr double longest_position_step_px = 0.5;  // of a sweep

/// How long the steps are. A batch knows its own frames only, and a whole step takes over their noise: for most of the
/// sweeps steps are whole and go far, then their lengths fall along half a cosine and average over many batches. They
/// fall no further than to the share of the frames that a batch holds (a batch of all frames has nothing to average
/// with) and, since a few sweeps must still get there, to 1 of the sweeps.
class StepLength {
 public:
  StepLength(int64_t sweeps, int64_t batches)
      : steps_(static_cast<double>(sweeps) * static_cast<double>(batches)),
        last_(std::max(
            {least_length, 1 / static_cast<double>(batches), 1 / static_cast<double>(std::max<int64_t>(sweeps, 1))})) {}
  float operator()(int64_t step) const {
    const double falling = std::max(0.0, static_cast<double>(step) / steps_ - whole_until) / (1 - whole_until);
    const double turn = std::numbers::pi * falling;
    return static_cast<float>(last_ + (1 - last_) * (1 + std::cos(turn)) / 2);
  }

 private:
  double steps_, last_;
};

/// The loader owns its reader; this one belongs to the caller.
class Borrowed : public io::ScanReader {
 public:
  explicit Borrowed(io::ScanReader& reader) : reader_(reader) {}
  const io::ScanInfo& info() const override { return reader_.info(); }
  void read_amplitude(int64_t first, int64_t count, std::span<float> out) override {
    reader_.read_amplitude(first, count, out);
  }
  void read_frames(std::span<const int64_t> frames, std::span<float> out) override { reader_.read_frames(frames, out); }

 private:
  io::ScanReader& reader_;
};

/// What a run needs of the device.
struct Need {
  int64_t height = 0, width = 0;  // of the object
  int64_t modes = 0, side = 0;
  int64_t batch = 0;   // frames whose updates see one object
  int64_t frames = 0;  // of all batches
  bool masked = false;
  bool updates = false;     // the object
  bool probe_step = false;  // and the probe
  bool positions = false;   // and the frames
};

/// Everything on the device that sweeps need, for `part` frames of a batch at a time.
struct Memory {
  Memory(const Device& device, const Need& need, int64_t part)
      : steps(device, need.side, need.modes),
        object(device, {need.height, need.width}, "refine object"),
        probe(device, {need.modes, need.side, need.side}, "refine probe"),
        probe_spectra(device, probe.shape(), "refine probe spectra"),
        waves(device, {part, need.modes, need.side, need.side}, "refine exit waves"),
        shifted(device, waves.shape(), "refine shifted probes"),
        amplitude(device, {part, need.side, need.side}, "refine amplitude"),
        corner(device, {need.batch, 2}, "refine corners"),
        probe_index(device, {need.batch}, "refine probe index"),
        shift(device, {part, 2}, "refine shifts"),
        sums(device, {need.frames, 2}, "refine sums") {
    if (need.masked) mask = Tensor<uint8_t>(device, {need.side, need.side}, "refine mask");
    if (need.probe_step) {
      gradient = Tensor<complex64>(device, waves.shape(), "refine probe gradients");
      step = Tensor<complex64>(device, probe.shape(), "refine probe step");
    }
    if (need.positions) position_steps = Tensor<double>(device, {need.frames, 2}, "refine position steps");
    if (part == need.batch || !need.updates) return;
    numerator = Tensor<complex64>(device, object.shape(), "refine object step");
    power = Tensor<float>(device, object.shape(), "refine illumination");
    if (need.probe_step) step_part = Tensor<complex64>(device, probe.shape(), "refine part of the probe step");
  }

  ops::RpieWaves steps;
  Tensor<complex64> object, probe, probe_spectra, waves;
  Tensor<complex64> shifted;  // the part's probes; or the cache:
  Tensor<complex64> cache;    // every frame's shifted probe, while the probe stays and memory allows
  Tensor<float> amplitude;
  Tensor<int64_t> corner, probe_index;  // of the whole batch
  Tensor<float> shift;
  Tensor<double> sums;            // of all frames, in the order of a walk
  Tensor<double> position_steps;  // likewise
  Tensor<uint8_t> mask;
  Tensor<complex64> gradient, step;
  // of a batch in parts
  Tensor<complex64> numerator, step_part;
  Tensor<float> power;
};

/// As many frames of a batch at once as the device's memory holds.
std::unique_ptr<Memory> take_memory(const Device& device, const Need& need) {
  for (int64_t part = need.batch;; part = (part + 1) / 2) {
    try {
      return std::make_unique<Memory>(device, need, part);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::memory) throw;
      if (part > 1) continue;
      // Parts need sums of the object's size beside it: a whole batch may take less.
      std::optional<int64_t> least;
      for (const int64_t frames : {int64_t{1}, need.batch})
        if (const auto needed = memory_needed_bytes(device, [&](const Device& on) { Memory(on, need, frames); }))
          least = std::min(least.value_or(*needed), *needed);
      throw Error(ErrorKind::memory,
                  fmt::format("refine: the object and a batch of {} frames, even one frame at a time, are too much for "
                              "the device: {}{}",
                              need.batch, e.what(),
                              least ? fmt::format(". The least that works is --device-memory {}",
                                                  device.memory_in_use_bytes() + *least)
                                    : ""));
    }
  }
}

/// Whether the run is long enough for what is to move.
bool probe_moves(const RefineConfig& config) {
  return config.update_probe && config.sweeps > probe_begins;
}
bool positions_move(const RefineConfig& config) {
  return config.update_positions && config.sweeps > positions_begin;
}

/// One run over a scan.
class Refinement {
 public:
  Refinement(const Device& device, io::ScanReader& scan, const RefineConfig& config, const RefineState& state,
             const io::ComplexImage& probe)
      : stream_(device),
        config_(config),
        info_(scan.info()),
        frames_(parse_frame_range(config.frames, info_.frames)),
        side_(info_.side_px),
        modes_(probe.depth),
        batch_(std::min<int64_t>(config.batch, static_cast<int64_t>(frames_.size()))),
        loader_(std::make_unique<Borrowed>(scan), frames_, {.host_memory_bytes = config.host_memory_bytes}),
        random_(config.seed, order_stream),
        step_length_(config.sweeps, batches()),
        positions_(place_frames(state)) {
    m_ = take_memory(device, {.height = state.object.height,
                              .width = state.object.width,
                              .modes = modes_,
                              .side = side_,
                              .batch = batch_,
                              .frames = static_cast<int64_t>(frames_.size()),
                              .masked = !info_.mask.empty(),
                              .updates = config.sweeps > 0,
                              .probe_step = probe_moves(config),
                              .positions = positions_move(config)});
    upload(m_->object, state.object);
    upload(m_->probe, probe);
    if (!info_.mask.empty())
      copy_to_device(stream_, m_->mask.view(), info_.mask.data(), static_cast<int64_t>(info_.mask.size()));
    transform_probe();
    if (config.sweeps > 0 && !config.update_probe && !config.update_positions && cache_fits(device)) fill_cache();
  }

  int64_t batch() const { return batch_; }
  /// Frames of a batch that the device holds at once.
  int64_t part() const { return m_->waves.shape()[0]; }

  /// R of the object and the probe as they are.
  double residual() {
    std::vector<int64_t> order(frames_.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    measured_ = 0;
    walk(order, [&](std::span<const int64_t> places) {
      load_batch(places);
      for_parts(places, [&](const Part& part) {
        m_->steps.residual(stream_, m_->object.view(), batch(part), probes(part), measured(part), waves(part),
                           next_sums(part));
      });
    });
    return measured_residual();
  }

  enum class Extent { whole, part, none };
  struct Sweep {
    Extent extent = Extent::none;
    double residual = 0;  // of a whole one: R of every frame as the sweep met it, before that frame's batch moved
  };
  /// Sweep number `sweep`. Not whole when the caller wants to stop: it is left where it is.
  Sweep sweep(int64_t sweep, const RunControl& control) {
    bool going = true;
    int64_t batch = 0;
    measured_ = 0;
    const std::vector<int64_t> order = random_.permutation(static_cast<int64_t>(frames_.size()));
    const std::optional<ops::PositionGradient> move = position_gradient(sweep);
    walk(order, [&](std::span<const int64_t> places) {
      going = going && !control.stop_requested();
      if (!going) return;
      length_ = config_.steps == StepRule::whole ? 1 : step_length_(sweep * batches() + batch);
      improve(places, config_.update_probe && sweep >= probe_begins, move);
      ++batch;
    });
    if (!going) return {batch > 0 ? Extent::part : Extent::none};
    if (move) move_frames(order);
    return {Extent::whole, measured_residual()};
  }

  void download(RefineState& state) {
    copy_to_host<complex64>(stream_, state.object.data.data(), m_->object.view(), m_->object.elements());
    state.probe = {modes_, side_, side_, std::vector<complex64>(static_cast<size_t>(m_->probe.elements()))};
    copy_to_host<complex64>(stream_, state.probe.data.data(), m_->probe.view(), m_->probe.elements());
    if (positions_move(config_)) state.positions_px = positions_.positions_px();
  }

  FramePositions::Moved moved() const { return positions_.moved(); }

 private:
  // The cache saves time only: it takes what memory the rest leaves, but for a tenth, which operations need for a
  // while, and is left out where that is too little.
  bool cache_fits(const Device& device) const {
    const int64_t bytes =
        static_cast<int64_t>(frames_.size()) * modes_ * side_ * side_ * static_cast<int64_t>(sizeof(complex64));
    const int64_t host = config_.host_memory_bytes, free = free_memory_bytes(device);
    return (host == 0 || bytes <= host / 2) && bytes <= free - free / 10;
  }
  int64_t batches() const { return (static_cast<int64_t>(frames_.size()) + batch_ - 1) / batch_; }
  bool cached() const { return m_->cache.data() != nullptr; }
  template <class T>
  static TensorView<T> first(Tensor<T>& tensor, int64_t count) {
    return tensor.view().slice(0, 0, count);
  }

  // Frames [begin, begin + count) of a batch: those on the device.
  struct Part {
    int64_t begin = 0, count = 0;
  };
  TensorView<complex64> waves(const Part& part) { return first(m_->waves, part.count); }
  TensorView<const float> amplitude(const Part& part) { return first(m_->amplitude, part.count); }
  TensorView<const complex64> probes(const Part& part) {
    return cached() ? m_->cache.view() : first(m_->shifted, part.count);
  }
  ops::RpieBatch batch(const Part& part) {
    const int64_t end = part.begin + part.count;
    return {m_->corner.view().slice(0, part.begin, end), m_->probe_index.view().slice(0, part.begin, end)};
  }

  void upload(Tensor<complex64>& to, const io::ComplexImage& from) {
    copy_to_device(stream_, to.view(), from.data.data(), static_cast<int64_t>(from.data.size()));
  }

  FramePositions place_frames(const RefineState& state) const {
    std::vector<std::array<double, 2>> scan_px;
    for (const int64_t f : frames_) scan_px.push_back(info_.positions_px[static_cast<size_t>(f)]);
    FramePositions out(scan_px, state.positions_px.empty() ? scan_px : state.positions_px, side_,
                       {state.origin_px, {state.object.height, state.object.width}});
    for (size_t n = 0; n < frames_.size(); ++n)
      if (out.outside(n))
        throw_shape_error("refine", "frame " + std::to_string(frames_[n]) + " lies outside the object of " +
                                        std::to_string(state.object.height) + " x " +
                                        std::to_string(state.object.width) + " at [" +
                                        std::to_string(state.origin_px[0]) + ", " + std::to_string(state.origin_px[1]) +
                                        "]; place the object with start_from_object");
    return out;
  }

  /// How sweep number `sweep` finds the frames' movements; none where they stay.
  std::optional<ops::PositionGradient> position_gradient(int64_t sweep) const {
    if (m_->position_steps.data() == nullptr || sweep < positions_begin) return std::nullopt;
    const bool early = static_cast<double>(sweep) < positions_exact_from * static_cast<double>(config_.sweeps);
    return early ? ops::PositionGradient::wide : ops::PositionGradient::exact;
  }

  /// By what the sweep, which visited them in this order, found.
  void move_frames(const std::vector<int64_t>& order) {
    std::vector<std::array<double, 2>> found(order.size()), steps(order.size());
    copy_to_host<double>(stream_, found.data()->data(), m_->position_steps.view(), m_->position_steps.elements());
    for (size_t n = 0; n < order.size(); ++n) steps[static_cast<size_t>(order[n])] = found[n];
    positions_.move(steps, position_scale * static_cast<double>(length_), longest_position_step_px);
  }

  void transform_probe() {
    m_->steps.fft().run(stream_, ops::FftDirection::forward, m_->probe.view(), m_->probe_spectra.view());
    peak_ = ops::peak_power(stream_, m_->probe.view());
    if (!(peak_ > 0) || !std::isfinite(peak_))
      throw Error(ErrorKind::numeric,
                  "refine: the probe is zero or no longer finite; start from another probe, or "
                  "without --update-probe");
  }

  // shifts -> shifted probes of this many frames
  void shift_probes(std::span<const int64_t> places, TensorView<complex64> out) {
    std::vector<float> shift;
    for (int64_t p : places)
      for (float s : positions_.corners()[static_cast<size_t>(p)].fraction) shift.push_back(s);
    const auto count = static_cast<int64_t>(places.size());
    copy_to_device(stream_, first(m_->shift, count), shift.data(), 2 * count);
    m_->steps.shifted_probes(stream_, m_->probe_spectra.view(), first(m_->shift, count), out);
  }

  void fill_cache() {
    const auto count = static_cast<int64_t>(frames_.size());
    try {
      m_->cache = Tensor<complex64>(stream_.device(), {count, modes_, side_, side_}, "refine probes of all frames");
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::memory) throw;
      return;
    }
    m_->shifted = {};
    for (int64_t begin = 0; begin < count; begin += part()) {
      std::vector<int64_t> places(static_cast<size_t>(std::min(part(), count - begin)));
      std::iota(places.begin(), places.end(), begin);
      shift_probes(places, m_->cache.view().slice(0, begin, begin + static_cast<int64_t>(places.size())));
    }
  }

  /// Calls step(places among the frames) for each batch of the order, with the loader walking along.
  template <class Step>
  void walk(const std::vector<int64_t>& order, const Step& step) {
    std::vector<std::vector<int64_t>> batches;
    const auto size = static_cast<size_t>(batch_);
    for (size_t begin = 0; begin < order.size(); begin += size) {
      auto& next = batches.emplace_back();
      for (size_t i = begin; i < std::min(begin + size, order.size()); ++i)
        next.push_back(frames_[static_cast<size_t>(order[i])]);
    }
    loader_.start(std::move(batches));
    for (size_t begin = 0; begin < order.size(); begin += size)
      step(std::span<const int64_t>(order).subspan(begin, std::min(size, order.size() - begin)));
  }

  /// The next batch's frames on the host, and its windows on the device.
  void load_batch(std::span<const int64_t> places) {
    batch_frames_ = loader_.next();
    const auto count = static_cast<int64_t>(places.size());
    std::vector<int64_t> corner, index;
    for (int64_t p : places) {
      for (int64_t c : positions_.corners()[static_cast<size_t>(p)].whole) corner.push_back(c);
      index.push_back(cached() ? p : static_cast<int64_t>(index.size()) % part());
    }
    copy_to_device(stream_, first(m_->corner, count), corner.data(), 2 * count);
    copy_to_device(stream_, first(m_->probe_index, count), index.data(), count);
  }

  /// Calls work(part) for one part of the batch after another, with its amplitudes and probes on the device.
  template <class Work>
  void for_parts(std::span<const int64_t> places, const Work& work) {
    const auto frames = static_cast<int64_t>(places.size());
    const int64_t pixels = side_ * side_;
    for (int64_t begin = 0; begin < frames; begin += part()) {
      const Part some{begin, std::min(part(), frames - begin)};
      copy_to_device(stream_, first(m_->amplitude, some.count), batch_frames_.data() + begin * pixels,
                     some.count * pixels);
      const auto its = places.subspan(static_cast<size_t>(begin), static_cast<size_t>(some.count));
      if (!cached()) shift_probes(its, first(m_->shifted, some.count));
      work(some);
    }
  }

  ops::RpieWaves::Measured measured(const Part& part) { return {amplitude(part), m_->mask.view()}; }
  /// Where the part's sums go: behind those of the frames before.
  TensorView<double> next_sums(const Part& part) {
    const int64_t begin = measured_;
    measured_ += part.count;
    return m_->sums.view().slice(0, begin, measured_);
  }
  double measured_residual() {
    std::vector<double> sums(static_cast<size_t>(2 * measured_));
    copy_to_host<double>(stream_, sums.data(), first(m_->sums, measured_), 2 * measured_);
    double apart = 0, total = 0;
    for (size_t n = 0; n < sums.size(); n += 2) {
      apart += sums[n];
      total += sums[n + 1];
    }
    if (total == 0)
      throw Error(ErrorKind::numeric,
                  "refine: all chosen frames of " + info_.path + " are zero; choose others with --frames");
    return apart / total;
  }

  /// One batch: all updates see the object and the probe as they were before it.
  void improve(std::span<const int64_t> places, bool update_probe,
               std::optional<ops::PositionGradient> find_positions) {
    load_batch(places);
    const auto frames = static_cast<int64_t>(places.size());
    const bool in_parts = frames > part();
    const ops::ObjectStep object_step{m_->numerator.view(), m_->power.view()};
    if (in_parts) {
      fill_zero(stream_, object_step.numerator);
      fill_zero(stream_, object_step.power);
    }
    const float weight =
        update_probe ? ops::peak_window_power(stream_, m_->object.view(), batch({0, frames}), side_) : 0;
    for_parts(places, [&](const Part& part) {
      m_->steps.differences(stream_, m_->object.view(), batch(part), probes(part), measured(part), waves(part),
                            next_sums(part));
      if (find_positions)
        ops::position_steps(stream_, m_->object.view(), batch(part), probes(part), waves(part), *find_positions,
                            m_->position_steps.view().slice(0, measured_ - part.count, measured_));
      if (update_probe) add_probe_step(part);
      if (in_parts)
        ops::add_to_step(stream_, waves(part), batch(part), probes(part), object_step);
      else
        ops::update_object(stream_, waves(part), batch(part), probes(part), rule(), m_->object.view());
    });
    if (in_parts) ops::apply_step(stream_, object_step, rule(), m_->object.view());
    if (!update_probe) return;
    ops::add_scaled(stream_, m_->step.view(), length_ / (weight + weight_floor), m_->probe_spectra.view());
    m_->steps.fft().run(stream_, ops::FftDirection::inverse, m_->probe_spectra.view(), m_->probe.view());
    peak_ = ops::peak_power(stream_, m_->probe.view());
  }

  /// The frames' gradients are moved back and summed in Fourier space, so that one inverse transform serves them all.
  void add_probe_step(const Part& part) {
    const TensorView<complex64> gradient = first(m_->gradient, part.count);
    m_->steps.weighed_spectra(stream_, m_->object.view(), batch(part), waves(part), gradient);
    Tensor<complex64>& sum = part.begin == 0 ? m_->step : m_->step_part;
    ops::sum_shifted_back(stream_, gradient, first(m_->shift, part.count), sum.view());
    if (part.begin > 0) ops::add_scaled(stream_, sum.view(), 1, m_->step.view());
  }

  ops::ObjectRule rule() const { return {static_cast<float>(config_.beta), peak_, length_}; }

  static constexpr float weight_floor = 1e-6F;

  Stream stream_;
  const RefineConfig& config_;
  const io::ScanInfo& info_;
  std::vector<int64_t> frames_;
  int64_t side_ = 0, modes_ = 0, batch_ = 0;
  Loader loader_;
  Random random_;
  StepLength step_length_;
  FramePositions positions_;  // of frames_

  std::unique_ptr<Memory> m_;
  std::span<const float> batch_frames_;  // the loader's, until it gives the next
  float peak_ = 0, length_ = 1;
  int64_t measured_ = 0;  // frames with their sums in place
};

void check_run(const io::ScanInfo& scan, const RefineConfig& config, const RefineState& state) {
  if (config.sweeps < 0)
    throw_shape_error("refine", "--sweeps is " + std::to_string(config.sweeps) + ", expected 0 or more");
  if (config.batch < 1)
    throw_shape_error("refine", "--batch is " + std::to_string(config.batch) + ", expected 1 or more");
  if (config.modes < 0)
    throw_shape_error("refine", "--modes is " + std::to_string(config.modes) + ", expected 0 (the probe's) or more");
  if (!(config.beta >= 0 && config.beta <= 1))
    throw_shape_error("refine", "--beta is " + std::to_string(config.beta) + ", expected a number from 0 to 1");
  if (static_cast<int64_t>(scan.positions_px.size()) != scan.frames)
    throw_shape_error("refine", std::to_string(scan.positions_px.size()) + " positions for " +
                                    std::to_string(scan.frames) + " frames");
  const auto frames = parse_frame_range(config.frames, scan.frames);
  if (!state.positions_px.empty() && state.positions_px.size() != frames.size())
    throw_shape_error("refine", "the start has positions of " + std::to_string(state.positions_px.size()) +
                                    " frames, --frames chooses " + std::to_string(frames.size()) +
                                    "; choose the frames it was refined with");
  if (!scan.object_index.empty())
    for (int64_t f : frames)
      if (scan.object_index[static_cast<size_t>(f)] != scan.object_index[static_cast<size_t>(frames[0])])
        throw_shape_error("refine", "frames " + std::to_string(frames[0]) + " and " + std::to_string(f) +
                                        " belong to different objects; choose those of one with --frames");
  require_probe(scan, state.probe, "refine");
  if (state.object.depth != 1 || state.object.empty())
    throw_shape_error("refine", "the object has " + std::to_string(state.object.depth) + " images, expected one");
  if (!all_finite(state.object))
    throw Error(ErrorKind::numeric, "refine: the object to start from is not finite; start from another or from flat");
}

void check_residual(double residual, int64_t sweep) {
  if (!std::isfinite(residual))
    throw Error(ErrorKind::numeric, "refine: the residual is no longer finite after sweep " + std::to_string(sweep) +
                                        "; raise --beta, start from another probe, or run without --update-probe");
}

/// True where the sweeps ended worse than they began; the last R is then the start's.
bool keep_start(std::vector<double>& residuals, const RunControl& control) {
  if (residuals.back() <= residuals.front()) return false;
  control.say(fmt::format("the sweeps raise R from {:.4f} to {:.4f}: what they started from stays", residuals.front(),
                          residuals.back()));
  residuals.back() = residuals.front();
  return true;
}

}  // namespace

void refine(const Device& device, io::ScanReader& scan, const RefineConfig& config, RefineState& state,
            const RunControl& control) {
  check_run(scan.info(), config, state);
  io::ComplexImage probe = config.modes > 0 ? with_modes(state.probe, config.modes) : state.probe;
  Refinement run(device, scan, config, state, probe);
  if (run.part() < run.batch())
    control.say(fmt::format("the device's memory holds {} frames of a batch of {} at a time", run.part(), run.batch()));
  if (config.sweeps > 0 && config.update_probe && !probe_moves(config))
    control.say(fmt::format("--update-probe: the probe stays, it moves from sweep {} on", probe_begins + 1));
  if (config.sweeps > 0 && config.update_positions && !positions_move(config))
    control.say(fmt::format("--update-positions: positions stay, they move from sweep {} on", positions_begin + 1));
  std::vector<double> residuals{run.residual()};
  check_residual(residuals.back(), 0);
  const auto start = std::chrono::steady_clock::now();
  for (int64_t sweep = 0; sweep < config.sweeps; ++sweep) {
    const Refinement::Sweep did = run.sweep(sweep, control);
    const bool whole = did.extent == Refinement::Extent::whole;
    if (whole) {
      residuals.push_back(sweep + 1 < config.sweeps ? did.residual : run.residual());
      check_residual(residuals.back(), sweep + 1);
    }
    if (!whole || (sweep + 1 < config.sweeps && control.stop_requested())) {
      RefineState reached = state;
      run.download(reached);
      if (did.extent != Refinement::Extent::part && residuals.size() > 1) {
        residuals.back() = run.residual();
        check_residual(residuals.back(), sweep + (whole ? 1 : 0));
      }
      if (!all_finite(reached.object) || !all_finite(reached.probe)) check_residual(NAN, sweep + 1);
      if (keep_start(residuals, control))
        state.probe = std::move(probe);
      else
        state = std::move(reached);
      state.residual = residuals;
      throw Error(ErrorKind::cancelled,
                  fmt::format("refine: stopped after {} of {} sweeps{}", residuals.size() - 1, config.sweeps,
                              did.extent == Refinement::Extent::part ? ", within the next" : ""));
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto done = static_cast<double>(sweep + 1), total = static_cast<double>(config.sweeps);
    control.report(
        {.task = "refine",
         .done = done,
         .total = total,
         .unit = "sweeps",
         .rate = done / seconds,
         .seconds_left = seconds / done * (total - done),
         .message = fmt::format(
             "sweep {}/{} R {:.4f}{}", sweep + 1, config.sweeps, residuals.back(),
             positions_move(config) ? fmt::format(", positions moved by {:.3f} px rms", run.moved().rms_px) : "")});
  }
  if (keep_start(residuals, control)) {
    state.probe = std::move(probe);
  } else {
    run.download(state);
    if (positions_move(config))
      control.say(fmt::format("positions moved by {:.3f} px rms, the farthest by {:.3f} of at most {} px",
                              run.moved().rms_px, run.moved().most_px, position_room_px(state.probe.height)));
  }
  state.residual = std::move(residuals);
}

double residual(const Device& device, io::ScanReader& scan, const RefineConfig& config, const RefineState& state) {
  RefineConfig once = config;
  once.sweeps = 0;
  check_run(scan.info(), once, state);
  const double found = Refinement(device, scan, once, state, state.probe).residual();
  check_residual(found, 0);
  return found;
}

double mean_counts(const Device&, io::ScanReader& scan, const std::string& frames, const RunControl& control) {
  std::vector<int64_t> chosen = parse_frame_range(frames, scan.info().frames);
  constexpr int64_t piece_memory = int64_t{64} << 20;
  Loader loader(std::make_unique<Borrowed>(scan), chosen, {.host_memory_bytes = piece_memory, .read_ahead = false});
  const Loader::Statistics statistics = loader.statistics(chosen);
  if (!(statistics.sum_of_squares > 0))
    throw Error(ErrorKind::numeric,
                scan.info().path + ": diffraction: the frames hold no counts at all; choose others with --frames");
  if (statistics.all_zero_frames > 0)
    control.say(std::to_string(statistics.all_zero_frames) + " of " + std::to_string(chosen.size()) +
                " frames hold no counts at all");
  return statistics.sum_of_squares / static_cast<double>(chosen.size());
}

}  // namespace ptyfuse
