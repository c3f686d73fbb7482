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

/// Figures of one channel. mae, mse: in the truth's units (phase: rad). psnr: peak = the truth's range; psnr_255: peak
/// 255, as the reference has it (dB). frc*_bin: ring of the first crossing below 1/2 or 1/7, the number of rings where
/// there is none; frc50_per_px: the same in cycles per pixel, frc50_bin over the side of the compared square.
struct ChannelMetrics {
  Measure mae, mse, psnr, psnr_255, ssim, ms_ssim, pearson, frc50_bin, frc50_per_px, frc1over7_bin;
  std::vector<double> frc;  ///< curve over rings; empty when undefined
};

struct Comparison {
  ChannelMetrics amplitude, phase;
  Measure complex_correlation, contrast;
};

/// Section 8 on two fields of equal size: amplitude scaled by the means, phase_images() for the phase; complex
/// correlation and contrast (correlation after removing the means) after fitting a global phase, scale and linear phase
/// ramp. Undefined, with why: correlations, FRC and psnr where an image is flat (range at most 1e-6 rad, or 1e-6 of the
/// truth's mean amplitude), psnr where the images are equal, SSIM where a side is below 7 px. Error(shape): sizes
/// differ or are zero. Error(numeric): a value that is not finite.
Comparison compare(const FieldImage& reconstruction, const FieldImage& truth, PhaseAlign align);

// The parts, each as section 8 says.

/// image minus its least-squares plane (x, y, 1).
RealImage remove_plane(const RealImage& image);

/// Phases [rad] of reconstruction and truth, each minus its own plane (plane) or mean (mean). The phase of each field
/// is its plain angle, as in section 8, unless that wraps: with a global phase (plane: and ramp) taken out as a complex
/// factor first, the truth's own and the fitted one of align_complex() for the reconstruction, the image that jumps by
/// more than pi between neighbours less often is taken. Without wraps both are the same figures.
struct PhaseImages {
  RealImage reconstruction, truth;
};
PhaseImages phase_images(const FieldImage& reconstruction, const FieldImage& truth, PhaseAlign align);

/// Mean structural similarity: uniform 7x7 window, sample covariance, K 0.01 and 0.03, border of 3 px left out.
/// range > 0: the data's range L. Error(shape): sizes differ or a side is below 7.
double ssim(const RealImage& a, const RealImage& b, double range);
/// Five levels of ssim() with decimation [::2, ::2] as the reference has it, after a blur of sigma_px; L = the larger
/// range of the two. 0 where both are flat. Error(shape): as ssim().
double ms_ssim(const RealImage& a, const RealImage& b, double sigma_px);
/// |mean F1 F2*| / sqrt(mean |F1|^2 mean |F2|^2) over the rings of the central square, corners included.
std::vector<double> fourier_ring_correlation(const RealImage& a, const RealImage& b);
/// First crossing below level, interpolated; 0 when already bin 0 is below, the curve's length when none is.
double first_below(std::span<const double> curve, double level);
/// NaN where one of them is constant.
double pearson(std::span<const double> a, std::span<const double> b);

/// Cycles over the image [y,x] of the linear ramp that maximises |sum field exp(-2 pi i (ky y/H + kx x/W))|.
std::array<double, 2> fit_ramp(const FieldImage& field);
/// field times exp(-2 pi i (ky y/H + kx x/W)).
FieldImage remove_ramp(const FieldImage& field, std::array<double, 2> cycles);
/// recon times the global phase, scale and (ramp) linear ramp that maximise |<truth, recon>|; the scale is the
/// least-squares one.
FieldImage align_complex(const FieldImage& reconstruction, const FieldImage& truth, bool ramp);
/// |<a, b>| / (|a| |b|); NaN where one is zero.
double complex_correlation(const FieldImage& a, const FieldImage& b);
/// complex_correlation() of both minus their means; NaN where one is constant.
double contrast(const FieldImage& a, const FieldImage& b);

/// Shift [dy,dx] in pixels that moves `moving` onto `fixed`, to 1/upsample px: cross-correlation of the magnitudes'
/// phases, its peak refined by a matrix-multiply DFT (Guizar-Sicairos et al., Opt. Lett. 33, 156, 2008).
/// Error(shape): sizes differ or are zero, upsample < 1.
std::array<double, 2> register_shift(const FieldImage& fixed, const FieldImage& moving, int upsample = 50);
/// Content moved by [dy,dx], periodic.
FieldImage fourier_shift(const FieldImage& image, std::array<double, 2> shift_px);

/// Rows [y0,y1) and columns [x0,x1).
struct Rectangle {
  int64_t y0 = 0, y1 = 0, x0 = 0, x1 = 0;
  int64_t height() const { return y1 - y0; }
  int64_t width() const { return x1 - x0; }
};
/// Error(shape): the region is empty or leaves the image.
FieldImage crop(const FieldImage& image, const Rectangle& region);
/// The least and the largest of each coordinate.
struct Bounds {
  std::array<double, 2> low, high;
};
/// Of no positions: low infinity, high minus infinity.
Bounds bounds_of(std::span<const std::array<double, 2>> positions_px);
/// Section 8's align_for_evaluation: rows [int(y_min) - M/2, int(y_max) + M/2) and likewise columns, M = crop_px,
/// clamped to an image of height x width; may be empty. Error(shape): no positions, or one that is not finite.
Rectangle scan_rectangle(std::span<const std::array<double, 2>> positions_px, int64_t crop_px, int64_t height,
                         int64_t width);
/// Centre crops of both to their common size.
void centre_crop_to_common(FieldImage& a, FieldImage& b);

}  // namespace ptyfuse
