#include "engine/refine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <span>

#include "engine/frame_range.h"
#include "engine/loader.h"
#include "engine/patch_corner.h"
#include "engine/probe.h"
#include "engine/probe_modes.h"
#include "engine/random.h"
#include "kernels/device/buffer.h"
#include "kernels/ops/fft2.h"
#include "kernels/ops/rpie.h"

namespace ptyfuse {
namespace {

constexpr uint64_t order_stream = 0x726566696e65;
// 16 GiB: beyond it positions are not in pixels.
constexpr int64_t largest_canvas_px = int64_t{1} << 31;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorKind::shape, "refine: " + message);
}

bool all_finite(const io::ComplexImage& image) {
  return std::all_of(image.data.begin(), image.data.end(),
                     [](const auto& v) { return std::isfinite(v.real()) && std::isfinite(v.imag()); });
}

/// The loader owns its reader; this one belongs to the caller.
class Borrowed : public io::ScanReader {
 public:
  explicit Borrowed(io::ScanReader& reader) : reader_(reader) {}
  const io::ScanInfo& info() const override { return reader_.info(); }
  void read_amplitude(int64_t first, int64_t count, std::span<float> out) override {
    reader_.read_amplitude(first, count, out);
  }

 private:
  io::ScanReader& reader_;
};

