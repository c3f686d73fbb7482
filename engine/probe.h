#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/scan.h"

namespace ptyfuse {

/// sum |P|^2 over modes and pixels.
double total_power(const io::ComplexImage& probe);

/// Accepts a probe that goes with a scan's patterns: there is one, of their side, finite and not zero. Error(shape),
/// Error(numeric): begins with `origin`, where the probe came from, and names --probe.
void require_probe(const io::ScanInfo& scan, const io::ComplexImage& probe, const std::string& origin);

/// The probe that --probe FILE[:DATASET] names, or the scan's where `name` is empty. Errors as require_probe().
io::ComplexImage choose_probe(const std::string& name, const io::ScanInfo& scan);

/// m[i,j] = hypot(i-N/2+.5, j-N/2+.5) < N/4: [N*N] of 0 and 1.
std::vector<float> probe_support(int64_t side_px);

/// The ideal disk of section 5 (not normalised), real, [1,N,N].
io::ComplexImage default_probe(int64_t side_px, double scale = 0.7);

/// P / (probe_scale * mean(|mask*P|)), so that sum |mask*P| = N^2 / probe_scale; with several modes |P| is the root of
/// their summed power. Error(shape): the probe is zero inside its mask or not finite.
io::ComplexImage normalise_probe(io::ComplexImage probe, double probe_scale);

/// Scaled so that an object of amplitude `target` explains normalised data: sum |P|^2 = (N/2)^2 / target^2 (section
/// 0.9).
io::ComplexImage scale_probe_to_object(io::ComplexImage probe, double target = 0.65);

/// Share of sum |P|^2 that lies outside the central N/2 square: above 5 % pad_object cannot fit (section 0.9).
double power_outside_centre(const io::ComplexImage& probe);

/// A guess from data, section 5 "Probe guess absent": mean_x is the mean normalised amplitude [N*N], DC at the centre.
/// Here for comparison with the recorded results; no command starts from it, for it knows nothing of the probe's phase,
/// and refinement does not mend that (perf/LOG.md).
io::ComplexImage guess_probe(std::span<const float> mean_x, int64_t side_px);

/// Section 7's probe pipeline: steps are applied in order, to every mode alike.
///   smooth           Gaussian of |P| and of the unwrapped phase; one mode only
///   pad              zeros round the probe, which stays in the middle
///   interpolate      cubic spline of real and imaginary part, the corners kept
///   pad_extrapolate  |P| with its edge repeated, the phase replaced by its best a r^2 + b; one mode only
///   mask             zero where r from (N-1)/2 exceeds half the diameter
struct ProbeStep {
  enum class Kind { smooth, pad, interpolate, pad_extrapolate, mask } kind = Kind::smooth;
  double value = 0;  ///< sigma, the new side or the diameter, in pixels
};
/// "smooth:0.5|pad_extrapolate:64|interp:128|pad:128|mask:40"; "" gives no steps. Error(shape): what is wrong with the
/// text.
std::vector<ProbeStep> parse_probe_pipeline(const std::string& text);
/// Error(shape): the probe is not square, several modes where one is needed, a side to pad to that is smaller.
io::ComplexImage apply_probe_pipeline(io::ComplexImage probe, std::span<const ProbeStep> steps);
/// As apply_probe_pipeline for one step, with the unwrapped phase [N*N] given: where the phase turns fast, unwrapping
/// is ambiguous.
io::ComplexImage smooth_with_phase(const io::ComplexImage& probe, std::span<const double> unwrapped_phase,
                                   double sigma_px);
io::ComplexImage pad_extrapolate_with_phase(const io::ComplexImage& probe, std::span<const double> unwrapped_phase,
                                            int64_t side_px);

/// Two-dimensional phase unwrapping by reliability (Herraez et al., Applied Optics 41 (2002) 7437), no wrap-around:
/// `wrapped` [height,width] plus whole turns, none at the middle pixel. Error(numeric): a phase is not finite.
std::vector<double> unwrap_phase(std::span<const double> wrapped, int64_t height, int64_t width);

}  // namespace ptyfuse
