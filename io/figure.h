#pragma once
#include <complex>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ptyfuse::io {

enum class ColourMap {
  grey,     ///< dark to light
  viridis,  ///< perceptually even, for amplitude and error
  cyclic,   ///< for phase, -pi and pi look alike
};

/// An image with its scale, drawn with sharp square pixels: images below 480 px are enlarged by a whole factor, those
/// above 1240 px thinned by one.
struct ImagePanel {
  std::string title{};
  int64_t height = 0, width = 0;
  std::vector<float> values{};  ///< row-major; NaN is drawn as background
  double low = 0, high = 1;     ///< ends of the colour bar
  ColourMap map = ColourMap::grey;
  std::string unit{};                    ///< label of the colour bar
  bool scale_bar = false;                ///< a round length, about a fifth of the width, in the lower left corner
  std::optional<double> pixel_size_m{};  ///< what the scale bar counts in; absent: in pixels
};

struct Curve {
  std::string label{};
  std::vector<double> x{}, y{};  ///< NaN breaks the line
};

/// Axes with curves: learning curve, FRC, residual over sweeps. Where every x is a whole number, so are the ticks. The
/// legend takes a corner in which it hides nothing; where there is none, it stands beside the title or above the plot.
struct CurvePanel {
  std::string title{}, x_label{}, y_label{};
  bool log_x = false, log_y = false;
  std::vector<Curve> curves{};
  std::vector<std::pair<double, std::string>> horizontal_lines{};  ///< level and its name
};

/// A page: rows of panels; every row may hold image panels and curve panels.
class Figure {
 public:
  explicit Figure(std::string title = "");
  /// The next panels come below; without panels since the last row nothing happens.
  void new_row();
  /// std::invalid_argument for an image whose values do not fit its extents.
  void add(ImagePanel panel);
  void add(CurvePanel panel);
  /// PNG, written whole or not at all. FileError as AtomicFile.
  void write_png(const std::string& path, bool force) const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// Panels of a complex object. weight == 0 is background; the scales are taken from the well-lit pixels alone, those of
/// at least a tenth of the largest weight, as the rim holds what noise made of it. weight may be empty: all count
/// alike. Amplitude: grey, between the 0.5 and 99.5 % quantiles.
ImagePanel amplitude_panel(std::string title, int64_t height, int64_t width,
                           std::span<const std::complex<float>> object, std::span<const float> weight);
/// Phase relative to its mean: a sequential map between -L and L, where L is the larger of the two quantiles' distances
/// from the mean (at least 0.001 rad); with L above 2.5 rad, where the phase may wrap, the cyclic map over -pi..pi.
ImagePanel phase_panel(std::string title, int64_t height, int64_t width, std::span<const std::complex<float>> object,
                       std::span<const float> weight);

}  // namespace ptyfuse::io
