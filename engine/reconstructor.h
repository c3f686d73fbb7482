#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/config.h"
#include "engine/option_table.h"
#include "engine/run_control.h"
#include "io/checkpoint.h"
#include "io/reconstruction_file.h"
#include "kernels/device/device.h"

namespace ptyfuse {

struct ReconstructConfig {
  StitchRule stitch = StitchRule::probe;
  int64_t crop_px = 0;                                     ///< M; 0: 20 for crop, section 0.11's rule for probe
  std::string frames;                                      ///< "A:B:STEP"
  int64_t polish_sweeps = 0;                               ///< sweeps of refine afterwards
  bool patches = false;                                    ///< keep every patch in the result
  bool report_residual = true;                             ///< work out R, one more pass over the frames
  int64_t batch = 32;                                      ///< groups
  PrecisionChoice precision = PrecisionChoice::automatic;  ///< auto: as trained
  int64_t host_memory_bytes = int64_t{4} << 30;
  int64_t device_memory_bytes = 0;
  uint64_t seed = 0;  ///< of groups and sweeps
};

/// The settings of `reconstruct`, bound to `config`.
OptionTable reconstruct_options(ReconstructConfig& config);

/// A trained model, ready to reconstruct any number of scans one after another: weights, planned networks and their
/// memory on the device stay from scan to scan (under a limit of the device's memory the weights alone), and each
/// object has the bits that a reconstructor of its own would give. A scan that fails leaves it as it was. Not
/// thread-safe; any number may live in one process.
class Reconstructor {
 public:
  /// Error(shape): the checkpoint does not fit its own configuration.
  Reconstructor(const Device& device, const io::Checkpoint& model, const ReconstructConfig& config);
  ~Reconstructor();
  Reconstructor(Reconstructor&&) noexcept;
  Reconstructor& operator=(Reconstructor&&) noexcept;

  const GeneratorConfig& network() const;

  /// From a scan to its stitched object, with R; polished when config says so. `open_scan` is called once for each pass
  /// over the frames. Object and probe are in units of the scan's counts: |FFT2(probe*object)|^2, orthonormal.
  /// seconds and pattern_count speak of loading to stitched object, without R and polish. Asked to stop during the
  /// polish it gives what it has: the network's object where no sweep is whole, else the polished one after the whole
  /// sweeps that `residual` counts (fewer than polish_sweeps + 1) and what was done of the next. Error(cancelled):
  /// asked to stop before. Error(shape), before any work: polish without a probe or of several images.
  io::Reconstruction run(const std::function<std::unique_ptr<io::ScanReader>()>& open_scan, const RunControl& control);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ptyfuse
