#include "engine/studies/study_pictures.h"

#include <algorithm>
#include <cmath>
#include <complex>

#include "io/scan.h"

namespace ptyfuse::studies {
namespace {

std::vector<double> values_of(const FieldImage& image, Channel channel) {
  std::complex<double> sum = 0;
  for (const auto& value : image.data) sum += value;
  const std::complex<double> turn = std::abs(sum) > 0 ? std::conj(sum) / std::abs(sum) : 1;
  std::vector<double> out;
  for (const auto& value : image.data)
    out.push_back(channel == Channel::amplitude ? std::abs(value) : std::arg(value * turn));
  return out;
}

double quantile(std::vector<double> values, double fraction) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(fraction * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

io::ImagePanel panel(const std::string& title, const FieldImage& image, const std::vector<double>& values,
                     io::ColourMap map, ValueRange range, const char* unit) {
  return {.title = title,
          .height = image.height,
          .width = image.width,
          .values = {values.begin(), values.end()},
          .low = range.low,
          .high = range.high,
          .map = map,
          .unit = unit};
}

const char* unit_of(Channel channel) {
  return channel == Channel::amplitude ? "" : "rad";
}

}  // namespace

FieldImage stored_image(const std::string& npz, const std::string& key) {
  const io::ComplexImage image = io::read_complex_image(npz + ":" + key, key);
  return {image.height, image.width, {image.data.begin(), image.data.end()}};
}

ValueRange range_of(const FieldImage& truth, Channel channel) {
  const std::vector<double> values = values_of(truth, channel);
  ValueRange out{quantile(values, 0.005), quantile(values, 0.995)};
  if (!(out.high > out.low)) out = {out.low - 0.5, out.low + 0.5};
  return out;
}

io::ImagePanel image_panel(const std::string& title, const FieldImage& image, Channel channel, ValueRange range) {
  return panel(title, image, values_of(image, channel),
               channel == Channel::amplitude ? io::ColourMap::grey : io::ColourMap::viridis, range, unit_of(channel));
}

io::ImagePanel difference_panel(const std::string& title, const FieldImage& image, const FieldImage& truth,
                                Channel channel, ValueRange range) {
  std::vector<double> values = values_of(image, channel);
  const std::vector<double> other = values_of(truth, channel);
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::abs(values[i] - other[i]);
  return panel(title, image, values, io::ColourMap::viridis, {0, (range.high - range.low) / 4}, unit_of(channel));
}

const std::vector<double>& curve_of(const io::ArmResult& arm, const std::string& name) {
  static const std::vector<double> none;
  for (const auto& [key, values] : arm.curves)
    if (key == name) return values;
  return none;
}

io::Curve epoch_curve(const std::string& label, const std::vector<double>& losses) {
  io::Curve curve{.label = label};
  for (size_t epoch = 0; epoch < losses.size(); ++epoch) {
    curve.x.push_back(static_cast<double>(epoch + 1));
    curve.y.push_back(losses[epoch]);
  }
  return curve;
}

io::Curve frc_curve(const std::string& label, const std::vector<double>& rings, double side_px) {
  io::Curve curve{.label = label};
  for (size_t ring = 0; ring < rings.size() && static_cast<double>(ring) <= side_px / 2; ++ring) {
    curve.x.push_back(static_cast<double>(ring) / side_px);
    curve.y.push_back(rings[ring]);
  }
  return curve;
}

io::CurvePanel frc_panel(const std::string& title, std::vector<io::Curve> curves) {
  return {.title = title,
          .x_label = "spatial frequency [cycles/px]",
          .y_label = "correlation",
          .curves = std::move(curves),
          .horizontal_lines = {{0.5, "1/2"}}};
}

}  // namespace ptyfuse::studies
