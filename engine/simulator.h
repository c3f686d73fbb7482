#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/run_control.h"
#include "io/scan.h"
#include "kernels/device/device.h"

namespace ptyfuse {

enum class ObjectKind { lines, grf, siemens, file };
enum class ScanKind { grid, random };
enum class PhaseKind { none, tanh };

/// Of a simulated scan: hundreds of gigabytes of frames.
inline constexpr int64_t most_patterns = 10'000'000;

struct SimulateConfig {
  ObjectKind object = ObjectKind::lines;
  std::string object_file;  ///< FILE[:DATASET] when object == file
  int64_t size_px = 392;
  int64_t images = 1;
  PhaseKind phase = PhaseKind::none;
  ScanKind scan = ScanKind::grid;
  int64_t patterns = 2000;  ///< random scans; at most most_patterns
  double step_px = 0;       ///< grid scans; 0: 4 px (section 7's training grid: outer 8 / 2)
  double margin_px = -1;    ///< random scans: section 7's buffer; < 0: .35 of the smaller side
  int64_t side_px = 64;
  int64_t gridsize = 1;        ///< 2: of a grid scan only
  std::string probe = "disk";  ///< "disk" or FILE[:DATASET]
  std::string probe_pipeline;  ///< applied to the file's probe (and its size made N); see engine/probe.h
  double probe_scale = 4;
  double photons = 1e9;  ///< mean counts of a pattern
  bool poisson_noise = true;
  double intensity_scale = 0;  ///< s_sim to reuse (a test set takes the training set's); 0: from photons
  uint64_t object_seed = 1;    ///< lines: numpy RandomState(seed), bit for bit
  uint64_t seed = 0;           ///< positions and noise
};

/// Objects [images,H,W] of section 7, amplitude and phase joined; lines are not normalised. A file brings its own size,
/// number of images and, with PhaseKind::none, phase; PhaseKind::tanh replaces it by that of the amplitude.
/// Error(cancelled).
io::ComplexImage simulate_object(const SimulateConfig& config, const RunControl& control = {});
inline constexpr int64_t lines_of_an_image = 400;
/// The first `count` 'lines' images [size*size] in double of a generator RandomState(seed); Error(shape): seed above
/// 2^32 - 1.
std::vector<std::vector<double>> lines_images(int64_t size_px, int64_t count, uint64_t seed,
                                              int64_t lines = lines_of_an_image);
/// phi = pi*tanh((A - max/2) / (3*mean)), maximum and mean over the whole stack.
void tanh_phase(std::span<const double> amplitude, std::span<double> phase);

struct SimulateSummary {
  int64_t patterns = 0, groups = 0;  ///< groups: regions of a grid scan, else 0
  double norm = 1;                   ///< norm_Y_I, by which the object's amplitudes were divided; 1 for random scans
  double intensity_scale = 0;        ///< s_sim: frames hold (s_sim |F|)^2 counts
  double mean_power = 0;             ///< mean over the patterns of sum |F|^2
};

/// Writes a scan file of this configuration: object of `@kind truth`, probe normalised, positions at patch centres,
/// groups for grid scans with gridsize 2, photons_per_pattern. With noise the frames are counts (uint32), without they
/// are the amplitude whose square is the expected counts. Grid scans divide amplitudes by norm_Y_I and keep the object
/// in the same unit; object and probe explain the frames but for the factor s_sim. Memory does not grow with the number
/// of patterns, and frames depend on neither threads nor the pieces they are made in. Error(shape): settings that do
/// not fit (object smaller than N, a probe of another side without pipeline, ...); Error(numeric): an object that is
/// zero or not finite, more counts in a pixel than the file's integers hold; Error(cancelled): nothing is written.
/// FileError as the reader's and writer's.
SimulateSummary simulate(const Device& device, const SimulateConfig& config, const std::string& output_path, bool force,
                         const RunControl& control);

}  // namespace ptyfuse
