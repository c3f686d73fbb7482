#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "io/colour_map.h"

struct _cairo;
struct _cairo_surface;

namespace ptyfuse::io {

enum class Anchor { start, middle, end };

/// How text looks; sizes in pixels of the page.
struct TextStyle {
  double size_px = 20;
  bool bold = false;
  double grey = 0.15;
};

/// A white page of pixels to draw on. Text is DejaVu Sans, UTF-8.
class Canvas {
 public:
  Canvas(int64_t width_px, int64_t height_px);

  static double text_width(const std::string& text, const TextStyle& style);

  /// (x,y) is the baseline's start, middle or end.
  void text(double x, double y, const std::string& text, const TextStyle& style, Anchor anchor);
  /// White with a dark rim, to be read on any image.
  void outlined_text(double x, double y, const std::string& text, const TextStyle& style, Anchor anchor);
  /// As text(), reading upwards.
  void text_upwards(double x, double y, const std::string& text, const TextStyle& style, Anchor anchor);

  void line(double x0, double y0, double x1, double y1, double width, const Colour& colour);
  void dashed_line(double x0, double y0, double x1, double y1, double width, const Colour& colour);
  void frame(double x, double y, double width, double height, double line_width, const Colour& colour);
  void fill(double x, double y, double width, double height, const Colour& colour, double opacity);
  void dot(double x, double y, double radius, const Colour& colour);
  /// Points in page pixels as x0 y0 x1 y1 ...; NaN breaks the line; nothing is drawn outside the given rectangle.
  void polyline(std::span<const double> xy, double width, const Colour& colour, double left, double top, double right,
                double bottom);
  /// 0xRRGGBB pixels, row-major, each drawn as a sharp square of zoom x zoom.
  void pixels(double x, double y, int64_t width, int64_t height, int64_t zoom, std::span<const uint32_t> rgb);

  /// The page as the bytes of a PNG file. std::runtime_error when memory does not suffice.
  std::string png() const;

 private:
  std::shared_ptr<_cairo_surface> surface_;
  std::shared_ptr<_cairo> context_;
};

}  // namespace ptyfuse::io
