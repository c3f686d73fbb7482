#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/run_control.h"
#include "io/scan.h"
#include "kernels/device/device.h"

namespace ptyfuse {

/// How long the steps are: those of the method throughout, or shorter as the sweeps go on (StepLength in refine.cpp).
enum class StepRule { shortening, whole };

/// Iterative refinement, section 0.13 (batched rPIE).
struct RefineConfig {
  int64_t sweeps = 20;
  int64_t batch = 16;  ///< frames
  double beta = 0.5;
  StepRule steps = StepRule::shortening;
  bool update_probe = false;      ///< from sweep 1 on (the first sweep, 0, keeps the probe)
  bool update_positions = false;  ///< of the frames, after the first sweeps (docs/physics.md)
  int64_t modes = 0;              ///< probe modes in use; 0: those of the probe given (see with_modes)
  uint64_t seed = 0;
  std::string frames = {};  ///< "A:B:STEP"
  int64_t host_memory_bytes = int64_t{4} << 30;
};

/// An object on its canvas with the probe that goes with it. Amplitudes are those of raw counts: |FFT2(P*O)|^2 in
/// counts, orthonormal.
struct RefineState {
  io::ComplexImage object;                 ///< [1,H,W]
  std::array<int64_t, 2> origin_px{0, 0};  ///< of element [0,0], scan pixels, [y,x]
  io::ComplexImage probe;                  ///< [modes,N,N]
  double mean_counts = 0;                  ///< of a pattern, as the start has it
  /// [frames chosen] of each frame's index N/2, [y,x], as the object has it; empty: the scan's. refine() sets them
  /// where they move.
  std::vector<std::array<double, 2>> positions_px = {};
  /// [sweeps+1] R: before the first sweep; of each sweep but the last, its frames as it met them; after the last. A run
  /// stopped between sweeps ends like this too, one stopped within a sweep with the whole sweep before, as it met them.
  std::vector<double> residual;
};

/// A flat start: amplitude 1 wherever the scan reaches (canvas of whole pixels round all patches, and room_px more on
/// each side, for positions that move: position_room_px() in frame_positions.h), the probe scaled so that the flat
/// object explains the mean counts. Error(memory): the canvas does not fit into host_memory_bytes (0: any does).
RefineState flat_start(const io::ScanInfo& scan, const io::ComplexImage& probe, double mean_counts,
                       int64_t host_memory_bytes = 0, int64_t room_px = 0);

/// An object to start from, a network's or another run's, and the probe that goes with it.
struct ObjectStart {
  const io::ComplexImage& object;          ///< [1,H,W]
  const std::vector<float>& weight;        ///< [H,W], 0: not covered; empty: covered where it is not 0
  std::array<int64_t, 2> origin_px{0, 0};  ///< of element [0,0], scan pixels, [y,x]
  const io::ComplexImage& probe;           ///< [modes,N,N]
  double mean_counts = 0;                  ///< of a pattern, which both explain as they are; 0: they do not
};

/// Placed on the scan's canvas; what the object does not cover is its covered part's mean amplitude and phase. Where
/// both explain counts already, only the probe is scaled, if the scan has another dose; else the object is scaled to a
/// mean amplitude of 1, and the probe so that together they explain the mean counts.
RefineState start_from_object(const io::ScanInfo& scan, const ObjectStart& start, double mean_counts,
                              int64_t host_memory_bytes = 0, int64_t room_px = 0);

/// Runs config.sweeps sweeps in place, or leaves the start (and says so) where they would end with a larger R; reads
/// the scan in pieces within host_memory_bytes. Frames in seeded order, gather form, bitwise repeatable whatever the
/// number of threads. Pixels that the mask excludes keep the model's amplitude. Error(numeric): an object, probe or
/// residual that is not finite; Error(shape): settings, a probe or an object that do not fit; Error(memory):
/// --host-memory too small for a batch, or --device-memory for the object and one frame (the message says what is
/// enough): `state` stays as it was. Where the device's memory is short of a batch, it is worked on in parts: the same
/// to rounding. Error(cancelled): `state` holds the whole sweeps and those batches of the next that were done ("within
/// the next" in the message), with the residual of the whole ones, which the message counts.
void refine(const Device& device, io::ScanReader& scan, const RefineConfig& config, RefineState& state,
            const RunControl& control);

/// R of section 0.13 over the frames chosen, without changing anything.
double residual(const Device& device, io::ScanReader& scan, const RefineConfig& config, const RefineState& state);

/// Mean total counts of a pattern over the frames chosen; says how many of them hold no counts at all. Error(numeric):
/// all of them.
double mean_counts(const Device& device, io::ScanReader& scan, const std::string& frames,
                   const RunControl& control = {});

}  // namespace ptyfuse
