#pragma once
#include <string>
#include <vector>

#include "engine/metrics.h"
#include "io/figure.h"
#include "io/study_files.h"

namespace ptyfuse::studies {

enum class Channel { amplitude, phase };

/// An arm's stored image ("truth" or "reconstruction") of NAME.npz. FileError.
FieldImage stored_image(const std::string& npz, const std::string& key);

/// Ends of a colour bar: the 0.5 and 99.5 % quantiles of a truth's channel.
struct ValueRange {
  double low = 0, high = 1;
};
ValueRange range_of(const FieldImage& truth, Channel channel);

/// Amplitude, or phase about its mean, on a common scale.
io::ImagePanel image_panel(const std::string& title, const FieldImage& image, Channel channel, ValueRange range);
/// |difference| of the channel, from 0 to a quarter of the range.
io::ImagePanel difference_panel(const std::string& title, const FieldImage& image, const FieldImage& truth,
                                Channel channel, ValueRange range);

/// An arm's stored curve; empty where it has none of that name.
const std::vector<double>& curve_of(const io::ArmResult& arm, const std::string& name);

/// A value for each epoch, over epochs counted from 1.
io::Curve epoch_curve(const std::string& label, const std::vector<double>& losses);

/// A Fourier ring correlation over cycles per pixel, up to the Nyquist frequency, of images of this side.
io::Curve frc_curve(const std::string& label, const std::vector<double>& rings, double side_px);
io::CurvePanel frc_panel(const std::string& title, std::vector<io::Curve> curves);

}  // namespace ptyfuse::studies
