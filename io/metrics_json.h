#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ptyfuse::io {

/// A figure that may be undefined, then with the reason.
struct MetricValue {
  std::optional<double> value;
  std::string why;
};

struct ChannelReport {
  MetricValue mae, mse, psnr, psnr_255, ssim, ms_ssim, pearson, frc50_bin, frc50_per_px, frc1over7_bin;
  std::vector<double> frc;  ///< ring by ring; empty when undefined
};

/// What `evaluate` reports (docs/file_formats.md, Metrics).
struct MetricsReport {
  ChannelReport amplitude, phase;
  MetricValue complex_correlation, contrast, residual;
  std::optional<std::array<double, 2>> registration_px;  ///< [dy,dx]; none: not asked for
  std::array<int64_t, 2> shape{0, 0};                    ///< [h,w] of what was compared
  std::array<int64_t, 4> region{0, 0, 0, 0};             ///< y0, y1, x0, x1 in pixels of the truth, before registration
  std::string aligned_by;                                ///< "crop", "scan" or "overlap"
  std::string phase_align;                               ///< "plane" or "mean"
  std::string reconstruction, truth;                     ///< as the user named them
  std::optional<double> computation_time_s;
};

/// Every key always; an undefined figure is null, and the same object's "why" says the reason under the figure's name.
/// Values that are not finite count as undefined.
std::string metrics_json(const MetricsReport& report);

/// Comma-separated values `model,metric,amplitude,phase,value`: two columns for what both channels have, `value` for
/// the rest; undefined figures are empty.
std::string metrics_csv(const MetricsReport& report, const std::string& model);
/// `model,frequency_bin,amplitude_frc,phase_frc`, a row for each ring of the longer curve.
std::string frc_csv(const MetricsReport& report, const std::string& model);

/// Overlap metrics 1 to 3 of a scan and how they came about. Metric 1 has no value at gridsize 1.
struct OverlapReport {
  int64_t gridsize = 1, groups_asked = 0, neighbor_count = 6;
  double image_fraction = 1;  ///< s_img
  double probe_diameter_px = 0;
  uint64_t subsample_seed = 0;
  MetricValue metric_1{};  ///< members of a group
  double metric_2 = 0;     ///< images
  double metric_3 = 0;     ///< groups' centroids
  int64_t images_total = 0, images_used = 0, images_unique = 0, groups = 0;
  double geometry_acceptance_bound = 0, effective_min_acceptance = 0;
};
std::string overlap_json(const OverlapReport& report);

}  // namespace ptyfuse::io
