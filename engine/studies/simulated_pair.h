#pragma once
#include <string>

#include "engine/simulator.h"
#include "engine/studies/jobs.h"

namespace ptyfuse::studies {

/// A scan to train on and one of another object, in the same intensity units, to test on.
struct SimulatedPair {
  SimulateConfig train, test;  ///< test.intensity_scale is taken from the training scan
  bool raised_lines = false;   ///< objects .5 + A/max of 130 lines (section 9's dose script) instead of train.object's
};
/// The scan, and one alike of another object, with other noise and, where they are drawn, other positions.
SimulatedPair two_objects(const SimulateConfig& train);
Settings settings_of(const SimulatedPair& pair);

struct PairFiles {
  std::string train, test;
};
/// Simulates both into the study's data folder, or takes those that an arm with equal settings has left there.
/// Errors as simulate().
PairFiles simulate_pair(const ArmContext& context, const SimulatedPair& pair);

/// The same for one scan: its path.
std::string simulate_scan(const ArmContext& context, const SimulateConfig& config);
/// UsageError: an object too small to be scanned.
Settings settings_of(const SimulateConfig& config, const std::string& prefix);

ScanOpener opener(const std::string& path);
/// The scan's object. FileError.
io::ComplexImage truth_of(const std::string& scan_path);

}  // namespace ptyfuse::studies
