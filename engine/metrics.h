#pragma once
#include <array>
#include <complex>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ptyfuse {

/// A real or complex image in host memory, row-major.
struct RealImage {
  int64_t height = 0, width = 0;
  std::vector<double> data;
};
struct FieldImage {
  int64_t height = 0, width = 0;
  std::vector<std::complex<double>> data;
};

enum class PhaseAlign { plane, mean };

/// A figure that may be undefined, then with the reason (section 8, INTERFACE: null with "why").
struct Measure {
  std::optional<double> value;
  std::string why;
};

struct ChannelMetrics {
  Measure mae, mse, psnr, psnr_255, ssim, ms_ssim, pearson, frc50_bin, frc50_per_px, frc1over7_bin;
  std::vector<double> frc;  ///< curve over rings; empty when undefined
};

struct Comparison {
  ChannelMetrics amplitude, phase;
  Measure complex_correlation, contrast;
};

/// Section 8 on two fields of equal size: amplitude scaled by the means, phase by plane or mean; complex correlation and
/// contrast (correlation after removing the means) after fitting a global phase, scale and linear phase ramp.
Comparison compare(const FieldImage& reconstruction, const FieldImage& truth, PhaseAlign align);

// The parts, each as section 8 says.
RealImage remove_plane(const RealImage& image);
double ssim(const RealImage& a, const RealImage& b, double range);
double ms_ssim(const RealImage& a, const RealImage& b, double sigma);
std::vector<double> fourier_ring_correlation(const RealImage& a, const RealImage& b);
double first_below(std::span<const double> curve, double level);
double pearson(std::span<const double> a, std::span<const double> b);
/// recon times the global phase, scale and ramp that maximise |<truth, recon>|.
FieldImage align_complex(const FieldImage& reconstruction, const FieldImage& truth, bool ramp);
double complex_correlation(const FieldImage& a, const FieldImage& b);

/// Shift [dy,dx] in pixels that moves `moving` onto `fixed`: phase cross-correlation of the magnitudes, upsampled x50.
std::array<double, 2> register_shift(const FieldImage& fixed, const FieldImage& moving, int upsample = 50);
/// Fourier shift by [dy,dx].
FieldImage fourier_shift(const FieldImage& image, std::array<double, 2> shift_px);

/// Section 8's align_for_evaluation: the rectangle of the truth that the scan spans, M = crop side.
struct Rectangle {
  int64_t y0 = 0, y1 = 0, x0 = 0, x1 = 0;
};
Rectangle scan_rectangle(std::span<const std::array<double, 2>> positions_px, int64_t crop_px, int64_t height,
                         int64_t width);
/// Centre crops of both to their common size.
void centre_crop_to_common(FieldImage& a, FieldImage& b);

}  // namespace ptyfuse
