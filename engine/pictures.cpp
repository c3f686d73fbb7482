#include "engine/pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace ptyfuse {

namespace {

using io::ColourMap;
using io::CurvePanel;
using io::Figure;
using io::ImagePanel;

std::vector<double> copy(std::span<const double> values) {
  return {values.begin(), values.end()};
}

double quantile(std::vector<double> values, double fraction) {
  const auto at = values.begin() + static_cast<int64_t>(fraction * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

ImagePanel panel(std::string title, const RealImage& image, ColourMap map, double low, double high, std::string unit) {
  return {.title = std::move(title),
          .height = image.height,
          .width = image.width,
          .values = {image.data.begin(), image.data.end()},
          .low = low,
          .high = high,
          .map = map,
          .unit = std::move(unit),
          .scale_bar = true};
}

/// The smallest rectangle with every covered pixel.
Rectangle covered_part(std::span<const float> weight, int64_t height, int64_t width) {
  Rectangle out{height, 0, width, 0};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      if (!(weight[y * width + x] > 0)) continue;
      out = {std::min(out.y0, y), std::max(out.y1, y + 1), std::min(out.x0, x), std::max(out.x1, x + 1)};
    }
  }
  return out.height() > 0 ? out : Rectangle{0, height, 0, width};
}

template <class T>
std::vector<T> cut(std::span<const T> image, int64_t width, const Rectangle& part) {
  std::vector<T> out;
  for (int64_t y = part.y0; y < part.y1; ++y) {
    const auto line = image.begin() + y * width;
    out.insert(out.end(), line + part.x0, line + part.x1);
  }
  return out;
}

/// Truth, reconstruction and error on scales that the truth sets.
void add_channel(Figure& figure, const std::string& name, const RealImage& truth, const RealImage& reconstruction,
                 ColourMap map, const std::string& unit) {
  const double low = quantile(truth.data, 0.002), high = quantile(truth.data, 0.998);
  RealImage error = truth;
  for (size_t i = 0; i < error.data.size(); ++i) error.data[i] = std::abs(reconstruction.data[i] - truth.data[i]);
  figure.new_row();
  figure.add(panel("Reference, " + name, truth, map, low, high, unit));
  figure.add(panel("Reconstruction, " + name, reconstruction, map, low, high, unit));
  figure.add(panel("|Error|, " + name, error, ColourMap::viridis, 0, quantile(error.data, 0.995), unit));
}

/// The amplitude with the truth's mean, as compare() takes it.
RealImage amplitude(const FieldImage& field, double mean) {
  RealImage out{field.height, field.width, std::vector<double>(field.data.size())};
  std::transform(field.data.begin(), field.data.end(), out.data.begin(), [](auto value) { return std::abs(value); });
  const double own = std::accumulate(out.data.begin(), out.data.end(), 0.0) / static_cast<double>(out.data.size());
  const double scale = mean > 0 && own > 0 ? mean / own : 1;
  for (double& value : out.data) value *= scale;
  return out;
}

std::string figure_text(const char* name, const Measure& measure, int decimals) {
  return measure.value ? fmt::format("{} {:.{}f}", name, *measure.value, decimals) : fmt::format("{} undefined", name);
}

io::Curve ring_curve(const char* name, const ChannelMetrics& channel, int64_t side) {
  io::Curve curve{.label = fmt::format("{}, {}", name, figure_text("1/2 at ring", channel.frc50_bin, 1))};
  // Rings beyond side/2 lie in the spectrum's corners only.
  for (size_t ring = 0; ring < channel.frc.size() && static_cast<int64_t>(ring) <= side / 2; ++ring) {
    curve.x.push_back(static_cast<double>(ring) / static_cast<double>(side));
    curve.y.push_back(channel.frc[ring]);
  }
  return curve;
}

/// One row of the phases, where detail and noise can be read off.
CurvePanel profile_panel(const PhaseImages& phase, int64_t row) {
  const auto line = [row](const char* label, const RealImage& image) {
    io::Curve curve{.label = label};
    for (int64_t x = 0; x < image.width; ++x) {
      curve.x.push_back(static_cast<double>(x));
      curve.y.push_back(image.data[row * image.width + x]);
    }
    return curve;
  };
  return {.title = fmt::format("Phase along row {} of the region", row),
          .x_label = "column [px]",
          .y_label = "phase [rad]",
          .curves = {line("reference", phase.truth), line("reconstruction", phase.reconstruction)}};
}

CurvePanel residual_panel(std::span<const double> residual) {
  io::Curve curve;
  for (size_t sweep = 0; sweep < residual.size(); ++sweep) curve.x.push_back(static_cast<double>(sweep));
  curve.y = copy(residual);
  return {.title = "Residual",
          .x_label = "sweep (R as frames were met, at the ends of all)",
          .y_label = "R",
          .log_y = true,
          .curves = {std::move(curve)}};
}

}  // namespace

