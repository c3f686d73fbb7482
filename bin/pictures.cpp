#include "bin/pictures.h"

#include "io/figure.h"

namespace ptyfuse::cli {

void write_reconstruction_picture(const std::string& path, const std::string& title, const io::Reconstruction& result,
                                  bool force) {
  const int64_t height = result.object.height, width = result.object.width;
  const auto pixels = static_cast<size_t>(height * width);
  const std::span<const std::complex<float>> object(result.object.data.data(), pixels);
  const std::span<const float> weight(result.weight.data(), result.weight.empty() ? 0 : pixels);
  io::Figure figure(title);
  figure.add(io::amplitude_panel("amplitude", height, width, object, weight));
  figure.add(io::phase_panel("phase", height, width, object, weight));
  if (result.residual.size() > 1) {
    io::Curve curve{"R", {}, result.residual};
    for (size_t i = 0; i < result.residual.size(); ++i) curve.x.push_back(static_cast<double>(i));
    figure.add(io::CurvePanel{.title = "residual R over sweeps",
                              .x_label = "sweep",
                              .y_label = "R",
                              .log_y = true,
                              .curves = {curve},
                              .horizontal_lines = {}});
  }
  figure.write_png(path, force);
}

}  // namespace ptyfuse::cli