/// One run over a scan: everything on the device that sweeps need.
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
        fft_(device, side_, side_),
        random_(config.seed, order_stream),
        object_(device, {state.object.height, state.object.width}, "refine object"),
        probe_(device, {modes_, side_, side_}, "refine probe"),
        probe_spectra_(device, {modes_, side_, side_}, "refine probe spectra"),
        waves_(device, {batch_, modes_, side_, side_}, "refine exit waves"),
        amplitude_(device, {batch_, side_, side_}, "refine amplitude"),
        corner_(device, {batch_, 2}, "refine corners"),
        shift_(device, {batch_, 2}, "refine shifts"),
        probe_index_(device, {batch_}, "refine probe index"),
        sums_(device, {batch_, 2}, "refine sums") {
    place_frames(state);
    upload(object_, state.object);
    upload(probe_, probe);
    if (!info_.mask.empty()) {
      mask_ = Tensor<uint8_t>(device, {side_, side_}, "refine mask");
      copy_to_device(stream_, mask_.view(), info_.mask.data(), static_cast<int64_t>(info_.mask.size()));
    }
    transform_probe();
    if (config.sweeps > 0 && !config.update_probe && cache_fits(device)) fill_cache();
    if (!cached()) shifted_ = Tensor<complex64>(device, {batch_, modes_, side_, side_}, "refine shifted probes");
  }

  double residual() {
    std::vector<int64_t> order(frames_.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    double apart = 0, total = 0;
    walk(order, [&](std::span<const int64_t> places) {
      const int64_t count = load_batch(places);
      forward(count);
      ops::modulus_residual(stream_, waves(count), amplitude(count), mask_.view(), first(sums_, count));
      std::vector<double> sums(static_cast<size_t>(2 * count));
      copy_to_host<double>(stream_, sums.data(), first(sums_, count), 2 * count);
      for (size_t n = 0; n < sums.size(); n += 2) {
        apart += sums[n];
        total += sums[n + 1];
      }
    });
    if (total == 0)
      throw Error(ErrorKind::numeric,
                  "refine: all chosen frames of " + info_.path + " are zero; choose others with --frames");
    return apart / total;
  }

  enum class Sweep { whole, part, none };
  /// Not whole when the caller wants to stop: the sweep is left where it is.
  Sweep sweep(bool update_probe, const RunControl& control) {
    bool going = true, any = false;
    walk(random_.permutation(static_cast<int64_t>(frames_.size())), [&](std::span<const int64_t> places) {
      going = going && !control.stop_requested();
      if (!going) return;
      improve(places, update_probe);
      any = true;
    });
    return going ? Sweep::whole : any ? Sweep::part : Sweep::none;
  }

  void download(RefineState& state) {
    copy_to_host<complex64>(stream_, state.object.data.data(), object_.view(), object_.elements());
    state.probe = {modes_, side_, side_, std::vector<complex64>(static_cast<size_t>(probe_.elements()))};
    copy_to_host<complex64>(stream_, state.probe.data.data(), probe_.view(), probe_.elements());
  }

 private:
  // The cache saves time only: it takes what memory the rest leaves, and is left out where that is too little.
  bool cache_fits(const Device& device) const {
    const int64_t bytes =
        static_cast<int64_t>(frames_.size()) * modes_ * side_ * side_ * static_cast<int64_t>(sizeof(complex64));
    const int64_t limit = device.memory_limit_bytes();
    const int64_t host = config_.host_memory_bytes;
    return (host == 0 || bytes <= host / 2) && (limit == 0 || bytes <= limit - device.memory_in_use_bytes());
  }
  bool cached() const { return cache_.data() != nullptr; }
  template <class T>
  static TensorView<T> first(Tensor<T>& tensor, int64_t count) {
    return tensor.view().slice(0, 0, count);
  }
  TensorView<complex64> waves(int64_t count) { return first(waves_, count); }
  TensorView<const float> amplitude(int64_t count) { return first(amplitude_, count); }
  TensorView<const complex64> probes(int64_t count) { return cached() ? cache_.view() : first(shifted_, count); }
  ops::RpieBatch batch(int64_t count) { return {first(corner_, count), first(probe_index_, count)}; }

  void upload(Tensor<complex64>& to, const io::ComplexImage& from) {
    copy_to_device(stream_, to.view(), from.data.data(), static_cast<int64_t>(from.data.size()));
  }

  void place_frames(const RefineState& state) {
    for (int64_t f : frames_) {
      PatchCorner corner = patch_corner(info_.positions_px[static_cast<size_t>(f)], side_);
      for (size_t axis = 0; axis < 2; ++axis) {
        const int64_t extent = axis == 0 ? state.object.height : state.object.width;
        corner.whole[axis] -= state.origin_px[axis];
        if (corner.whole[axis] < 0 || corner.whole[axis] + side_ > extent)
          refuse("frame " + std::to_string(f) + " lies outside the object of " + std::to_string(state.object.height) +
                 " x " + std::to_string(state.object.width) + " at [" + std::to_string(state.origin_px[0]) + ", " +
                 std::to_string(state.origin_px[1]) + "]; place the object with start_from_object");
      }
      corners_.push_back(corner);
    }
  }

  void transform_probe() {
    fft_.run(stream_, ops::FftDirection::forward, probe_.view(), probe_spectra_.view());
    peak_ = ops::peak_power(stream_, probe_.view());
    if (!(peak_ > 0) || !std::isfinite(peak_))
      throw Error(ErrorKind::numeric,
                  "refine: the probe is zero or no longer finite; start from another probe, or "
                  "without --update-probe");
  }

  // shifts -> shifted probes of this many frames
  void shift_probes(std::span<const int64_t> places, TensorView<complex64> out) {
    std::vector<float> shift;
    for (int64_t p : places)
      for (float s : corners_[static_cast<size_t>(p)].fraction) shift.push_back(s);
    const auto count = static_cast<int64_t>(places.size());
    copy_to_device(stream_, first(shift_, count), shift.data(), 2 * count);
    ops::shift_spectra(stream_, probe_spectra_.view(), first(shift_, count), out);
    const TensorView<complex64> images = out.reshape({count * modes_, side_, side_});
    fft_.run(stream_, ops::FftDirection::inverse, images, images);
  }

  void fill_cache() {
    const auto count = static_cast<int64_t>(frames_.size());
    cache_ = Tensor<complex64>(stream_.device(), {count, modes_, side_, side_}, "refine probes of all frames");
    for (int64_t begin = 0; begin < count; begin += batch_) {
      std::vector<int64_t> places(static_cast<size_t>(std::min(batch_, count - begin)));
      std::iota(places.begin(), places.end(), begin);
      shift_probes(places, cache_.view().slice(0, begin, begin + static_cast<int64_t>(places.size())));
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

  /// Amplitudes, windows and probes of the next batch; how many frames.
  int64_t load_batch(std::span<const int64_t> places) {
    const auto count = static_cast<int64_t>(places.size());
    const std::span<const float> frames = loader_.next();
    copy_to_device(stream_, first(amplitude_, count), frames.data(), static_cast<int64_t>(frames.size()));
    std::vector<int64_t> corner, index;
    for (int64_t p : places) {
      for (int64_t c : corners_[static_cast<size_t>(p)].whole) corner.push_back(c);
      index.push_back(cached() ? p : static_cast<int64_t>(index.size()));
    }
    copy_to_device(stream_, first(corner_, count), corner.data(), 2 * count);
    copy_to_device(stream_, first(probe_index_, count), index.data(), count);
    if (!cached()) shift_probes(places, first(shifted_, count));
    return count;
  }

  void transform(ops::FftDirection direction, int64_t count) {
    const TensorView<complex64> images = waves(count).reshape({count * modes_, side_, side_});
    fft_.run(stream_, direction, images, images);
  }

  /// Leaves the spectra of the exit waves in waves_.
  void forward(int64_t count) {
    ops::exit_waves(stream_, object_.view(), batch(count), probes(count), waves(count));
    transform(ops::FftDirection::forward, count);
  }

  /// One batch: both updates see the object and the probe as they were before it.
  void improve(std::span<const int64_t> places, bool update_probe) {
    const int64_t count = load_batch(places);
    forward(count);
    ops::modulus_difference(stream_, amplitude(count), mask_.view(), waves(count));
    transform(ops::FftDirection::inverse, count);
    if (!update_probe) {
      ops::update_object(stream_, waves(count), batch(count), probes(count), beta(), peak_, object_.view());
      return;
    }
    const float peak = peak_;
    const float weight = ops::peak_window_power(stream_, object_.view(), batch(count), side_);
    if (!gradient_.data()) {
      gradient_ = Tensor<complex64>(stream_.device(), waves_.shape(), "refine probe gradients");
      step_ = Tensor<complex64>(stream_.device(), probe_.shape(), "refine probe step");
    }
    const TensorView<complex64> gradient = first(gradient_, count);
    ops::weigh_by_object(stream_, object_.view(), batch(count), waves(count), gradient);
    ops::update_object(stream_, waves(count), batch(count), probes(count), beta(), peak, object_.view());

    // The frames' gradients are moved back and summed in Fourier space, so that one inverse transform serves them all.
    const TensorView<complex64> images = gradient.reshape({count * modes_, side_, side_});
    fft_.run(stream_, ops::FftDirection::forward, images, images);
    ops::sum_shifted_back(stream_, gradient, first(shift_, count), step_.view());
    ops::add_scaled(stream_, step_.view(), 1 / (weight + weight_floor), probe_spectra_.view());
    fft_.run(stream_, ops::FftDirection::inverse, probe_spectra_.view(), probe_.view());
    peak_ = ops::peak_power(stream_, probe_.view());
  }

  float beta() const { return static_cast<float>(config_.beta); }

  static constexpr float weight_floor = 1e-6F;

  Stream stream_;
  const RefineConfig& config_;
  const io::ScanInfo& info_;
  std::vector<int64_t> frames_;
  int64_t side_ = 0, modes_ = 0, batch_ = 0;
  Loader loader_;
  ops::Fft2 fft_;
  Random random_;
  std::vector<PatchCorner> corners_;  // of frames_, in the object's pixels

  Tensor<complex64> object_, probe_, probe_spectra_, waves_;
  Tensor<float> amplitude_;
  Tensor<int64_t> corner_;
  Tensor<float> shift_;
  Tensor<int64_t> probe_index_;
  Tensor<double> sums_;
  Tensor<uint8_t> mask_;
  Tensor<complex64> cache_;    // every frame's shifted probe, while the probe stays and memory allows
  Tensor<complex64> shifted_;  // the batch's, otherwise
  Tensor<complex64> gradient_, step_;
  float peak_ = 0;
};

struct Canvas {
  std::array<int64_t, 2> origin_px{0, 0};
  int64_t height = 0, width = 0;
};

/// Whole pixels round all patches.
Canvas canvas_of(const io::ScanInfo& scan) {
  if (scan.positions_px.empty()) refuse("the scan has no positions");
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  std::array<int64_t, 2> low{most, most}, high{-most, -most};
  for (const auto& position : scan.positions_px) {
    const PatchCorner corner = patch_corner(position, scan.side_px);
    for (size_t axis = 0; axis < 2; ++axis) {
      low[axis] = std::min(low[axis], corner.whole[axis]);
      high[axis] = std::max(high[axis], corner.whole[axis] + scan.side_px + (corner.fraction[axis] > 0 ? 1 : 0));
    }
  }
  const Canvas out{low, high[0] - low[0], high[1] - low[1]};
  if (out.height > largest_canvas_px / out.width)
    throw Error(ErrorKind::memory, "refine: the positions span " + std::to_string(out.height) + " x " +
                                       std::to_string(out.width) + " pixels; are positions_px of " + scan.path +
                                       " in pixels?");
  return out;
}

RefineState empty_state(const io::ScanInfo& scan, const io::ComplexImage& probe, double mean_counts) {
  require_probe(scan, probe, "refine");
  if (!(mean_counts > 0) || !std::isfinite(mean_counts))
    throw Error(ErrorKind::numeric, "refine: the mean counts of a pattern are " + std::to_string(mean_counts) +
                                        ", expected a positive number; choose other --frames");
  const Canvas canvas = canvas_of(scan);
  RefineState state;
  state.origin_px = canvas.origin_px;
  state.object = {1, canvas.height, canvas.width, {}};
  state.object.data.assign(static_cast<size_t>(canvas.height * canvas.width), 1.0F);
  state.probe = probe;
  const auto factor = static_cast<float>(std::sqrt(mean_counts / total_power(probe)));
  for (auto& v : state.probe.data) v *= factor;
  return state;
}

void check_run(const io::ScanInfo& scan, const RefineConfig& config, const RefineState& state) {
  if (config.sweeps < 0) refuse("--sweeps is " + std::to_string(config.sweeps) + ", expected 0 or more");
  if (config.batch < 1) refuse("--batch is " + std::to_string(config.batch) + ", expected 1 or more");
  if (config.modes < 0) refuse("--modes is " + std::to_string(config.modes) + ", expected 0 (the probe's) or more");
  if (!(config.beta >= 0 && config.beta <= 1))
    refuse("--beta is " + std::to_string(config.beta) + ", expected a number from 0 to 1");
  if (static_cast<int64_t>(scan.positions_px.size()) != scan.frames)
    refuse(std::to_string(scan.positions_px.size()) + " positions for " + std::to_string(scan.frames) + " frames");
  const auto frames = parse_frame_range(config.frames, scan.frames);
  if (!scan.object_index.empty())
    for (int64_t f : frames)
      if (scan.object_index[static_cast<size_t>(f)] != scan.object_index[static_cast<size_t>(frames[0])])
        refuse("frames " + std::to_string(frames[0]) + " and " + std::to_string(f) +
               " belong to different objects; choose those of one with --frames");
  require_probe(scan, state.probe, "refine");
  if (state.object.depth != 1 || state.object.empty())
    refuse("the object has " + std::to_string(state.object.depth) + " images, expected one");
  if (!all_finite(state.object))
    throw Error(ErrorKind::numeric, "refine: the object to start from is not finite; start from another or from flat");
}

void check_residual(double residual, int64_t sweep) {
  if (!std::isfinite(residual))
    throw Error(ErrorKind::numeric, "refine: the residual is no longer finite after sweep " + std::to_string(sweep) +
                                        "; raise --beta, start from another probe, or run without --update-probe");
}

}  // namespace

RefineState flat_start(const io::ScanInfo& scan, const io::ComplexImage& probe, double mean_counts) {
  return empty_state(scan, probe, mean_counts);
}

RefineState start_from_object(const io::ScanInfo& scan, const io::ComplexImage& object,
                              const std::vector<float>& weight, std::array<int64_t, 2> origin_px,
                              const io::ComplexImage& probe, double mean_counts) {
  if (object.depth != 1 || object.empty())
    refuse("the object to start from has " + std::to_string(object.depth) + " images, expected one");
  if (!weight.empty() && weight.size() != object.data.size())
    refuse("the object to start from has " + std::to_string(object.data.size()) + " pixels, its weight " +
           std::to_string(weight.size()));
  if (!all_finite(object))
    throw Error(ErrorKind::numeric, "refine: the object to start from is not finite; start from another or from flat");
  RefineState state = empty_state(scan, probe, mean_counts);

  const auto weight_at = [&](size_t i) -> double {
    if (!weight.empty()) return weight[i];
    return object.data[i] == std::complex<float>{} ? 0 : 1;
  };
  // Calls body(pixel of the canvas, pixel of the object) where the object covers the canvas.
  const auto for_covered = [&](const auto& body) {
    for (int64_t y = 0; y < state.object.height; ++y) {
      const int64_t from_y = y + state.origin_px[0] - origin_px[0];
      if (from_y < 0 || from_y >= object.height) continue;
      for (int64_t x = 0; x < state.object.width; ++x) {
        const int64_t from_x = x + state.origin_px[1] - origin_px[1];
        if (from_x < 0 || from_x >= object.width) continue;
        const auto from = static_cast<size_t>(from_y * object.width + from_x);
        if (weight_at(from) > 0) body(static_cast<size_t>(y * state.object.width + x), from);
      }
    }
  };
  double weights = 0, amplitude = 0;
  std::complex<double> mean;
  for_covered([&](size_t, size_t from) {
    const std::complex<double> value(object.data[from]);
    weights += weight_at(from);
    amplitude += weight_at(from) * std::abs(value);
    mean += weight_at(from) * value;
  });
  if (weights == 0)
    refuse("the object to start from covers nothing of the scan: it lies at [" + std::to_string(origin_px[0]) + ", " +
           std::to_string(origin_px[1]) + "], the scan's canvas at [" + std::to_string(state.origin_px[0]) + ", " +
           std::to_string(state.origin_px[1]) + "]");
  if (amplitude == 0) throw Error(ErrorKind::numeric, "refine: the object to start from is zero; start from flat");
  const auto scale = static_cast<float>(weights / amplitude);
  const auto phase = static_cast<float>(std::arg(mean));
  std::fill(state.object.data.begin(), state.object.data.end(), std::polar(1.0F, phase));
  for_covered([&](size_t to, size_t from) { state.object.data[to] = scale * object.data[from]; });
  return state;
}

void refine(const Device& device, io::ScanReader& scan, const RefineConfig& config, RefineState& state,
            const RunControl& control) {
  check_run(scan.info(), config, state);
  Refinement run(device, scan, config, state, config.modes > 0 ? with_modes(state.probe, config.modes) : state.probe);
  std::vector<double> residuals{run.residual()};
  check_residual(residuals.back(), 0);
  const auto start = std::chrono::steady_clock::now();
  for (int64_t sweep = 0; sweep < config.sweeps; ++sweep) {
    const Refinement::Sweep done_of_it = run.sweep(config.update_probe && sweep > 0, control);
    const bool whole = done_of_it == Refinement::Sweep::whole;
    if (whole) {
      residuals.push_back(run.residual());
      check_residual(residuals.back(), sweep + 1);
    }
    if (!whole || (sweep + 1 < config.sweeps && control.stop_requested())) {
      RefineState reached = state;
      run.download(reached);
      if (!all_finite(reached.object) || !all_finite(reached.probe)) check_residual(NAN, sweep + 1);
      reached.residual = residuals;
      state = std::move(reached);
      throw Error(ErrorKind::cancelled,
                  fmt::format("refine: stopped after {} of {} sweeps{}", residuals.size() - 1, config.sweeps,
                              done_of_it == Refinement::Sweep::part ? ", within the next" : ""));
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto done = static_cast<double>(sweep + 1), total = static_cast<double>(config.sweeps);
    control.report({.task = "refine",
                    .done = done,
                    .total = total,
                    .unit = "sweeps",
                    .rate = done / seconds,
                    .seconds_left = seconds / done * (total - done),
                    .message = fmt::format("sweep {}/{} R {:.4f}", sweep + 1, config.sweeps, residuals.back())});
  }
  run.download(state);
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