Figure reconstruction_page(const std::string& title, const io::Reconstruction& reconstruction) {
  Figure figure(title);
  const io::ComplexImage& object = reconstruction.object;
  const int64_t height = object.height, width = object.width;
  constexpr int64_t most_images = 4;
  for (int64_t image = 0; image < std::min(object.depth, most_images); ++image) {
    const size_t first = static_cast<size_t>(image * height * width), pixels = static_cast<size_t>(height * width);
    const auto field = std::span(object.data).subspan(first, pixels);
    const bool weighted = reconstruction.weight.size() >= first + pixels;
    const auto weight = weighted ? std::span(reconstruction.weight).subspan(first, pixels) : std::span<const float>();
    const Rectangle part = weighted ? covered_part(weight, height, width) : Rectangle{0, height, 0, width};
    const std::vector<std::complex<float>> shown = cut(field, width, part);
    const std::vector<float> covered = weighted ? cut(weight, width, part) : std::vector<float>();
    const std::string number = object.depth > 1 ? fmt::format(", image {}", image) : "";
    figure.new_row();
    for (ImagePanel object_panel :
         {io::amplitude_panel("Amplitude" + number, part.height(), part.width(), shown, covered),
          io::phase_panel("Phase about its mean" + number, part.height(), part.width(), shown, covered)}) {
      object_panel.scale_bar = true;
      object_panel.pixel_size_m = reconstruction.pixel_size_m;
      figure.add(std::move(object_panel));
    }
  }
  const std::vector<ImagePanel> probe = probe_panels(reconstruction.probe);
  for (size_t i = 0; i < probe.size(); ++i) {
    if (i % 2 == 0) figure.new_row();  // a mode
    figure.add(probe[i]);
  }
  if (reconstruction.residual.size() > 1) {
    figure.new_row();
    figure.add(residual_panel(reconstruction.residual));
  }
  return figure;
}

std::vector<ImagePanel> probe_panels(const io::ComplexImage& probe) {
  constexpr int64_t most_modes = 3;
  constexpr float shown_from = 0.1f;
  const int64_t pixels = probe.height * probe.width, modes = probe.empty() ? 0 : probe.depth;
  const auto power = [&](int64_t first, int64_t count) {
    const auto from = probe.data.begin() + first * pixels;
    return std::accumulate(from, from + count * pixels, 0.0,
                           [](double sum, std::complex<double> value) { return sum + std::norm(value); });
  };
  const double all = power(0, modes);
  std::vector<ImagePanel> out;
  for (int64_t mode = 0; mode < std::min(modes, most_modes); ++mode) {
    const auto field = std::span(probe.data).subspan(static_cast<size_t>(mode * pixels), static_cast<size_t>(pixels));
    std::string name = modes > 1 ? fmt::format("Probe, mode {}", mode + 1) : "Probe";
    ImagePanel amplitude = io::amplitude_panel(name, probe.height, probe.width, field, {});
    amplitude.map = ColourMap::viridis;
    float peak = 0;
    for (const float value : amplitude.values) peak = std::isfinite(value) ? std::max(peak, value) : peak;
    amplitude.low = 0;
    amplitude.high = peak;
    std::vector<float> bright;
    for (const float value : amplitude.values) bright.push_back(peak > 0 && value >= shown_from * peak ? 1.f : 0.f);
    ImagePanel phase = io::phase_panel(name + ", phase", probe.height, probe.width, field, bright);
    phase.map = ColourMap::cyclic;
    phase.low = -std::numbers::pi;
    phase.high = std::numbers::pi;
    if (modes > 1 && all > 0) amplitude.title += fmt::format(" ({:.1f} % of the power)", 100 * power(mode, 1) / all);
    out.push_back(std::move(amplitude));
    out.push_back(std::move(phase));
  }
  return out;
}

Figure evaluation_page(const std::string& title, const Evaluation& evaluation) {
  Figure figure(title);
  const RealImage truth = amplitude(evaluation.truth, 0);
  const double mean =
      std::accumulate(truth.data.begin(), truth.data.end(), 0.0) / static_cast<double>(truth.data.size());
  add_channel(figure, "amplitude", truth, amplitude(evaluation.reconstruction, mean), ColourMap::grey, "");
  const PhaseImages phase = phase_images(evaluation.reconstruction, evaluation.truth, evaluation.phase_align);
  add_channel(figure, "phase", phase.truth, phase.reconstruction, ColourMap::viridis, "rad");

  figure.new_row();
  const int64_t side = std::min(evaluation.truth.height, evaluation.truth.width);
  const Comparison& comparison = evaluation.comparison;
  figure.add(CurvePanel{
      .title = fmt::format("Fourier ring correlation  ({}, {})", figure_text("contrast", comparison.contrast, 3),
                           figure_text("phase Pearson", comparison.phase.pearson, 3)),
      .x_label = "spatial frequency [cycles/px]",
      .y_label = "correlation",
      .curves = {ring_curve("amplitude", comparison.amplitude, side), ring_curve("phase", comparison.phase, side)},
      .horizontal_lines = {{0.5, "1/2"}, {1.0 / 7, "1/7"}}});
  figure.add(profile_panel(phase, evaluation.truth.height / 4));
  return figure;
}

Figure learning_page(const std::string& title, std::span<const double> epochs, std::span<const double> loss,
                     std::span<const double> validation_loss, std::span<const double> learning_rate) {
  Figure figure(title);
  CurvePanel losses{.title = "Learning curve",
                    .x_label = "epoch",
                    .y_label = "loss",
                    .curves = {{.label = "training", .x = copy(epochs), .y = copy(loss)}}};
  const auto finite = [](double value) { return std::isfinite(value); };
  if (std::any_of(validation_loss.begin(), validation_loss.end(), finite)) {
    losses.curves.push_back({.label = "validation", .x = copy(epochs), .y = copy(validation_loss)});
  }
  figure.add(std::move(losses));
  if (!learning_rate.empty()) {
    figure.add(CurvePanel{.title = "Learning rate",
                          .x_label = "epoch",
                          .y_label = "learning rate",
                          .log_y = true,
                          .curves = {{.label = "", .x = copy(epochs), .y = copy(learning_rate)}}});
  }
  return figure;
}

}  // namespace ptyfuse
