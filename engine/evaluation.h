#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/metrics.h"
#include "io/metrics_json.h"
#include "io/reconstruction_file.h"
#include "io/scan.h"

namespace ptyfuse {

struct EvaluationConfig {
  std::optional<Rectangle> crop;  ///< in pixels of the truth
  bool registered = false;        ///< find and undo a shift before comparing
  PhaseAlign phase_align = PhaseAlign::plane;
  int64_t scan_margin_px = 20;  ///< M of scan_rectangle()
  int64_t image = 0;            ///< which image of a stack
};

/// "Y0:Y1,X0:X1" as --crop has it. Error(shape): anything else, or an empty region.
Rectangle parse_crop(std::string_view text);

/// What was compared, and what came of it.
struct Evaluation {
  Comparison comparison;
  Rectangle region;        ///< in pixels of the truth, before registration takes its border
  std::string aligned_by;  ///< "crop", "scan" or "overlap"
  PhaseAlign phase_align = PhaseAlign::plane;
  std::optional<std::array<double, 2>> registration_px;  ///< [dy,dx] that moved the reconstruction onto the truth
  double uncovered = 0;                                  ///< share of the region that no patch reaches (weight 0)
  Measure residual;                                      ///< R of the reconstruction's last sweep
  FieldImage reconstruction, truth;                      ///< of the compared region; the reconstruction registered
  double seconds = 0;
};

/// Compares a reconstruction with a truth [images,H,W] whose element [0,0] lies at pixel [0,0] of the scan: the
/// reconstruction's origin_px says where it lies in the truth, so that nothing is interpolated. Compared region:
/// config.crop, which both must cover; else the rectangle that the positions span (section 8), clipped to both; else
/// the whole overlap. Registration follows section 8: shift by phase cross-correlation of the magnitudes, Fourier
/// shift, 2 px off each side. Error(shape): no common pixels, a crop outside either image, an image that is not there;
/// Error(numeric): as compare().
Evaluation evaluate(const io::Reconstruction& reconstruction, const io::ComplexImage& truth,
                    const EvaluationConfig& config);

/// Names are what the user called the two files.
io::MetricsReport metrics_report(const Evaluation& evaluation, const std::string& reconstruction_name,
                                 const std::string& truth_name);

}  // namespace ptyfuse
