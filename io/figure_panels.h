#pragma once
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "io/axis.h"
#include "io/canvas.h"
#include "io/figure.h"

namespace ptyfuse::io {

/// Height of a panel's title line.
inline constexpr double panel_title_px = 42;

/// An image with title and colour bar, measured and then drawn with its top left corner at (x,y). Images of less than
/// 480 pixels are enlarged by a whole factor, those of more than 1240 are thinned by one: cells of the mean, for the
/// cyclic map of the middle value, as phases have no mean across a wrap.
class ImageLayout {
 public:
  explicit ImageLayout(const ImagePanel& panel);
  double width() const { return width_; }
  double height() const { return panel_title_px + static_cast<double>(rows_ * zoom_) + 12; }
  /// Height below the title, for curves beside it.
  double body_height() const { return static_cast<double>(rows_ * zoom_); }
  void draw(Canvas& canvas, double x, double y) const;

 private:
  void draw_scale_bar(Canvas& canvas, double left, double bottom) const;

  std::string title_, unit_;
  std::optional<ScaleBar> scale_bar_;
  double pixel_px_ = 1;  ///< size of one of the image's pixels on the page
  int64_t rows_ = 0, columns_ = 0, zoom_ = 1;
  std::vector<uint32_t> rgb_;
  ColourTable table_;
  Axis scale_;
  double label_width_ = 0, width_ = 0;
};

/// Axes with curves; body_height is that of the plot with its tick labels and axis label.
class CurveLayout {
 public:
  CurveLayout(CurvePanel panel, double body_height);
  double width() const { return left_ + std::max(plot_width_ + 14, title_width_); }
  double height() const { return height_; }
  void draw(Canvas& canvas, double x, double y) const;

 private:
  struct Plot {
    double left, top, right, bottom;
  };
  double x_px(const Plot& plot, double value) const;
  double y_px(const Plot& plot, double value) const;
  void draw_axes(Canvas& canvas, const Plot& plot) const;
  void draw_curves(Canvas& canvas, const Plot& plot) const;
  void draw_legend(Canvas& canvas, const Plot& plot) const;
  struct Corner {
    double left, top;
    int64_t hidden;  ///< as drawn_inside()
  };
  /// Where a legend hides least.
  Corner freest_corner(const Plot& plot) const;
  double entry_width(size_t curve) const;
  double legend_height() const;
  void place_legend();
  void draw_entry(Canvas& canvas, size_t curve, double x, double y) const;
  /// How much of curves and labels lies in a rectangle of the page.
  int64_t drawn_inside(const Plot& plot, double left, double top, double width, double height) const;

  enum class LegendPlace { corner, title_line, above };

  CurvePanel panel_;
  std::vector<size_t> named_;  ///< curves with a label
  double entry_px_ = 0;        ///< width of the legend's widest entry
  int64_t entries_a_line_ = 1;
  LegendPlace legend_ = LegendPlace::corner;
  Axis x_axis_, y_axis_;
  double left_ = 0, plot_width_ = 0, plot_height_ = 0, height_ = 0, title_width_ = 0, legend_above_px_ = 0;
};

}  // namespace ptyfuse::io
