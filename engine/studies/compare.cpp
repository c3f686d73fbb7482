// Several reconstructions of one scan side by side (section 9, compare-models).
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <set>

#include "engine/run_folder.h"
#include "engine/studies/over_seeds.h"
#include "engine/studies/study_pictures.h"
#include "engine/studies/subject.h"
#include "io/file_error.h"
#include "io/file_kind.h"
#include "io/npz.h"

namespace ptyfuse::studies {
namespace {

namespace fs = std::filesystem;

// A name cannot hold the '+', so that no other input's file is called so.
constexpr const char* unregistered = "+unregistered.npz";

struct Input {
  std::string name, file;
};

/// What an input's name may hold: it becomes a file's.
bool takes(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
}

/// NAME=FILE, or FILE under its own name, whose other letters become '_'.
std::vector<Input> named(const std::vector<std::string>& inputs) {
  std::vector<Input> out;
  std::set<std::string> taken;
  for (const std::string& text : inputs) {
    const size_t sign = text.find('=');
    std::error_code error;
    const bool has_name = sign != std::string::npos && sign > 0 && !fs::exists(text, error);
    Input input{has_name ? text.substr(0, sign) : fs::path(text).stem().string(),
                has_name ? text.substr(sign + 1) : text};
    if (input.file.empty() || (sign == 0 && !fs::exists(text, error)))
      throw UsageError("--inputs: '" + text + "' names no file; expected [NAME=]FILE");
    if (has_name && (input.name.front() == '.' || !std::all_of(input.name.begin(), input.name.end(), takes)))
      throw UsageError("--inputs: '" + input.name +
                       "' is no name; expected letters, digits, '-', '_' and '.', the last not first");
    if (input.name.empty()) input.name = "input";
    for (char& c : input.name)
      if (!takes(c)) c = '_';
    if (input.name.front() == '.') input.name.front() = '_';
    if (input.name == "ground_truth" || !taken.insert(input.name).second)
      throw UsageError("--inputs: the name '" + input.name +
                       "' is taken; give each its own, as in --inputs ptychopinn=A.h5 baseline=B.h5");
    out.push_back(std::move(input));
  }
  return out;
}

bool is_model(const std::string& path) {
  if (!io::split_dataset(path).dataset.empty()) return false;
  const io::FileKind kind = io::file_kind(path);
  return kind == io::FileKind::folder || kind == io::FileKind::checkpoint;
}

std::string fingerprint(const std::string& path) {
  std::error_code error;
  return file_fingerprint(fs::is_directory(path, error) ? path + "/model.h5" : path);
}

io::Reconstruction object_of(const ArmContext& context, const Input& input, const std::string& scan) {
  std::error_code error;
  if (is_model(input.file)) {
    if (scan.empty()) throw io::FileError(input.file, "is a trained model; --scan SCAN says what it is to reconstruct");
    return reconstruct(context, read_model(input.file), {}, opener(scan));
  }
  if (fs::exists(input.file, error) && io::file_kind(input.file) == io::FileKind::reconstruction)
    return io::read_reconstruction(input.file);
  io::Reconstruction other;
  other.object = io::read_complex_image(input.file, "object");
  return other;
}

ArmOutcome run(const ArmContext& context, const Input& input, const StudyConfig& config) {
  const io::Reconstruction object = object_of(context, input, config.scan);
  EvaluationConfig evaluation;
  if (!config.crop.empty()) evaluation.crop = parse_crop(config.crop);
  const io::ComplexImage truth = io::read_complex_image(config.truth.empty() ? config.scan : config.truth, "object");
  const Evaluation as_it_lies = evaluate(object, truth, evaluation);
  evaluation.registered = true;
  const Evaluation e = evaluate(object, truth, evaluation);
  ArmOutcome out;
  record(context, out,
         {{"model", input.name},
          {"file", input.file},
          {"reconstruct_s", object.seconds},
          {"computation_time_s", e.seconds}},
         e);
  const std::array arrays{npz_array("reconstruction", as_it_lies.reconstruction), npz_array("truth", as_it_lies.truth)};
  io::write_npz(context.product(unregistered), arrays, true);
  out.products.emplace_back(unregistered);
  return out;
}

double value_of(const io::Row& row, const std::string& name) {
  const io::Cell* cell = io::find_cell(row, name);
  const auto* number = cell == nullptr ? nullptr : std::get_if<double>(cell);
  return number == nullptr ? std::nan("") : *number;
}

std::string six_decimals(double value) {
  return std::isfinite(value) ? fmt::format("{:.6f}", value) : "";
}

/// model,metric,amplitude,phase,value as section 9 has it.
std::string metrics_csv(const std::vector<io::ArmResult>& arms) {
  std::string out = "model,metric,amplitude,phase,value\n";
  const std::string amplitude = "amplitude_";
  for (const io::ArmResult& arm : arms) {
    const io::Row& row = arm.rows.front();
    for (const auto& [name, cell] : row) {
      if (!name.starts_with(amplitude)) continue;
      const std::string metric = name.substr(amplitude.size());
      out += fmt::format("{},{},{},{},\n", io::csv_field(arm.arm), metric, six_decimals(value_of(row, name)),
                         six_decimals(value_of(row, "phase_" + metric)));
    }
    for (const char* single : {"complex_correlation", "contrast", "residual", "registration_offset_dy",
                               "registration_offset_dx", "computation_time_s", "reconstruct_s"})
      out += fmt::format("{},{},,,{}\n", io::csv_field(arm.arm), single, six_decimals(value_of(row, single)));
  }
  return out;
}

std::string frc_csv(const std::vector<io::ArmResult>& arms) {
  std::string out = "model,frequency_bin,amplitude_frc,phase_frc\n";
  for (const io::ArmResult& arm : arms) {
    const std::vector<double>&amplitude = curve_of(arm, "amplitude_frc"), &phase = curve_of(arm, "phase_frc");
    const auto at = [](const std::vector<double>& curve, size_t bin) {
      return bin < curve.size() ? six_decimals(curve[bin]) : std::string();
    };
    for (size_t bin = 0; bin < std::max(amplitude.size(), phase.size()); ++bin)
      out += fmt::format("{},{},{},{}\n", io::csv_field(arm.arm), bin, at(amplitude, bin), at(phase, bin));
  }
  return out;
}

/// NAME_amplitude, NAME_phase, NAME_complex of every model and of ground_truth (the first model's region).
void write_arrays(const std::string& path, const std::vector<io::ArmResult>& arms, const std::string& folder,
                  const std::string& ending) {
  std::vector<io::NpzArray> arrays;
  const auto add = [&](const std::string& name, const FieldImage& image) {
    std::vector<float> amplitude, phase;
    for (const auto& value : image.data) {
      amplitude.push_back(static_cast<float>(std::abs(value)));
      phase.push_back(static_cast<float>(std::arg(value)));
    }
    arrays.push_back({name + "_amplitude", {image.height, image.width}, std::move(amplitude)});
    arrays.push_back({name + "_phase", {image.height, image.width}, std::move(phase)});
    arrays.push_back(npz_array(name + "_complex", image));
  };
  for (const io::ArmResult& arm : arms) {
    const std::string npz = folder + "/arms/" + arm.arm + ending;
    if (&arm == &arms.front()) add("ground_truth", stored_image(npz, "truth"));
    add(arm.arm, stored_image(npz, "reconstruction"));
  }
  io::write_npz(path, arrays, true);
}

io::Figure plot(const std::vector<io::ArmResult>& arms, const std::string& folder) {
  io::Figure figure("Comparison");
  for (const auto& [channel, name] : {std::pair{Channel::amplitude, "amplitude"}, {Channel::phase, "phase"}}) {
    figure.new_row();
    ValueRange range;
    for (const io::ArmResult& arm : arms) {
      const std::string npz = folder + "/arms/" + arm.arm + ".npz";
      if (&arm == &arms.front()) {
        const FieldImage truth = stored_image(npz, "truth");
        range = range_of(truth, channel);
        figure.add(image_panel(fmt::format("Reference, {}", name), truth, channel, range));
      }
      figure.add(
          image_panel(fmt::format("{}, {}", arm.arm, name), stored_image(npz, "reconstruction"), channel, range));
    }
  }
  figure.new_row();
  for (const char* channel : {"amplitude", "phase"}) {
    std::vector<io::Curve> curves;
    for (const io::ArmResult& arm : arms) {
      const io::Row& row = arm.rows.front();
      curves.push_back(frc_curve(arm.arm, curve_of(arm, std::string(channel) + "_frc"),
                                 std::min(value_of(row, "height_px"), value_of(row, "width_px"))));
    }
    figure.add(frc_panel(fmt::format("Fourier ring correlation of the {}", channel), std::move(curves)));
  }
  return figure;
}

StudyReport report(const std::vector<io::ArmResult>& arms, const std::string& folder) {
  std::vector<std::vector<std::string>> lines;
  std::set<std::string> regions;
  for (const SeedGroup& group : over_seeds(arms, {"model"})) {
    const std::string region = group.text("height_px", 0) + " x " + group.text("width_px", 0);
    regions.insert(region);
    lines.push_back({group.label("model"), group.text("contrast", 4), group.text("amplitude_ssim", 4),
                     group.text("phase_ssim", 4), group.text("amplitude_pearson", 4), group.text("phase_pearson", 4),
                     group.text("amplitude_frc50_bin", 1), group.text("phase_frc50_bin", 1), group.text("residual", 4),
                     region, group.text("registration_offset_dy", 2) + ", " + group.text("registration_offset_dx", 2)});
  }
  StudyReport out;
  out.table = io::markdown_table({"model", "contrast", "SSIM amplitude", "phase", "Pearson amplitude", "phase",
                                  "FRC50 amplitude", "phase", "R", "compared px", "registered by dy, dx"},
                                 lines);
  if (regions.size() > 1)
    out.notes.push_back(
        "The models were compared on regions of different sizes, as far as each reaches; --crop Y0:Y1,X0:X1 compares "
        "all "
        "on one.");
  out.files = {{"comparison_metrics.csv", metrics_csv(arms)}, {"comparison_frc_curves.csv", frc_csv(arms)}};
  write_arrays(folder + "/reconstructions.npz", arms, folder, unregistered);
  write_arrays(folder + "/reconstructions_aligned.npz", arms, folder, ".npz");
  out.figures.push_back(
      {"comparison_plot.png", "The models beside the reference, and their ring correlations.", plot(arms, folder)});
  return out;
}

}  // namespace

Study make_compare(const StudyConfig& config) {
  if (config.inputs.empty())
    throw UsageError("study compare needs --inputs [NAME=]FILE ...: reconstruction files, run folders or objects");
  if (config.truth.empty() && config.scan.empty())
    throw UsageError("study compare needs what to compare with: --scan SCAN (its object) or --truth FILE[:DATASET]");
  Study study;
  study.name = "compare";
  study.title =
      fmt::format("Comparison of {} reconstruction{}", config.inputs.size(), config.inputs.size() == 1 ? "" : "s");
  study.notes.push_back(
      fmt::format("Reference: {}. Each model was cut to the common region, registered and fitted by "
                  "the means (amplitude) and a plane (phase).",
                  config.truth.empty() ? config.scan : config.truth));
  Settings common{{"crop", config.crop}};
  for (const auto& [name, file] : {std::pair{"scan", &config.scan}, {"truth", &config.truth}})
    if (!file->empty()) common.emplace_back(std::string(name) + ".fingerprint", file_fingerprint(*file));
  for (const Input& input : named(config.inputs)) {
    const Settings settings = common + Settings{{"input.fingerprint", fingerprint(input.file)}};
    study.arms.push_back(
        {input.name, settings, [=](const ArmContext& context) { return run(context, input, config); }});
  }
  study.report = report;
  return study;
}

}  // namespace ptyfuse::studies
