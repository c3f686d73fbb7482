#include "engine/simulator.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>

#include "engine/pattern_model.h"
#include "engine/probe.h"
#include "engine/random.h"
#include "engine/scan_plan.h"
#include "io/atomic_file.h"

namespace ptyfuse {
namespace {

constexpr int64_t piece_bytes = int64_t{64} << 20;

void check_settings(const SimulateConfig& config) {
  if (!(config.photons > 0) || std::isinf(config.photons))
    throw_shape_error(
        "simulate", "--photons " + std::to_string(config.photons) + ", expected the mean counts of a pattern, above 0");
  if (!(config.intensity_scale >= 0) || std::isinf(config.intensity_scale))
    throw_shape_error("simulate", "intensity scale " + std::to_string(config.intensity_scale) +
                                      ", expected one above 0, or 0 to take it from the photons");
}

io::ComplexImage make_probe(const SimulateConfig& config) {
  io::ComplexImage probe =
      config.probe == "disk" ? default_probe(config.side_px) : io::read_complex_image(config.probe, "probe");
  probe = apply_probe_pipeline(std::move(probe), parse_probe_pipeline(config.probe_pipeline));
  if (probe.width != config.side_px || probe.height != config.side_px) {
    const std::string side = std::to_string(config.side_px);
    throw_shape_error("simulate", "the probe " + config.probe + " is " + std::to_string(probe.height) + " x " +
                                      std::to_string(probe.width) + " px" +
                                      (config.probe_pipeline.empty() ? "" : " after --probe-pipeline") +
                                      " and --N is " + side + "; bring it there, as with --probe-pipeline " +
                                      "\"pad_extrapolate:" + side + "|smooth:0.5\" (or interp:" + side + ")");
  }
  return normalise_probe(std::move(probe), config.probe_scale);
}

/// Replaces expected by drawn amplitudes, each frame from its own stream.
void add_poisson_noise(const Device& device, uint64_t noise_seed, int64_t first_frame, int64_t pixels,
                       std::span<float> amplitude) {
  const auto frames = static_cast<int64_t>(amplitude.size()) / pixels;
  device.parallel_for(frames, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = begin; n < end; ++n) {
      Random random(noise_seed, static_cast<uint64_t>(first_frame + n));
      for (float& value : amplitude.subspan(static_cast<size_t>(n * pixels), static_cast<size_t>(pixels))) {
        const double counts = random.poisson(static_cast<double>(value) * static_cast<double>(value));
        // The reader's and writer's amplitudes are floats: half a unit of their last place must not reach 2^32.
        if (counts > 4.2e9)
          throw Error(ErrorKind::numeric, "simulate: a pixel of frame " + std::to_string(first_frame + n) + " holds " +
                                              std::to_string(counts) +
                                              " counts, more than the 4.2e9 of the scan file's integers; lower "
                                              "--photons, or take --noise none");
        value = static_cast<float>(std::sqrt(counts));
      }
    }
  });
}

class Progress {
 public:
  Progress(const RunControl& control, int64_t total) : control_(control), total_(static_cast<double>(total)) {}
  void at(int64_t done) const {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    ProgressEvent event;
    event.task = "simulate";
    event.unit = "patterns";
    event.done = static_cast<double>(done);
    event.total = total_;
    event.rate = seconds > 0 ? event.done / seconds : 0;
    event.seconds_left = event.rate > 0 ? (total_ - event.done) / event.rate : std::numeric_limits<double>::quiet_NaN();
    control_.report(event);
  }

 private:
  const RunControl& control_;
  double total_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

SimulateSummary simulate(const Device& device, const SimulateConfig& config, const std::string& output_path, bool force,
                         const RunControl& control) {
  check_settings(config);
  io::check_output_path(output_path, force);

  io::ScanInfo info;
  info.probe = make_probe(config);
  info.object = simulate_object(config, control);
  const ScanPlan plan = plan_scan(config, info.object, control);
  for (auto& value : info.object.data) value /= static_cast<float>(plan.norm);
  info.object_kind = "truth";
  if (info.object.depth > 1) info.object_index = plan.object_index;
  info.frames = static_cast<int64_t>(plan.positions_px.size());
  info.side_px = config.side_px;
  info.positions_px = plan.positions_px;
  if (plan.group_members > 1) {
    info.group_members = plan.group_members;
    for (int64_t frame = 0; frame < info.frames; ++frame) info.groups.push_back(frame);
  }

  const int64_t pixels = config.side_px * config.side_px;
  const int64_t bytes_per_frame = pixels * static_cast<int64_t>(2 * sizeof(complex64) + sizeof(float));
  const int64_t piece = std::clamp<int64_t>(piece_bytes / bytes_per_frame, 1, info.frames);
  PatternModel model(device, info.object, info.probe, piece);

  SimulateSummary summary;
  summary.patterns = info.frames;
  summary.groups = plan.group_members > 0 ? info.frames / plan.group_members : 0;
  summary.norm = plan.norm;
  summary.mean_power = model.mean_power(plan.positions_px, plan.object_index, control);
  if (!(summary.mean_power > 0) || std::isinf(summary.mean_power))
    throw Error(ErrorKind::numeric, "simulate: the object is zero or not finite where the probe lies");
  summary.intensity_scale =
      config.intensity_scale > 0 ? config.intensity_scale : std::sqrt(config.photons / summary.mean_power);
  info.photons_per_pattern = summary.intensity_scale * summary.intensity_scale * summary.mean_power;

  const io::Domain domain = config.poisson_noise ? io::Domain::counts : io::Domain::amplitude;
  io::ScanWriter writer(output_path, info, domain, config.poisson_noise, false, force);
  const uint64_t noise_seed = Random(config.seed, static_cast<uint64_t>(SimulationStream::noise)).next();
  const Progress progress(control, info.frames);
  std::vector<float> amplitude;
  for (int64_t first = 0; first < info.frames; first += piece) {
    if (control.stop_requested())
      throw Error(ErrorKind::cancelled, "simulate: stopped; " + output_path + " was not written");
    const int64_t count = std::min(piece, info.frames - first);
    amplitude.resize(static_cast<size_t>(count * pixels));
    const auto from = static_cast<size_t>(first), frames = static_cast<size_t>(count);
    model.amplitudes(std::span(plan.positions_px).subspan(from, frames),
                     std::span(plan.object_index).subspan(from, frames), amplitude);
    for (float& value : amplitude) value *= static_cast<float>(summary.intensity_scale);
    if (config.poisson_noise) add_poisson_noise(device, noise_seed, first, pixels, amplitude);
    writer.append_amplitude(amplitude);
    progress.at(first + count);
  }
  writer.commit();
  return summary;
}

}  // namespace ptyfuse
