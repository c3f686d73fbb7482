#include "io/metrics_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "io/table.h"

namespace ptyfuse::io {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::pair<const char*, MetricValue ChannelReport::*> channel_figures[] = {
    {"mae", &ChannelReport::mae},
    {"mse", &ChannelReport::mse},
    {"psnr", &ChannelReport::psnr},
    {"psnr_255", &ChannelReport::psnr_255},
    {"ssim", &ChannelReport::ssim},
    {"ms_ssim", &ChannelReport::ms_ssim},
    {"pearson", &ChannelReport::pearson},
    {"frc50_bin", &ChannelReport::frc50_bin},
    {"frc50_per_px", &ChannelReport::frc50_per_px},
    {"frc1over7_bin", &ChannelReport::frc1over7_bin},
};

std::optional<double> finite(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? value : std::nullopt;
}

void put(Json& object, Json& why, const char* name, const MetricValue& figure) {
  if (const auto value = finite(figure.value)) {
    object[name] = *value;
    return;
  }
  object[name] = nullptr;
  why[name] = !figure.why.empty() ? figure.why : figure.value ? "not finite" : "not computed";
}

void put_reasons(Json& object, Json why) {
  if (!why.empty()) object["why"] = std::move(why);
}

Json channel_json(const ChannelReport& channel) {
  Json out = Json::object(), why = Json::object();
  for (const auto& [name, figure] : channel_figures) put(out, why, name, channel.*figure);
  put_reasons(out, std::move(why));
  return out;
}

std::string text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// Six decimals; small values keep their digits.
std::string number(const std::optional<double>& value) {
  if (!finite(value)) return "";
  const double size = std::abs(*value);
  return size > 0 && size < 1e-2 ? fmt::format("{:.6e}", *value) : fmt::format("{:.6f}", *value);
}

}  // namespace

std::string metrics_json(const MetricsReport& report) {
  Json out = Json::object(), why = Json::object();
  out["amplitude"] = channel_json(report.amplitude);
  out["phase"] = channel_json(report.phase);
  put(out, why, "complex_correlation", report.complex_correlation);
  put(out, why, "contrast", report.contrast);
  put(out, why, "residual", report.residual);
  if (report.registration_px) {
    out["registration_px"] = *report.registration_px;
  } else {
    out["registration_px"] = nullptr;
    why["registration_px"] = "not registered: --register was not given";
  }
  out["shape"] = report.shape;
  out["region"] = report.region;
  out["aligned_by"] = report.aligned_by;
  out["phase_align"] = report.phase_align;
  out["reconstruction"] = report.reconstruction;
  out["truth"] = report.truth;
  if (const auto seconds = finite(report.computation_time_s)) out["computation_time_s"] = *seconds;
  put_reasons(out, std::move(why));
  return text(out);
}

std::string metrics_csv(const MetricsReport& report, const std::string& model) {
  std::string out = "model,metric,amplitude,phase,value\n";
  const std::string name = csv_field(model);
  for (const auto& [metric, figure] : channel_figures) {
    out += fmt::format("{},{},{},{},\n", name, metric, number((report.amplitude.*figure).value),
                       number((report.phase.*figure).value));
  }
  const auto single = [&](const char* metric, const std::optional<double>& value) {
    out += fmt::format("{},{},,,{}\n", name, metric, number(value));
  };
  single("complex_correlation", report.complex_correlation.value);
  single("contrast", report.contrast.value);
  single("residual", report.residual.value);
  const auto& shift = report.registration_px;
  single("registration_offset_dy", shift ? std::optional((*shift)[0]) : std::nullopt);
  single("registration_offset_dx", shift ? std::optional((*shift)[1]) : std::nullopt);
  single("computation_time_s", report.computation_time_s);
  return out;
}

std::string frc_csv(const MetricsReport& report, const std::string& model) {
  std::string out = "model,frequency_bin,amplitude_frc,phase_frc\n";
  const std::vector<double>&amplitude = report.amplitude.frc, &phase = report.phase.frc;
  const auto at = [](const std::vector<double>& curve, size_t bin) {
    return bin < curve.size() ? number(curve[bin]) : std::string();
  };
  for (size_t bin = 0; bin < std::max(amplitude.size(), phase.size()); ++bin) {
    out += fmt::format("{},{},{},{}\n", csv_field(model), bin, at(amplitude, bin), at(phase, bin));
  }
  return out;
}

std::string overlap_json(const OverlapReport& report) {
  Json out = Json::object(), why = Json::object();
  out["metrics_version"] = "1.0";
  out["gridsize"] = report.gridsize;
  out["s_img"] = report.image_fraction;
  out["n_groups"] = report.groups_asked;
  out["neighbor_count"] = report.neighbor_count;
  out["probe_diameter_px"] = report.probe_diameter_px;
  out["rng_seed_subsample"] = report.subsample_seed;
  put(out, why, "metric_1_group_based_avg", report.metric_1);
  out["metric_2_image_based_avg"] = report.metric_2;
  out["metric_3_group_to_group_avg"] = report.metric_3;
  out["n_images_total"] = report.images_total;
  out["n_images_subsampled"] = report.images_used;
  out["n_unique_images"] = report.images_unique;
  out["n_groups_actual"] = report.groups;
  out["geometry_acceptance_bound"] = report.geometry_acceptance_bound;
  out["effective_min_acceptance"] = report.effective_min_acceptance;
  put_reasons(out, std::move(why));
  return text(out);
}

}  // namespace ptyfuse::io
