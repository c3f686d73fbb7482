#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "engine/studies/simulated_pair.h"

// One scan that is reconstructed from itself: the user's, or a simulated one.
namespace ptyfuse::studies {

struct Subject {
  std::string scan;           ///< empty: `simulation`
  SimulateConfig simulation;  ///< of a random scan
  std::string probe;          ///< instead of the scan's
  std::string truth;          ///< instead of the scan's object
  std::string crop;           ///< instead of inner_region()
};
/// From --scan, --probe, --truth, --crop, or the studies' simulated scan: lines with a phase, a random scan.
Subject make_subject(const StudyConfig& config);
/// FileError: a file that is not there.
Settings settings_of(const Subject& subject);
std::string words_of(const Subject& subject);

/// A subject that is there: its scan, what it is compared with and where.
struct PreparedSubject {
  ScanOpener open;
  io::ScanInfo info;
  io::ComplexImage truth;
  EvaluationConfig evaluation;
};
/// Errors as simulate(), open_scan(), choose_probe(). FileError: no object to compare with (names --truth).
PreparedSubject prepare(const ArmContext& context, const Subject& subject);

/// A network for a subject: gridsize 1, small batches, cosine; as config's own settings say otherwise.
TrainConfig subject_network(const StudyConfig& config, uint64_t seed);

/// Iteration from a flat object, as studies compare it with networks.
inline constexpr int64_t flat_sweeps = 20;
inline constexpr const char* flat = "iteration from flat";

/// The rectangle that positions span less an eighth of its sides at each end: where also a few of them reach.
Rectangle inner_region(const std::vector<std::array<double, 2>>& positions_px);

/// A scan with other positions, probe or whatever else but frames.
std::unique_ptr<io::ScanReader> with_info(std::unique_ptr<io::ScanReader> scan, io::ScanInfo info);

}  // namespace ptyfuse::studies
