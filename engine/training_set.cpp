#include "engine/training_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/forward_model.h"
#include "engine/object_patch.h"
#include "engine/option_table.h"
#include "engine/probe.h"
#include "engine/random.h"
#include "engine/scan_set.h"

namespace ptyfuse {
namespace {

// Streams of random numbers, one for each purpose.
constexpr uint64_t purpose_split = 0x5711, purpose_pick = 0x9c1c;

// Above this share outside the central square the central head cannot fit (section 0.9).
constexpr double most_power_outside = 0.05;

void append(Groups& all, const Groups& more) {
  all.members = more.members;
  all.index.insert(all.index.end(), more.index.begin(), more.index.end());
  all.centre_px.insert(all.centre_px.end(), more.centre_px.begin(), more.centre_px.end());
  all.offsets_px.insert(all.offsets_px.end(), more.offsets_px.begin(), more.offsets_px.end());
}

// The scan's own groups whose members are all among the chosen frames; empty where they do not fit.
std::vector<int64_t> carried_groups(const io::ScanInfo& scan, const std::vector<int64_t>& frames, int64_t members) {
  if (scan.groups.empty() || scan.group_members != members) return {};
  const std::set<int64_t> chosen(frames.begin(), frames.end());
  std::vector<int64_t> kept;
  for (size_t g = 0; g + static_cast<size_t>(members) <= scan.groups.size(); g += static_cast<size_t>(members)) {
    const auto begin = scan.groups.begin() + static_cast<std::ptrdiff_t>(g), end = begin + members;
    if (std::all_of(begin, end, [&](int64_t f) { return chosen.count(f) > 0; })) kept.insert(kept.end(), begin, end);
  }
  return kept;
}

}  // namespace

Scales make_scales(const std::string& path, io::Domain domain, int64_t side_px, double mean_power, double photons) {
  if (!(mean_power > 0) || !std::isfinite(mean_power))
    throw Error(ErrorKind::shape,
                path + ": diffraction: the training frames hold no counts at all; choose others with --frames");
  const double half = static_cast<double>(side_px) / 2;
  Scales s;
  s.normalisation = half / std::sqrt(mean_power);
  if (domain == io::Domain::counts) {
    s.measured_scale = 1 / s.normalisation;
  } else {
    if (!(photons > 0))
      throw Error(
          ErrorKind::shape,
          path +
              ": diffraction: holds amplitudes, and the scan does not say how many photons they stand for; give the "
              "mean counts of a pattern with --photons (of plain square roots of counts, 'ptyfuse info' names it: mean "
              "counts per frame)");
    s.measured_scale = std::sqrt(photons) / half;
  }
  s.log_scale = std::log(s.measured_scale);
  return s;
}

void add_batch_sizes(int64_t groups, int64_t batch, std::set<int64_t>& sizes) {
  for (const int64_t size : {std::min(batch, groups), groups % batch})
    if (size > 0) sizes.insert(size);
}

ops::Precision quick_precision(const Device& device) {
  return device.kind() != DeviceKind::cpu || device.cpu_features().amx_bf16 ? ops::Precision::bf16
                                                                            : ops::Precision::fp32;
}

GeneratorConfig resolve_network(const TrainConfig& config, int64_t scan_side_px, double power_outside,
                                const Device& device, const RunControl& control) {
  if (config.side_px != 0 && config.side_px != scan_side_px)
    throw Error(ErrorKind::shape,
                fmt::format("--N {}: the scan's patterns have {} pixels", config.side_px, scan_side_px));
  GeneratorConfig network;
  network.side_px = scan_side_px;
  network.gridsize = config.method == Method::supervised ? 1 : static_cast<int>(config.gridsize);
  network.filters_scale = config.filters_scale;
  network.network = config.network;
  network.object_big = config.object_big;
  network.probe_big = config.probe_big;
  network.amplitude = config.amplitude;
  network.border = config.border_activation;
  network.pad_object = config.pad_object != Toggle::off;
  if (config.pad_object == Toggle::automatic && config.method == Method::pinn) {
    network.pad_object = power_outside <= most_power_outside;
    control.say(fmt::format("pad-object {}: {:.1f} % of the probe's power lies outside the central half of the pattern",
                            network.pad_object ? "on" : "off", 100 * power_outside));
  }
  if (!network.object_big && network.network == Network::shared && network.members() > 1)
    throw UsageError("--network shared gives each member a patch of its own; it needs --object-big on");
  switch (config.precision) {
    case PrecisionChoice::automatic:
      network.precision = quick_precision(device);
      break;
    case PrecisionChoice::fp32:
      network.precision = ops::Precision::fp32;
      break;
    case PrecisionChoice::bf16:
      network.precision = ops::Precision::bf16;
      if (quick_precision(device) != ops::Precision::bf16)
        control.say("precision bf16: this processor has no AMX, so bf16 is emulated and slower than fp32");
      break;
  }
  return network;
}

io::ComplexImage prepare_probe(const TrainConfig& config, io::ComplexImage probe) {
  if (config.probe_mask) probe = masked_probe(std::move(probe));
  return config.probe_scale > 0 ? normalise_probe(std::move(probe), config.probe_scale)
                                : scale_probe_to_object(std::move(probe));
}

Groups make_scan_groups(const io::ScanInfo& scan, const std::vector<int64_t>& frames, const GroupingConfig& config) {
  if (config.members > 1 && !config.oversample) {
    std::vector<int64_t> index = carried_groups(scan, frames, config.members);
    const int64_t carried = static_cast<int64_t>(index.size()) / config.members;
    if (carried > 0 && config.groups <= carried) {
      if (config.groups > 0 && config.groups < carried) {
        std::vector<int64_t> pick = Random(config.seed, purpose_pick).choose(carried, config.groups);
        std::sort(pick.begin(), pick.end());
        std::vector<int64_t> some;
        for (const int64_t g : pick)
          some.insert(some.end(), index.begin() + g * config.members, index.begin() + (g + 1) * config.members);
        index = std::move(some);
      }
      return groups_from_index(scan.positions_px, std::move(index), config.members);
    }
  }
  Groups all;
  all.members = config.members;
  const std::vector<Segment> segments = segments_of(scan, frames);
  int64_t frames_left = static_cast<int64_t>(frames.size()), groups_left = config.groups;
  for (const Segment& segment : segments) {
    const auto count = static_cast<int64_t>(segment.frames.size());
    GroupingConfig part = config;
    if (config.groups > 0) {  // in proportion to its frames; the last takes what is left
      part.groups = groups_left / frames_left * count + groups_left % frames_left * count / frames_left;
      frames_left -= count;
      groups_left -= part.groups;
      if (part.groups == 0) continue;
    }
    std::vector<PositionPx> positions;
    positions.reserve(segment.frames.size());
    for (const int64_t f : segment.frames) positions.push_back(scan.positions_px[static_cast<size_t>(f)]);
    Groups groups = make_groups(positions, part);
    for (int64_t& i : groups.index) i = segment.frames[static_cast<size_t>(i)];
    append(all, groups);
  }
  return all;
}

GroupSplit split_groups(int64_t groups, double validation_share, uint64_t seed) {
  auto held_out = static_cast<int64_t>(std::floor(static_cast<double>(groups) * validation_share));
  held_out = std::clamp<int64_t>(held_out, 0, groups - 1);
  std::vector<int64_t> order = Random(seed, purpose_split).permutation(groups);
  GroupSplit split;
  split.validation.assign(order.end() - held_out, order.end());
  split.training.assign(order.begin(), order.end() - held_out);
  std::sort(split.validation.begin(), split.validation.end());
  std::sort(split.training.begin(), split.training.end());
  return split;
}

std::vector<int64_t> frames_of(const Groups& groups, const std::vector<int64_t>& which) {
  std::vector<int64_t> frames;
  frames.reserve(which.size() * static_cast<size_t>(groups.members));
  for (const int64_t g : which)
    frames.insert(frames.end(), groups.index.begin() + g * groups.members,
                  groups.index.begin() + (g + 1) * groups.members);
  return frames;
}

void truth_patches(const io::ScanInfo& scan, const std::vector<int64_t>& frames, std::vector<float>& amplitude,
                   std::vector<float>& phase) {
  const auto pixels = static_cast<size_t>(scan.side_px * scan.side_px);
  amplitude.resize(frames.size() * pixels);
  phase.resize(amplitude.size());
  std::vector<std::complex<float>> patch(pixels);
  size_t at = 0;
  for (const int64_t frame : frames) {
    const auto f = static_cast<size_t>(frame);
    cut_patch(scan.object, scan.object_index.empty() ? 0 : scan.object_index[f], scan.positions_px[f], scan.side_px,
              patch);
    for (const std::complex<float>& value : patch) {
      amplitude[at] = std::abs(value);
      phase[at] = std::arg(value);
      ++at;
    }
  }
}

}  // namespace ptyfuse
