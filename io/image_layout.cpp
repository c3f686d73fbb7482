#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "io/figure_panels.h"

namespace ptyfuse::io {

namespace {

constexpr double pi = std::numbers::pi;
constexpr int64_t enlarge_below_px = 480, thin_above_px = 1240;
constexpr double bar_gap_px = 18, bar_width_px = 22, label_gap_px = 9;
constexpr TextStyle title_style{.size_px = 22, .bold = false, .grey = 0.1};
constexpr TextStyle label_style{.size_px = 17, .bold = false, .grey = 0.25};
constexpr TextStyle scale_bar_style{.size_px = 19, .bold = true, .grey = 1};
constexpr Colour line_colour{0.35, 0.35, 0.35};
constexpr uint32_t background_rgb = 0xededed;

uint32_t packed(const Colour& colour) {
  const auto byte = [](double v) { return static_cast<uint32_t>(std::lround(255 * std::clamp(v, 0.0, 1.0))); };
  return byte(colour.red) << 16 | byte(colour.green) << 8 | byte(colour.blue);
}

/// Every factor-th cell: its mean without NaN, or its middle value.
float cell(const ImagePanel& panel, int64_t y0, int64_t x0, int64_t factor) {
  const int64_t y1 = std::min(panel.height, y0 + factor), x1 = std::min(panel.width, x0 + factor);
  if (factor == 1 || panel.map == ColourMap::cyclic) return panel.values[(y0 + y1) / 2 * panel.width + (x0 + x1) / 2];
  double sum = 0, count = 0;
  for (int64_t y = y0; y < y1; ++y) {
    for (int64_t x = x0; x < x1; ++x) {
      const float value = panel.values[y * panel.width + x];
      if (std::isnan(value)) continue;
      sum += value;
      ++count;
    }
  }
  return count > 0 ? static_cast<float>(sum / count) : std::numeric_limits<float>::quiet_NaN();
}

/// A scale of phases is read in parts of pi.
Axis phase_scale() {
  return {.low = -pi,
          .high = pi,
          .logarithmic = false,
          .ticks = {{-pi, "\u2212π"}, {-pi / 2, "\u2212π/2"}, {0, "0"}, {pi / 2, "π/2"}, {pi, "π"}},
          .factor = ""};
}

}  // namespace

ImageLayout::ImageLayout(const ImagePanel& panel)
    : title_(panel.title), unit_(panel.unit), table_(colour_table(panel.map)) {
  const int64_t longest = std::max<int64_t>(1, std::max(panel.height, panel.width));
  const int64_t factor = (longest + thin_above_px - 1) / thin_above_px;
  zoom_ = std::max<int64_t>(1, (enlarge_below_px + longest - 1) / longest);
  rows_ = (panel.height + factor - 1) / factor;
  columns_ = (panel.width + factor - 1) / factor;
  if (panel.scale_bar) scale_bar_ = io::scale_bar(panel.width, panel.pixel_size_m);
  pixel_px_ = static_cast<double>(zoom_) / static_cast<double>(factor);

  const bool whole_turn = std::abs(panel.low + pi) < 1e-6 && std::abs(panel.high - pi) < 1e-6;
  const int ticks = static_cast<int>(std::clamp<int64_t>(rows_ * zoom_ / 90, 2, 6));
  scale_ = whole_turn ? phase_scale() : linear_axis(panel.low, panel.high, ticks);
  if (!scale_.factor.empty()) unit_ = unit_.empty() ? scale_.factor : scale_.factor + " " + unit_;

  rgb_.reserve(static_cast<size_t>(rows_ * columns_));
  for (int64_t y = 0; y < panel.height; y += factor) {
    for (int64_t x = 0; x < panel.width; x += factor) {
      const double at = scale_.fraction(cell(panel, y, x, factor));
      const auto index = std::clamp(at * 256, 0.0, 255.0);
      rgb_.push_back(std::isnan(at) ? background_rgb : packed(table_[static_cast<size_t>(index)]));
    }
  }

  for (const Tick& tick : scale_.ticks) {
    label_width_ = std::max(label_width_, Canvas::text_width(tick.label, label_style));
  }
  const double with_bar = static_cast<double>(columns_ * zoom_) + bar_gap_px + bar_width_px + label_gap_px +
                          label_width_ + (unit_.empty() ? 0 : 30);
  width_ = std::max(with_bar, Canvas::text_width(title_, title_style));
}

void ImageLayout::draw(Canvas& canvas, double x, double y) const {
  canvas.text(x, y + 26, title_, title_style, Anchor::start);
  const double top = y + panel_title_px;
  const auto width = static_cast<double>(columns_ * zoom_), height = static_cast<double>(rows_ * zoom_);
  canvas.pixels(x, top, columns_, rows_, zoom_, rgb_);
  canvas.frame(x - 0.5, top - 0.5, width + 1, height + 1, 1, line_colour);
  draw_scale_bar(canvas, x, top + height);

  const double bar = x + width + bar_gap_px;
  std::vector<uint32_t> gradient;
  const auto bar_rows = static_cast<int64_t>(height);
  for (int64_t row = 0; row < bar_rows; ++row) {
    gradient.push_back(packed(table_[static_cast<size_t>(255 - row * 256 / std::max<int64_t>(1, bar_rows))]));
  }
  std::vector<uint32_t> filled;
  for (const uint32_t colour : gradient) filled.insert(filled.end(), static_cast<size_t>(bar_width_px), colour);
  canvas.pixels(bar, top, static_cast<int64_t>(bar_width_px), bar_rows, 1, filled);
  canvas.frame(bar - 0.5, top - 0.5, bar_width_px + 1, height + 1, 1, line_colour);
  for (const Tick& tick : scale_.ticks) {
    const double at = std::round(top + (1 - scale_.fraction(tick.value)) * height) + 0.5;
    canvas.line(bar + bar_width_px, at, bar + bar_width_px + 6, at, 1, line_colour);
    // Labels of the very ends stay beside the bar.
    const double baseline = std::clamp(at + 6, top + 13, top + height);
    canvas.text(bar + bar_width_px + label_gap_px, baseline, tick.label, label_style, Anchor::start);
  }
  if (!unit_.empty()) {
    canvas.text_upwards(bar + bar_width_px + label_gap_px + label_width_ + 26, top + height / 2, unit_, label_style,
                        Anchor::middle);
  }
}

void ImageLayout::draw_scale_bar(Canvas& canvas, double left, double bottom) const {
  constexpr double inset_px = 16, thickness_px = 6, rim_px = 2, text_gap_px = 9;
  // A strip of an image has no room for it.
  if (!scale_bar_ || static_cast<double>(rows_ * zoom_) < 64) return;
  const double length = std::round(scale_bar_->length_px * pixel_px_);
  const double x = left + inset_px, y = bottom - inset_px - thickness_px;
  canvas.fill(x - rim_px, y - rim_px, length + 2 * rim_px, thickness_px + 2 * rim_px, {0, 0, 0}, 1);
  canvas.fill(x, y, length, thickness_px, {1, 1, 1}, 1);
  const double middle = std::max(x + length / 2, x + Canvas::text_width(scale_bar_->label, scale_bar_style) / 2);
  canvas.outlined_text(middle, y - text_gap_px, scale_bar_->label, scale_bar_style, Anchor::middle);
}

}  // namespace ptyfuse::io
