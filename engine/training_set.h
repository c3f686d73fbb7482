#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/grouping.h"
#include "engine/loader.h"
#include "engine/run_control.h"
#include "io/scan.h"
#include "kernels/device/device.h"

namespace ptyfuse {

/// The intensity scales of section 0.3.
struct Scales {
  double normalisation = 1;   ///< X = normalisation * amplitude
  double measured_scale = 1;  ///< s: counts n = (s*X)^2
  double log_scale = 0;       ///< a at the start, ln s
};

/// For data of mean pattern power `mean_power` (sum of squared amplitudes): the factor of section 1 and what follows
/// from it. photons: mean counts of a pattern for amplitude data (counts ignore it). Error(shape): no power at all;
/// amplitude data without photons (names --photons). `path` is the scan's, for messages.
Scales make_scales(const std::string& path, io::Domain domain, int64_t side_px, double mean_power, double photons);

/// Adds how many groups the batches have that so many groups are cut into, of `batch` each but for the last.
void add_batch_sizes(int64_t groups, int64_t batch, std::set<int64_t>& sizes);

/// What `auto` means for the convolutions' arithmetic: bf16 where the device is quick at it (a GPU, a processor with
/// AMX), else float32.
ops::Precision quick_precision(const Device& device);

/// The network's configuration for a scan: sides, `auto` decided, precision chosen.
/// power_outside: share of the probe's power outside the central square. Error(shape): settings that do not go
/// together.
GeneratorConfig resolve_network(const TrainConfig& config, int64_t scan_side_px, double power_outside,
                                const Device& device, const RunControl& control);

/// The probe scaled as config.probe_scale says, then cut to its support where config.probe_mask says so.
io::ComplexImage prepare_probe(const TrainConfig& config, io::ComplexImage probe);

/// Groups over the chosen frames of each image of a scan. A grouping that the scan carries is used where it fits: same
/// members, no --oversample, and no more --groups than it has (fewer are drawn from it). config.groups counts those of
/// all images together, shared out in proportion to their frames; where it is below the number of images, some have
/// none.
Groups make_scan_groups(const io::ScanInfo& scan, const std::vector<int64_t>& frames, const GroupingConfig& config);

/// A seeded split of groups; each part keeps its groups in ascending order. At least one group trains.
struct GroupSplit {
  std::vector<int64_t> training, validation;
};
GroupSplit split_groups(int64_t groups, double validation_share, uint64_t seed);

/// Frames [.] of some groups, in order: index[g*C + c] of each.
std::vector<int64_t> frames_of(const Groups& groups, const std::vector<int64_t>& which);

/// Patches [n,N,N] of a truth at the positions of `frames` (index N/2 at the position), bilinear, zeros outside.
void truth_patches(const io::ScanInfo& scan, const std::vector<int64_t>& frames, std::vector<float>& amplitude,
                   std::vector<float>& phase);

}  // namespace ptyfuse
