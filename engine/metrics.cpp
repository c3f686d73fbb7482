#include "engine/metrics.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "kernels/device/error.h"

namespace ptyfuse {

namespace {

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double range(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return *high - *low;
}

Measure defined(double value) {
  return {value, ""};
}
Measure undefined(std::string why) {
  return {std::nullopt, std::move(why)};
}
Measure where_finite(double value, const std::string& why) {
  return std::isfinite(value) ? defined(value) : undefined(why);
}

RealImage magnitudes(const FieldImage& field) {
  RealImage out{field.height, field.width, std::vector<double>(field.data.size())};
  std::transform(field.data.begin(), field.data.end(), out.data.begin(), [](auto value) { return std::abs(value); });
  return out;
}

void require_finite(const char* which, const FieldImage& field) {
  for (size_t i = 0; i < field.data.size(); ++i) {
    if (std::isfinite(field.data[i].real()) && std::isfinite(field.data[i].imag())) continue;
    throw Error(ErrorKind::numeric, std::string("compare: the ") + which + " is not finite at row " +
                                        std::to_string(static_cast<int64_t>(i) / field.width) + ", column " +
                                        std::to_string(static_cast<int64_t>(i) % field.width) +
                                        " of the compared region; choose a region without such pixels (--crop)");
  }
}

/// What section 8 does differently for amplitude and phase.
struct Channel {
  std::string name;
  double ssim_range;         ///< L of SSIM, after similarity_offset and similarity_scale
  double similarity_offset;  ///< added before SSIM and MS-SSIM
  double similarity_scale;   ///< then multiplied
  double blur_px;            ///< before MS-SSIM
  double flat;               ///< ranges up to this are rounding of stored float32 values, not structure
};

RealImage similarity_image(RealImage image, const Channel& channel) {
  for (double& value : image.data) value = (value + channel.similarity_offset) * channel.similarity_scale;
  return image;
}

ChannelMetrics compare_channel(const RealImage& image, const RealImage& truth, const Channel& channel) {
  ChannelMetrics out;
  const auto n = static_cast<double>(truth.data.size());
  double absolute = 0, square = 0;
  for (size_t i = 0; i < truth.data.size(); ++i) {
    const double difference = image.data[i] - truth.data[i];
    absolute += std::abs(difference);
    square += difference * difference;
  }
  const double mse = square / n;
  out.mae = defined(absolute / n);
  out.mse = defined(mse);

  const double peak = range(truth.data);
  const bool truth_flat = peak <= channel.flat, image_flat = range(image.data) <= channel.flat;
  const std::string truth_is_flat = "the truth's " + channel.name + " is flat";
  const std::string why_flat = truth_flat ? truth_is_flat : "the reconstruction's " + channel.name + " is flat";
  const std::string equal = "the images are equal";
  out.psnr_255 = mse > 0 ? defined(10 * std::log10(255.0 * 255.0 / mse)) : undefined(equal);
  out.psnr = truth_flat ? undefined(truth_is_flat)
             : mse > 0  ? defined(10 * std::log10(peak * peak / mse))
                        : undefined(equal);

  if (std::min(truth.height, truth.width) < 7) {
    out.ssim = out.ms_ssim = undefined("the compared region is smaller than the 7 x 7 window");
  } else {
    const RealImage a = similarity_image(truth, channel), b = similarity_image(image, channel);
    out.ssim = channel.ssim_range > channel.flat ? defined(ssim(a, b, channel.ssim_range)) : undefined(truth_is_flat);
    out.ms_ssim =
        truth_flat && image_flat ? undefined("both images are flat") : defined(ms_ssim(a, b, channel.blur_px));
  }

  if (truth_flat || image_flat) {
    out.pearson = out.frc50_bin = out.frc50_per_px = out.frc1over7_bin = undefined(why_flat);
    return out;
  }
  out.pearson = defined(pearson(image.data, truth.data));
  out.frc = fourier_ring_correlation(image, truth);
  const double frc50 = first_below(out.frc, 0.5);
  out.frc50_bin = defined(frc50);
  out.frc50_per_px = defined(frc50 / static_cast<double>(std::min(truth.height, truth.width)));
  out.frc1over7_bin = defined(first_below(out.frc, 1.0 / 7));
  return out;
}

}  // namespace

Comparison compare(const FieldImage& reconstruction, const FieldImage& truth, PhaseAlign align) {
  if (reconstruction.height != truth.height || reconstruction.width != truth.width) {
    throw_shape_error("compare", "the reconstruction is " + std::to_string(reconstruction.height) + " x " +
                                     std::to_string(reconstruction.width) + " pixels, the truth " +
                                     std::to_string(truth.height) + " x " + std::to_string(truth.width));
  }
  if (truth.data.empty()) throw_shape_error("compare", "there is nothing to compare: the images have no pixels");
  require_finite("reconstruction", reconstruction);
  require_finite("truth", truth);

  Comparison out;
  const RealImage truth_amplitude = magnitudes(truth);
  RealImage amplitude = magnitudes(reconstruction);
  const double level = mean(amplitude.data);
  if (level > 0) {
    const double scale = mean(truth_amplitude.data) / level;
    for (double& value : amplitude.data) value *= scale;
  }
  constexpr double pi = std::numbers::pi, flat = 1e-6;
  out.amplitude = compare_channel(amplitude, truth_amplitude,
                                  {.name = "amplitude",
                                   .ssim_range = range(truth_amplitude.data),
                                   .similarity_offset = 0,
                                   .similarity_scale = 1,
                                   .blur_px = 1,
                                   .flat = flat * mean(truth_amplitude.data)});
  const PhaseImages phase = phase_images(reconstruction, truth, align);
  out.phase = compare_channel(phase.reconstruction, phase.truth,
                              {.name = "phase",
                               .ssim_range = 1,
                               .similarity_offset = pi,
                               .similarity_scale = 1 / (2 * pi),
                               .blur_px = 0,
                               .flat = flat});

  const FieldImage aligned = align_complex(reconstruction, truth, true);
  out.complex_correlation = where_finite(complex_correlation(aligned, truth), "one of the fields is zero");
  // A constant reconstruction has no contrast, whatever ramp was fitted to it.
  const bool structured = std::isfinite(contrast(reconstruction, truth));
  out.contrast = where_finite(structured ? contrast(aligned, truth) : NAN, "one of the fields is constant");
  return out;
}

}  // namespace ptyfuse
