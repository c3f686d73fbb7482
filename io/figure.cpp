#include "io/figure.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <stdexcept>
#include <variant>

#include "io/atomic_file.h"
#include "io/figure_panels.h"

namespace ptyfuse::io {

namespace {

constexpr double margin_px = 44, panel_gap_px = 46, row_gap_px = 30, page_title_px = 62, lone_curve_px = 560;
constexpr TextStyle page_title{.size_px = 29, .bold = true, .grey = 0.1};

using Panel = std::variant<ImagePanel, CurvePanel>;
using Layout = std::variant<ImageLayout, CurveLayout>;

struct Row {
  std::vector<Layout> panels;
  std::vector<double> widths;  ///< of each panel's column
  double height = 0;
};

Row lay_out(const std::vector<Panel>& panels) {
  // Curves beside images are as high as the highest image.
  double body = 0;
  for (const Panel& panel : panels) {
    if (const auto* image = std::get_if<ImagePanel>(&panel)) body = std::max(body, ImageLayout(*image).body_height());
  }
  if (body == 0) body = lone_curve_px;
  Row row;
  for (const Panel& panel : panels) {
    if (const auto* image = std::get_if<ImagePanel>(&panel)) {
      row.panels.emplace_back(ImageLayout(*image));
    } else {
      row.panels.emplace_back(CurveLayout(std::get<CurvePanel>(panel), std::max(300.0, body)));
    }
    const auto take = [&row](const auto& layout) {
      row.widths.push_back(layout.width());
      row.height = std::max(row.height, layout.height());
    };
    std::visit(take, row.panels.back());
  }
  return row;
}

/// Rows of equally many panels stand in common columns.
void align_columns(std::vector<Row>& rows) {
  for (Row& row : rows) {
    for (const Row& other : rows) {
      if (other.widths.size() != row.widths.size()) continue;
      for (size_t i = 0; i < row.widths.size(); ++i) row.widths[i] = std::max(row.widths[i], other.widths[i]);
    }
  }
}

double width_of(const Row& row) {
  const double gaps = panel_gap_px * static_cast<double>(row.widths.size() - 1);
  return std::accumulate(row.widths.begin(), row.widths.end(), gaps);
}

bool covered(std::span<const float> weight, int64_t i) {
  return weight.empty() || weight[i] > 0;
}

/// The weight from which on a pixel is well lit.
float well_lit_weight(std::span<const float> weight) {
  constexpr float share = 0.1f;
  float most = 0;
  for (const float w : weight) most = std::max(most, w);
  return share * most;
}

bool well_lit(std::span<const float> weight, int64_t i, float least) {
  return covered(weight, i) && (weight.empty() || weight[i] >= least);
}

/// Finite values; not empty.
double quantile(std::vector<float>& values, double fraction) {
  const auto at = values.begin() + static_cast<int64_t>(std::lround(fraction * static_cast<double>(values.size() - 1)));
  std::nth_element(values.begin(), at, values.end());
  return static_cast<double>(*at);
}

constexpr double low_quantile = 0.005, high_quantile = 0.995;

void require_pixels(int64_t height, int64_t width, size_t values, size_t weights) {
  const auto pixels = static_cast<size_t>(height * width);
  if (values != pixels || (weights != 0 && weights != pixels)) {
    throw std::invalid_argument("figure: an image of " + std::to_string(height) + " x " + std::to_string(width) +
                                " pixels came with " + std::to_string(values) + " values and " +
                                std::to_string(weights) + " weights");
  }
}

}  // namespace

struct Figure::Impl {
  std::string title;
  std::vector<std::vector<Panel>> rows{{}};
};

Figure::Figure(std::string title) : impl_(std::make_shared<Impl>()) {
  impl_->title = std::move(title);
}

void Figure::new_row() {
  if (!impl_->rows.back().empty()) impl_->rows.emplace_back();
}

void Figure::add(ImagePanel panel) {
  require_pixels(panel.height, panel.width, panel.values.size(), 0);
  impl_->rows.back().emplace_back(std::move(panel));
}

void Figure::add(CurvePanel panel) {
  impl_->rows.back().emplace_back(std::move(panel));
}

void Figure::write_png(const std::string& path, bool force) const {
  std::vector<Row> rows;
  for (const auto& panels : impl_->rows) {
    if (!panels.empty()) rows.push_back(lay_out(panels));
  }
  align_columns(rows);
  double width = Canvas::text_width(impl_->title, page_title), height = 2 * margin_px - row_gap_px;
  if (!impl_->title.empty()) height += page_title_px;
  for (const Row& row : rows) {
    width = std::max(width, width_of(row));
    height += row.height + row_gap_px;
  }
  Canvas canvas(static_cast<int64_t>(std::ceil(width + 2 * margin_px)), static_cast<int64_t>(std::ceil(height)));
  double y = margin_px;
  if (!impl_->title.empty()) {
    canvas.text(margin_px, y + 24, impl_->title, page_title, Anchor::start);
    y += page_title_px;
  }
  for (const Row& row : rows) {
    double x = margin_px;
    for (size_t i = 0; i < row.panels.size(); ++i) {
      std::visit([&](const auto& layout) { layout.draw(canvas, std::round(x), std::round(y)); }, row.panels[i]);
      x += row.widths[i] + panel_gap_px;
    }
    y += row.height + row_gap_px;
  }
  write_whole_file(path, canvas.png(), force);
}

ImagePanel amplitude_panel(std::string title, int64_t height, int64_t width,
                           std::span<const std::complex<float>> object, std::span<const float> weight) {
  require_pixels(height, width, object.size(), weight.size());
  ImagePanel panel{.title = std::move(title),
                   .height = height,
                   .width = width,
                   .values = {},
                   .low = 0,
                   .high = 1,
                   .map = ColourMap::grey,
                   .unit = ""};
  const float least = well_lit_weight(weight);
  std::vector<float> lit;
  for (int64_t i = 0; i < height * width; ++i) {
    const float value = covered(weight, i) ? std::abs(object[i]) : std::numeric_limits<float>::quiet_NaN();
    panel.values.push_back(value);
    if (std::isfinite(value) && well_lit(weight, i, least)) lit.push_back(value);
  }
  if (lit.empty()) return panel;
  panel.low = quantile(lit, low_quantile);
  panel.high = quantile(lit, high_quantile);
  return panel;
}

ImagePanel phase_panel(std::string title, int64_t height, int64_t width, std::span<const std::complex<float>> object,
                       std::span<const float> weight) {
  require_pixels(height, width, object.size(), weight.size());
  constexpr double pi = std::numbers::pi, may_wrap_rad = 2.5, least_limit_rad = 1e-3;
  ImagePanel panel{.title = std::move(title),
                   .height = height,
                   .width = width,
                   .values = {},
                   .low = -pi,
                   .high = pi,
                   .map = ColourMap::cyclic,
                   .unit = "rad"};
  const float least = well_lit_weight(weight);
  std::complex<double> mean = 0;
  for (int64_t i = 0; i < height * width; ++i) {
    const std::complex<double> value = object[i];
    if (well_lit(weight, i, least) && std::isfinite(std::abs(value))) mean += value;
  }
  const std::complex<double> turn = std::polar(1.0, -std::arg(mean));
  std::vector<float> lit;
  for (int64_t i = 0; i < height * width; ++i) {
    panel.values.push_back(covered(weight, i) ? static_cast<float>(std::arg(std::complex<double>(object[i]) * turn))
                                              : std::numeric_limits<float>::quiet_NaN());
    if (std::isfinite(panel.values.back()) && well_lit(weight, i, least)) lit.push_back(panel.values.back());
  }
  if (lit.empty()) return panel;
  const double limit = std::max({-quantile(lit, low_quantile), quantile(lit, high_quantile), least_limit_rad});
  if (limit > may_wrap_rad) return panel;
  panel.low = -limit;
  panel.high = limit;
  panel.map = ColourMap::viridis;
  return panel;
}

}  // namespace ptyfuse::io
