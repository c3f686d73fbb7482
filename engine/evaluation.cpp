#include "engine/evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "kernels/device/error.h"

namespace ptyfuse {

namespace {

std::string extents(const Rectangle& r) {
  return fmt::format("{}:{},{}:{}", r.y0, r.y1, r.x0, r.x1);
}

Rectangle intersection(const Rectangle& a, const Rectangle& b) {
  return {std::max(a.y0, b.y0), std::min(a.y1, b.y1), std::max(a.x0, b.x0), std::min(a.x1, b.x1)};
}

bool is_empty(const Rectangle& r) {
  return r.height() <= 0 || r.width() <= 0;
}

Rectangle moved(const Rectangle& r, int64_t dy, int64_t dx) {
  return {r.y0 + dy, r.y1 + dy, r.x0 + dx, r.x1 + dx};
}

FieldImage field(const io::ComplexImage& stack, int64_t image, const char* which) {
  if (image < 0 || image >= stack.depth) {
    throw_shape_error("evaluate",
                      fmt::format("the {} has {} images, image {} is asked for", which, stack.depth, image));
  }
  const auto first = stack.data.begin() + image * stack.height * stack.width;
  return {stack.height, stack.width, {first, first + stack.height * stack.width}};
}

struct Region {
  Rectangle rectangle;
  std::string aligned_by;
};

Region choose_region(const io::Reconstruction& reconstruction, const Rectangle& truth, const Rectangle& covered,
                     const EvaluationConfig& config) {
  const Rectangle overlap = intersection(truth, covered);
  if (is_empty(overlap)) {
    throw_shape_error("evaluate",
                      fmt::format("the reconstruction covers rows and columns {} of the truth's pixels, the "
                                  "truth is {}: they have no pixel in common",
                                  extents(covered), extents(truth)));
  }
  if (config.crop) {
    const Rectangle inside = intersection(overlap, *config.crop);
    if (is_empty(*config.crop) || extents(inside) != extents(*config.crop)) {
      throw_shape_error("evaluate",
                        fmt::format("the region {} leaves what truth and reconstruction have in common, {}; "
                                    "give --crop inside that",
                                    extents(*config.crop), extents(overlap)));
    }
    return {*config.crop, "crop"};
  }
  if (reconstruction.positions_px.empty()) return {overlap, "overlap"};
  const Rectangle spanned =
      scan_rectangle(reconstruction.positions_px, config.scan_margin_px, truth.height(), truth.width());
  const Rectangle inside = intersection(overlap, spanned);
  if (is_empty(inside)) {
    throw_shape_error("evaluate", fmt::format("the scan spans {} of the truth's pixels, outside what truth and "
                                              "reconstruction have in common, {}; do positions and truth belong "
                                              "together? --crop chooses another region",
                                              extents(spanned), extents(overlap)));
  }
  return {inside, "scan"};
}

io::MetricValue reported(const Measure& measure) {
  return {measure.value, measure.why};
}

io::ChannelReport reported(const ChannelMetrics& channel) {
  return {.mae = reported(channel.mae),
          .mse = reported(channel.mse),
          .psnr = reported(channel.psnr),
          .psnr_255 = reported(channel.psnr_255),
          .ssim = reported(channel.ssim),
          .ms_ssim = reported(channel.ms_ssim),
          .pearson = reported(channel.pearson),
          .frc50_bin = reported(channel.frc50_bin),
          .frc50_per_px = reported(channel.frc50_per_px),
          .frc1over7_bin = reported(channel.frc1over7_bin),
          .frc = channel.frc};
}

/// Of a region in the reconstruction's own pixels.
double uncovered_share(const io::Reconstruction& reconstruction, const Rectangle& region) {
  if (reconstruction.weight.empty()) return 0;
  int64_t bare = 0;
  for (int64_t y = region.y0; y < region.y1; ++y)
    for (int64_t x = region.x0; x < region.x1; ++x)
      bare += reconstruction.weight[static_cast<size_t>(y * reconstruction.object.width + x)] == 0 ? 1 : 0;
  return static_cast<double>(bare) / static_cast<double>((region.y1 - region.y0) * (region.x1 - region.x0));
}

}  // namespace

Rectangle parse_crop(std::string_view text) {
  std::array<int64_t, 4> number{};
  const char* at = text.data();
  const char* const end = at + text.size();
  bool good = true;
  for (size_t i = 0; good && i < number.size(); ++i) {
    const auto [next, status] = std::from_chars(at, end, number[i]);
    const char separator = i == 1 ? ',' : ':';
    const bool last = i == 3;
    good = status == std::errc() && (last ? next == end : next != end && *next == separator);
    at = good && !last ? next + 1 : next;
  }
  const Rectangle region{number[0], number[1], number[2], number[3]};
  if (!good || is_empty(region) || region.y0 < 0 || region.x0 < 0) {
    throw_shape_error("crop",
                      fmt::format("\"{}\" is no region; expected Y0:Y1,X0:X1 with Y0 < Y1 and X0 < X1 in pixels "
                                  "of the truth, such as 68:396,68:396",
                                  text));
  }
  return region;
}

Evaluation evaluate(const io::Reconstruction& reconstruction, const io::ComplexImage& truth,
                    const EvaluationConfig& config) {
  const auto start = std::chrono::steady_clock::now();
  const FieldImage whole = field(reconstruction.object, config.image, "reconstruction");
  // One truth serves every image of a stack.
  const FieldImage whole_truth = field(truth, truth.depth == 1 ? 0 : config.image, "truth");
  const auto [top, left] = reconstruction.origin_px;
  const Region chosen = choose_region(reconstruction, {0, whole_truth.height, 0, whole_truth.width},
                                      {top, top + whole.height, left, left + whole.width}, config);

  Evaluation out;
  out.region = chosen.rectangle;
  out.aligned_by = chosen.aligned_by;
  out.phase_align = config.phase_align;
  out.truth = crop(whole_truth, out.region);
  out.reconstruction = crop(whole, moved(out.region, -top, -left));
  out.uncovered = uncovered_share(reconstruction, moved(out.region, -top, -left));
  if (config.registered) {
    constexpr int64_t border = 2;
    const Rectangle kept{border, out.truth.height - border, border, out.truth.width - border};
    if (is_empty(kept)) {
      throw_shape_error("evaluate", fmt::format("the region {} is too small to register", extents(out.region)));
    }
    out.registration_px = register_shift(out.truth, out.reconstruction);
    out.reconstruction = crop(fourier_shift(out.reconstruction, *out.registration_px), kept);
    out.truth = crop(out.truth, kept);
  }
  out.comparison = compare(out.reconstruction, out.truth, config.phase_align);
  if (reconstruction.residual.empty()) {
    out.residual.why = "the reconstruction file has no residual";
  } else {
    out.residual.value = reconstruction.residual.back();
  }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

io::MetricsReport metrics_report(const Evaluation& evaluation, const std::string& reconstruction_name,
                                 const std::string& truth_name) {
  const Rectangle& region = evaluation.region;
  return {.amplitude = reported(evaluation.comparison.amplitude),
          .phase = reported(evaluation.comparison.phase),
          .complex_correlation = reported(evaluation.comparison.complex_correlation),
          .contrast = reported(evaluation.comparison.contrast),
          .residual = reported(evaluation.residual),
          .registration_px = evaluation.registration_px,
          .shape = {evaluation.truth.height, evaluation.truth.width},
          .region = {region.y0, region.y1, region.x0, region.x1},
          .aligned_by = evaluation.aligned_by,
          .phase_align = evaluation.phase_align == PhaseAlign::plane ? "plane" : "mean",
          .reconstruction = reconstruction_name,
          .truth = truth_name,
          .computation_time_s = evaluation.seconds};
}

}  // namespace ptyfuse
