#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/scan.h"

namespace ptyfuse::io {

/// The reconstruction file of docs/file_formats.md.
struct Reconstruction {
  ComplexImage object;                     ///< [images,H,W]; one image is stored [H,W]
  std::vector<float> weight;               ///< like object; 0 = not covered
  std::array<int64_t, 2> origin_px{0, 0};  ///< [y,x] of object element [0,0] in the scan's pixels
  std::optional<double> pixel_size_m;
  ComplexImage probe;      ///< [modes,N,N]
  double mean_counts = 0;  ///< of a pattern, which |FFT2(probe * object)|^2 explains once refined; 0: it does not
  std::vector<std::array<double, 2>> positions_px;  ///< patches (index N/2): groups' centres; frames once refined
  bool positions_corrected = false;                 ///< refinement moved them from the scan's
  std::vector<double> residual;                     ///< R after each sweep; [1] for a network alone; may be empty
  ComplexImage patches;                             ///< optional [G,N,N]
  int64_t pattern_count = 0;                        ///< frames that went in
  double seconds = 0;
  std::string device, precision, config;  ///< config: TOML
  std::string version;
};

/// positions_px are stored with @origin "centre". FileError as AtomicFile.
void write_reconstruction(const std::string& path, const Reconstruction& reconstruction, bool force);
Reconstruction read_reconstruction(const std::string& path);

}  // namespace ptyfuse::io
