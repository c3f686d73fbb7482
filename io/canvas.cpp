#include "io/canvas.h"

#include <cairo.h>

#include <array>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <vector>

#include "io/file_error.h"

namespace ptyfuse::io {

namespace {

void use(cairo_t* context, const Colour& colour, double opacity = 1) {
  cairo_set_source_rgba(context, colour.red, colour.green, colour.blue, opacity);
}

void use(cairo_t* context, const TextStyle& style) {
  cairo_select_font_face(context, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                         style.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(context, style.size_px);
  use(context, Colour{style.grey, style.grey, style.grey});
}

double advance(cairo_t* context, const std::string& text) {
  cairo_text_extents_t extents;
  cairo_text_extents(context, text.c_str(), &extents);
  return extents.x_advance;
}

double shift(Anchor anchor, double width) {
  switch (anchor) {
    case Anchor::start:
      return 0;
    case Anchor::middle:
      return -width / 2;
    case Anchor::end:
      return -width;
  }
  return 0;
}

}  // namespace

Canvas::Canvas(int64_t width_px, int64_t height_px)
    : surface_(cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(width_px), static_cast<int>(height_px)),
               cairo_surface_destroy),
      context_(cairo_create(surface_.get()), cairo_destroy) {
  if (cairo_status(context_.get()) != CAIRO_STATUS_SUCCESS) {
    throw std::runtime_error(std::string("figure: a page of ") + std::to_string(width_px) + " x " +
                             std::to_string(height_px) +
                             " pixels cannot be drawn: " + cairo_status_to_string(cairo_status(context_.get())));
  }
  use(context_.get(), Colour{1, 1, 1});
  cairo_paint(context_.get());
}

double Canvas::text_width(const std::string& text, const TextStyle& style) {
  const Canvas scratch(1, 1);
  use(scratch.context_.get(), style);
  return advance(scratch.context_.get(), text);
}

void Canvas::text(double x, double y, const std::string& text, const TextStyle& style, Anchor anchor) {
  cairo_t* context = context_.get();
  use(context, style);
  cairo_move_to(context, x + shift(anchor, advance(context, text)), y);
  cairo_show_text(context, text.c_str());
}

void Canvas::outlined_text(double x, double y, const std::string& text, const TextStyle& style, Anchor anchor) {
  cairo_t* context = context_.get();
  constexpr double rim_px = 2;
  use(context, style);
  cairo_move_to(context, x + shift(anchor, advance(context, text)), y);
  cairo_text_path(context, text.c_str());
  cairo_set_line_join(context, CAIRO_LINE_JOIN_ROUND);
  cairo_set_line_width(context, 2 * rim_px);
  use(context, Colour{0, 0, 0});
  cairo_stroke_preserve(context);
  use(context, Colour{1, 1, 1});
  cairo_fill(context);
}

void Canvas::text_upwards(double x, double y, const std::string& text, const TextStyle& style, Anchor anchor) {
  cairo_t* context = context_.get();
  cairo_save(context);
  cairo_translate(context, x, y);
  cairo_rotate(context, -std::numbers::pi / 2);
  use(context, style);
  cairo_move_to(context, shift(anchor, advance(context, text)), 0);
  cairo_show_text(context, text.c_str());
  cairo_restore(context);
}

void Canvas::line(double x0, double y0, double x1, double y1, double width, const Colour& colour) {
  cairo_t* context = context_.get();
  use(context, colour);
  cairo_set_line_width(context, width);
  cairo_move_to(context, x0, y0);
  cairo_line_to(context, x1, y1);
  cairo_stroke(context);
}

void Canvas::dashed_line(double x0, double y0, double x1, double y1, double width, const Colour& colour) {
  const std::array<double, 2> dashes{4 * width, 3 * width};
  cairo_set_dash(context_.get(), dashes.data(), 2, 0);
  line(x0, y0, x1, y1, width, colour);
  cairo_set_dash(context_.get(), nullptr, 0, 0);
}

void Canvas::frame(double x, double y, double width, double height, double line_width, const Colour& colour) {
  cairo_t* context = context_.get();
  use(context, colour);
  cairo_set_line_width(context, line_width);
  cairo_rectangle(context, x, y, width, height);
  cairo_stroke(context);
}

void Canvas::fill(double x, double y, double width, double height, const Colour& colour, double opacity) {
  cairo_t* context = context_.get();
  use(context, colour, opacity);
  cairo_rectangle(context, x, y, width, height);
  cairo_fill(context);
}

void Canvas::dot(double x, double y, double radius, const Colour& colour) {
  cairo_t* context = context_.get();
  use(context, colour);
  cairo_arc(context, x, y, radius, 0, 2 * std::numbers::pi);
  cairo_fill(context);
}

void Canvas::polyline(std::span<const double> xy, double width, const Colour& colour, double left, double top,
                      double right, double bottom) {
  cairo_t* context = context_.get();
  cairo_save(context);
  cairo_rectangle(context, left, top, right - left, bottom - top);
  cairo_clip(context);
  use(context, colour);
  cairo_set_line_width(context, width);
  cairo_set_line_join(context, CAIRO_LINE_JOIN_ROUND);
  cairo_set_line_cap(context, CAIRO_LINE_CAP_ROUND);
  bool drawing = false;
  for (size_t i = 0; i + 1 < xy.size(); i += 2) {
    const bool drawable = std::isfinite(xy[i]) && std::isfinite(xy[i + 1]);
    if (drawable && drawing) cairo_line_to(context, xy[i], xy[i + 1]);
    if (drawable && !drawing) cairo_move_to(context, xy[i], xy[i + 1]);
    drawing = drawable;
  }
  cairo_stroke(context);
  cairo_restore(context);
}

void Canvas::pixels(double x, double y, int64_t width, int64_t height, int64_t zoom, std::span<const uint32_t> rgb) {
  if (width == 0 || height == 0) return;
  cairo_t* context = context_.get();
  const int stride = cairo_format_stride_for_width(CAIRO_FORMAT_RGB24, static_cast<int>(width));
  std::vector<unsigned char> bytes(static_cast<size_t>(stride) * static_cast<size_t>(height));
  for (int64_t row = 0; row < height; ++row) {
    auto* line = reinterpret_cast<uint32_t*>(bytes.data() + row * stride);
    for (int64_t column = 0; column < width; ++column) line[column] = rgb[row * width + column];
  }
  const std::shared_ptr<cairo_surface_t> image(
      cairo_image_surface_create_for_data(bytes.data(), CAIRO_FORMAT_RGB24, static_cast<int>(width),
                                          static_cast<int>(height), stride),
      cairo_surface_destroy);
  cairo_save(context);
  cairo_translate(context, x, y);
  cairo_scale(context, static_cast<double>(zoom), static_cast<double>(zoom));
  cairo_set_source_surface(context, image.get(), 0, 0);
  cairo_pattern_set_filter(cairo_get_source(context), CAIRO_FILTER_NEAREST);
  cairo_rectangle(context, 0, 0, static_cast<double>(width), static_cast<double>(height));
  cairo_fill(context);
  cairo_restore(context);
}

std::string Canvas::png() const {
  std::string bytes;
  const auto append = [](void* to, const unsigned char* data, unsigned length) {
    try {
      static_cast<std::string*>(to)->append(reinterpret_cast<const char*>(data), length);
    } catch (const std::bad_alloc&) {
      return CAIRO_STATUS_NO_MEMORY;  // no exception may pass through the library
    }
    return CAIRO_STATUS_SUCCESS;
  };
  cairo_surface_flush(surface_.get());
  const cairo_status_t status = cairo_surface_write_to_png_stream(surface_.get(), append, &bytes);
  if (status != CAIRO_STATUS_SUCCESS)
    throw std::runtime_error(std::string("the picture cannot be made: ") + cairo_status_to_string(status));
  return bytes;
}

}  // namespace ptyfuse::io
