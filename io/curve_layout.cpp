#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "io/figure_panels.h"

namespace ptyfuse::io {

namespace {

constexpr TextStyle title_style{.size_px = 22, .bold = false, .grey = 0.1};
constexpr TextStyle axis_style{.size_px = 19, .bold = false, .grey = 0.15};
constexpr TextStyle label_style{.size_px = 17, .bold = false, .grey = 0.25};
constexpr TextStyle line_style{.size_px = 15, .bold = false, .grey = 0.4};
constexpr Colour axis_colour{0.25, 0.25, 0.25}, grid_colour{0.9, 0.9, 0.9}, level_colour{0.55, 0.55, 0.55};
constexpr double x_labels_px = 34, axis_label_px = 34;
constexpr double entry_line_px = 28, sample_px = 34, sample_gap_px = 10, entry_gap_px = 24;  // of the legend

// Okabe and Ito's colours, told apart by all kinds of sight.
constexpr std::array<Colour, 6> curve_colours{{{0.0, 0.447, 0.698},
                                               {0.835, 0.369, 0.0},
                                               {0.0, 0.62, 0.451},
                                               {0.8, 0.475, 0.655},
                                               {0.35, 0.35, 0.35},
                                               {0.902, 0.624, 0.0}}};
const Colour& colour_of(size_t curve) {
  return curve_colours[curve % curve_colours.size()];
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void take(double value, bool positive_only) {
    if (!std::isfinite(value) || (positive_only && !(value > 0))) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

/// Points of a curve that both axes can show.
size_t points_of(const Curve& curve) {
  return std::min(curve.x.size(), curve.y.size());
}

Axis axis_of(const Range& range, bool logarithmic, double padding, int count, bool whole) {
  if (range.empty()) return linear_axis(0, 1, count);
  if (logarithmic) {
    // In exponents, as the ends' ratio may be beyond double.
    const double low = std::log10(range.low), high = std::log10(range.high), pad = padding * (high - low);
    constexpr double furthest = 300;
    return logarithmic_axis(std::pow(10, std::max(-furthest, low - pad)), std::pow(10, std::min(furthest, high + pad)),
                            count, whole);
  }
  const double pad = padding * (range.high - range.low);
  return linear_axis(range.low - pad, range.high + pad, count, whole);
}

/// "loss (×10⁵)"
std::string axis_name(const std::string& label, const Axis& axis) {
  if (axis.factor.empty()) return label;
  return label.empty() ? axis.factor : label + " (" + axis.factor + ")";
}

}  // namespace

CurveLayout::CurveLayout(CurvePanel panel, double body_height) : panel_(std::move(panel)) {
  // A logarithmic axis without a positive value has nothing to show: linear then.
  Range x, y, positive_x, positive_y;
  bool whole_x = true;
  for (const Curve& curve : panel_.curves) {
    for (size_t i = 0; i < points_of(curve); ++i) {
      if (!std::isfinite(curve.y[i]) || !std::isfinite(curve.x[i])) continue;
      whole_x = whole_x && curve.x[i] == std::round(curve.x[i]);
      x.take(curve.x[i], false);
      positive_x.take(curve.x[i], true);
      y.take(curve.y[i], false);
      positive_y.take(curve.y[i], true);
    }
  }
  for (const auto& [level, label] : panel_.horizontal_lines) {
    y.take(level, false);
    positive_y.take(level, true);
  }
  panel_.log_x = panel_.log_x && !positive_x.empty();
  panel_.log_y = panel_.log_y && !positive_y.empty();

  plot_height_ = std::round(body_height - x_labels_px - (panel_.x_label.empty() ? 0 : axis_label_px));
  plot_width_ = std::round(std::clamp(1.45 * plot_height_, 520.0, 900.0));
  const auto ticks = [](double length, double spacing) { return std::max(4, static_cast<int>(length / spacing)); };
  x_axis_ = axis_of(panel_.log_x ? positive_x : x, panel_.log_x, 0.02, ticks(plot_width_, 110), whole_x);
  y_axis_ = axis_of(panel_.log_y ? positive_y : y, panel_.log_y, 0.06, ticks(plot_height_, 80), false);

  double widest = 0;
  for (const Tick& tick : y_axis_.ticks) widest = std::max(widest, Canvas::text_width(tick.label, label_style));
  left_ = std::max(64.0, widest + 16) + (axis_name(panel_.y_label, y_axis_).empty() ? 0 : axis_label_px);
  title_width_ = Canvas::text_width(panel_.title, title_style);
  height_ = panel_title_px + body_height + 12;
  place_legend();
}

double CurveLayout::x_px(const Plot& plot, double value) const {
  return plot.left + x_axis_.fraction(value) * (plot.right - plot.left);
}
double CurveLayout::y_px(const Plot& plot, double value) const {
  return plot.bottom - y_axis_.fraction(value) * (plot.bottom - plot.top);
}

void CurveLayout::draw(Canvas& canvas, double x, double y) const {
  const double top = y + panel_title_px + legend_above_px_;
  const Plot plot{x + left_, top, x + left_ + plot_width_, top + plot_height_};
  canvas.text(plot.left, y + 26, panel_.title, title_style, Anchor::start);
  draw_axes(canvas, plot);
  draw_curves(canvas, plot);
  draw_legend(canvas, plot);
}

void CurveLayout::draw_axes(Canvas& canvas, const Plot& plot) const {
  const auto sharp = [](double at) { return std::round(at) + 0.5; };
  for (const Tick& tick : x_axis_.ticks) {
    const double at = sharp(x_px(plot, tick.value));
    if (!tick.label.empty()) canvas.line(at, plot.top, at, plot.bottom, 1, grid_colour);
    canvas.line(at, plot.bottom, at, plot.bottom + (tick.label.empty() ? 4 : 7), 1, axis_colour);
    canvas.text(at, plot.bottom + 27, tick.label, label_style, Anchor::middle);
  }
  for (const Tick& tick : y_axis_.ticks) {
    const double at = sharp(y_px(plot, tick.value));
    if (!tick.label.empty()) canvas.line(plot.left, at, plot.right, at, 1, grid_colour);
    canvas.line(plot.left - (tick.label.empty() ? 4 : 7), at, plot.left, at, 1, axis_colour);
    canvas.text(plot.left - 12, at + 6, tick.label, label_style, Anchor::end);
  }
  canvas.frame(sharp(plot.left), sharp(plot.top), plot.right - plot.left, plot.bottom - plot.top, 1, axis_colour);
  canvas.text((plot.left + plot.right) / 2, plot.bottom + x_labels_px + 24, axis_name(panel_.x_label, x_axis_),
              axis_style, Anchor::middle);
  canvas.text_upwards(plot.left - left_ + 20, (plot.top + plot.bottom) / 2, axis_name(panel_.y_label, y_axis_),
                      axis_style, Anchor::middle);
}

void CurveLayout::draw_curves(Canvas& canvas, const Plot& plot) const {
  for (const auto& [level, label] : panel_.horizontal_lines) {
    const double at = std::round(y_px(plot, level)) + 0.5;
    if (!(at >= plot.top && at <= plot.bottom)) continue;
    canvas.dashed_line(plot.left, at, plot.right, at, 1.5, level_colour);
    canvas.text(plot.right - 8, at - 6, label, line_style, Anchor::end);
  }
  for (size_t c = 0; c < panel_.curves.size(); ++c) {
    const Curve& curve = panel_.curves[c];
    std::vector<double> xy;
    for (size_t i = 0; i < points_of(curve); ++i) {
      xy.push_back(x_px(plot, curve.x[i]));
      xy.push_back(y_px(plot, curve.y[i]));
    }
    canvas.polyline(xy, 2.5, colour_of(c), plot.left, plot.top, plot.right, plot.bottom);
    constexpr size_t sparse = 40;  // few points are worth seeing one by one
    if (points_of(curve) > sparse) continue;
    for (size_t i = 0; i + 1 < xy.size(); i += 2) {
      if (std::isfinite(xy[i]) && std::isfinite(xy[i + 1])) canvas.dot(xy[i], xy[i + 1], 4, colour_of(c));
    }
  }
}

double CurveLayout::entry_width(size_t curve) const {
  return sample_px + sample_gap_px + Canvas::text_width(panel_.curves[curve].label, label_style);
}

double CurveLayout::legend_height() const {
  return static_cast<double>(named_.size()) * entry_line_px + 12;
}

CurveLayout::Corner CurveLayout::freest_corner(const Plot& plot) const {
  constexpr double inset_px = 14, air_px = 8;
  const double width = entry_px_ + 24, height = legend_height();
  const double near_left = plot.left + inset_px, near_right = plot.right - inset_px - width;
  const double near_top = plot.top + inset_px, near_bottom = plot.bottom - inset_px - height;
  Corner best{near_right, near_top, std::numeric_limits<int64_t>::max()};
  for (const auto& [left, top] : std::array<std::pair<double, double>, 4>{
           {{near_right, near_top}, {near_right, near_bottom}, {near_left, near_bottom}, {near_left, near_top}}}) {
    const int64_t hidden = drawn_inside(plot, left - air_px, top - air_px, width + 2 * air_px, height + 2 * air_px);
    if (hidden < best.hidden) best = {left, top, hidden};
  }
  return best;
}

void CurveLayout::place_legend() {
  double in_a_line = -entry_gap_px;
  for (size_t c = 0; c < panel_.curves.size(); ++c) {
    if (panel_.curves[c].label.empty()) continue;
    named_.push_back(c);
    entry_px_ = std::max(entry_px_, entry_width(c));
    in_a_line += entry_width(c) + entry_gap_px;
  }
  if (named_.empty()) return;
  // Where every corner would hide something, beside the title; else above the plot, which gives way.
  if (freest_corner({0, 0, plot_width_, plot_height_}).hidden == 0) return;
  if (title_width_ + 30 + in_a_line < plot_width_) {
    legend_ = LegendPlace::title_line;
    return;
  }
  entries_a_line_ =
      std::max<int64_t>(1, static_cast<int64_t>((plot_width_ + entry_gap_px) / (entry_px_ + entry_gap_px)));
  const int64_t lines = (static_cast<int64_t>(named_.size()) + entries_a_line_ - 1) / entries_a_line_;
  const double needed = static_cast<double>(lines) * entry_line_px + 8;
  constexpr double most_of_the_plot = 0.6;
  if (needed > most_of_the_plot * plot_height_) return;
  legend_ = LegendPlace::above;
  legend_above_px_ = needed;
  plot_height_ -= needed;
}

void CurveLayout::draw_entry(Canvas& canvas, size_t curve, double x, double y) const {
  canvas.line(x, y, x + sample_px, y, 3, colour_of(curve));
  canvas.text(x + sample_px + sample_gap_px, y + 6, panel_.curves[curve].label, label_style, Anchor::start);
}

void CurveLayout::draw_legend(Canvas& canvas, const Plot& plot) const {
  if (named_.empty()) return;
  switch (legend_) {
    case LegendPlace::corner: {
      const Corner corner = freest_corner(plot);
      canvas.fill(corner.left, corner.top, entry_px_ + 24, legend_height(), {1, 1, 1}, 0.85);
      canvas.frame(corner.left + 0.5, corner.top + 0.5, entry_px_ + 24, legend_height(), 1, {0.8, 0.8, 0.8});
      double y = corner.top + 6 + entry_line_px / 2;
      for (const size_t c : named_) {
        draw_entry(canvas, c, corner.left + 12, y);
        y += entry_line_px;
      }
      break;
    }
    case LegendPlace::title_line: {
      double x = plot.right;
      for (auto c = named_.rbegin(); c != named_.rend(); ++c) {
        x -= entry_width(*c);
        draw_entry(canvas, *c, x, plot.top - 22);
        x -= entry_gap_px;
      }
      break;
    }
    case LegendPlace::above:
      for (size_t i = 0; i < named_.size(); ++i) {
        const auto place = static_cast<int64_t>(i);
        const auto column = static_cast<double>(place % entries_a_line_),
                   line = static_cast<double>(place / entries_a_line_);
        draw_entry(canvas, named_[i], plot.left + column * (entry_px_ + entry_gap_px),
                   plot.top - legend_above_px_ + (line + 0.5) * entry_line_px);
      }
      break;
  }
}

int64_t CurveLayout::drawn_inside(const Plot& plot, double left, double top, double width, double height) const {
  const auto inside = [&](double x, double y) { return x > left && x < left + width && y > top && y < top + height; };
  int64_t count = 0;
  for (const Curve& curve : panel_.curves) {
    for (size_t i = 0; i < points_of(curve); ++i) {
      const size_t next = std::min(i + 1, points_of(curve) - 1);
      const double x0 = x_px(plot, curve.x[i]), x1 = x_px(plot, curve.x[next]);
      const double y0 = y_px(plot, curve.y[i]), y1 = y_px(plot, curve.y[next]);
      constexpr int pieces = 16;
      for (int k = 0; k < pieces; ++k) count += inside(x0 + (x1 - x0) * k / pieces, y0 + (y1 - y0) * k / pieces);
    }
  }
  for (const auto& [level, label] : panel_.horizontal_lines) {
    const double at = y_px(plot, level) - 10, from = plot.right - 8 - Canvas::text_width(label, line_style);
    for (double x = from; x < plot.right; x += 4) count += inside(x, at);
  }
  return count;
}

}  // namespace ptyfuse::io
