#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "bin/command.h"
#include "bin/printable.h"
#include "bin/scan_hints.h"
#include "engine/grouping.h"
#include "engine/metrics.h"
#include "engine/overlap.h"
#include "engine/probe.h"
#include "engine/run_folder.h"
#include "engine/studies/arm_queue.h"
#include "engine/studies/runner.h"
#include "io/file_error.h"
#include "io/file_kind.h"
#include "io/json_text.h"
#include "io/named_arrays.h"
#include "io/reconstruction_file.h"
#include "io/scan.h"
#include "io/study_files.h"

namespace ptyfuse::cli {
namespace {

using nlohmann::ordered_json;

// A new line of a text, below its first one.
const std::string indent = "\n" + std::string(23, ' ');

// As people read it: six digits of a number that is not whole.
std::string fact_text(const ordered_json& value) {
  if (value.is_string()) {
    std::string text = value.get<std::string>();
    while (text.ends_with('\n')) text.pop_back();
    for (size_t i = 0; (i = text.find('\n', i)) != std::string::npos; i += indent.size()) text.replace(i, 1, indent);
    return text;
  }
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  if (!value.is_array()) return value.dump();
  std::string list;
  for (const auto& element : value) list += (list.empty() ? "" : ", ") + fact_text(element);
  return list;
}

void print_lines(const ordered_json& facts, const std::string& prefix) {
  for (const auto& [key, value] : facts.items()) {
    std::string name = prefix + key;
    std::replace(name.begin(), name.end(), '_', ' ');
    if (value.is_object())
      print_lines(value, name + " ");
    else
      std::printf("%-22s %s\n", name.c_str(), printable(fact_text(value)).c_str());
  }
}

// A description is a list of named facts; it prints as aligned lines or as one JSON object.
void print_facts(const ordered_json& facts, bool json) {
  if (json)
    std::printf("%s\n", facts.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
  else
    print_lines(facts, "");
}

// How much neighbouring probes, taken as disks, overlap.
ordered_json overlap_facts(const io::ScanInfo& scan, double probe_diameter_px, uint64_t seed,
                           const RunControl& control) {
  const auto& index = scan.object_index;
  if (std::any_of(index.begin(), index.end(), [&](int32_t i) { return i != index.front(); }))
    throw UsageError(scan.path +
                     ": --probe-diameter-px: the overlap is that of a scan of one object, and this one shows several; "
                     "give it a scan file for each, or leave the option out");
  OverlapConfig config;
  config.gridsize = scan.frames < 4 ? 1 : 2;
  config.probe_diameter_px = probe_diameter_px;
  config.seed = seed;
  return ordered_json::parse(io::overlap_json(overlap_metrics_of_scan(scan.positions_px, config, control)));
}

// Frames read at a time when all are checked: few megabytes, or one frame.
int64_t frames_at_a_time(const io::ScanInfo& scan) {
  constexpr int64_t most_elements = 1 << 20;
  return std::clamp<int64_t>(most_elements / (scan.side_px * scan.side_px), 1, std::min<int64_t>(64, scan.frames));
}

ordered_json scan_facts(io::ScanReader& scan, const RunControl& control) {
  const io::ScanInfo& s = scan.info();
  ordered_json facts;
  facts["format"] = s.format;
  facts["frames"] = s.frames;
  facts["side_px"] = s.side_px;
  facts["frame_type"] = s.frame_type;
  facts["domain"] = s.domain == io::Domain::counts ? "counts" : "amplitude";
  facts["dc"] = s.dc == io::DcPlace::centre ? "centre" : "corner";

  double power = 0, brightest = 0;
  int64_t dark = 0;
  const int64_t at_a_time = frames_at_a_time(s);
  std::vector<float> frames(static_cast<size_t>(at_a_time * s.side_px * s.side_px));
  for (int64_t first = 0; first < s.frames; first += at_a_time) {
    if (control.stop_requested()) throw Error(ErrorKind::cancelled, "check stopped");
    const int64_t count = std::min(at_a_time, s.frames - first);
    const size_t pixels = static_cast<size_t>(s.side_px * s.side_px);
    scan.read_amplitude(first, count, std::span(frames).first(static_cast<size_t>(count) * pixels));
    for (size_t f = 0; f < static_cast<size_t>(count); ++f) {
      double sum = 0;
      for (size_t i = f * pixels; i < (f + 1) * pixels; ++i) {
        const double v = frames[i];
        sum += v * v;
        brightest = std::max(brightest, v * v);
      }
      power += sum;
      dark += sum == 0 ? 1 : 0;
    }
  }
  facts["mean_counts_per_frame"] = power / static_cast<double>(s.frames);
  facts["brightest_pixel"] = brightest;
  facts["all_zero_frames"] = dark;

  const auto [low, high] = bounds_of(s.positions_px);
  facts["scan_area_px"] = {high[0] - low[0], high[1] - low[1]};
  if (s.frames > 1) {
    const std::vector<int64_t> near = nearest_neighbors(s.positions_px, 1);
    std::vector<double> steps;
    for (size_t i = 0; i < near.size(); ++i) {
      const auto& a = s.positions_px[i];
      const auto& b = s.positions_px[static_cast<size_t>(near[i])];
      steps.push_back(std::hypot(a[0] - b[0], a[1] - b[1]));
    }
    std::nth_element(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2), steps.end());
    facts["median_step_px"] = steps[steps.size() / 2];
  }
  if (s.probe.empty()) {
    facts["probe"] = "none: name one with --probe FILE[:DATASET]";
  } else {
    facts["probe"] = fmt::format("{} mode{} of {} x {}", s.probe.depth, s.probe.depth == 1 ? "" : "s", s.probe.height,
                                 s.probe.width);
    facts["probe_power_outside_centre"] = power_outside_centre(s.probe);
  }
  if (!s.mask.empty()) facts["masked_pixels"] = std::count(s.mask.begin(), s.mask.end(), uint8_t{0});
  if (!s.object.empty())
    facts["object"] =
        fmt::format("{} image{} of {} x {} ({})", s.object.depth, s.object.depth == 1 ? "" : "s", s.object.height,
                    s.object.width, s.object_kind.empty() ? "kind not said" : s.object_kind);
  if (s.group_members > 0)
    facts["groups"] = fmt::format("{} of {}", static_cast<int64_t>(s.groups.size()) / s.group_members, s.group_members);
  for (const auto& [name, value] :
       {std::pair{"energy_eV", s.energy_ev}, std::pair{"detector_distance_m", s.detector_distance_m},
        std::pair{"detector_pixel_m", s.detector_pixel_m}, std::pair{"pixel_size_m", s.pixel_size_m},
        std::pair{"photons_per_pattern", s.photons_per_pattern}})
    if (value) facts[name] = *value;
  return facts;
}

ordered_json reconstruction_facts(const io::Reconstruction& r) {
  ordered_json facts;
  facts["format"] = "ptyfuse-reconstruction";
  facts["object"] = fmt::format("{} x {}{}", r.object.height, r.object.width,
                                r.object.depth > 1 ? fmt::format(", {} images", r.object.depth) : "");
  facts["origin_px"] = r.origin_px;
  const auto covered = std::count_if(r.weight.begin(), r.weight.end(), [](float w) { return w > 0; });
  if (!r.weight.empty()) facts["covered_share"] = static_cast<double>(covered) / static_cast<double>(r.weight.size());
  facts["patterns"] = r.pattern_count;
  facts["seconds"] = r.seconds;
  if (!r.residual.empty()) facts["residual_R"] = r.residual;
  facts["probe_modes"] = r.probe.depth;
  facts["device"] = r.device;
  facts["precision"] = r.precision;
  facts["version"] = r.version;
  return facts;
}

ordered_json checkpoint_facts(const io::Checkpoint& c) {
  ordered_json facts;
  facts["format"] = "ptyfuse-checkpoint";
  int64_t parameters = 0;
  for (const auto& t : c.weights)
    if (t.name != "log_scale") parameters += static_cast<int64_t>(t.data.size());  // of the network alone
  facts["epochs"] = c.epoch;
  facts["steps"] = c.step;
  facts["parameters"] = parameters;
  facts["tensors"] = c.weights.size();
  facts["normalisation"] = c.normalisation;
  facts["log_scale"] = c.log_scale;
  facts["weights_crc32"] = fmt::format("{:08x}", io::crc32(c.weights));
  facts["adam_crc32"] = fmt::format("{:08x} {:08x}", io::crc32(c.adam_m), io::crc32(c.adam_v));
  facts["probe_modes"] = c.probe.depth;
  facts["config"] = c.config;
  return facts;
}

ordered_json benchmark_facts(const std::string& path) {
  const ordered_json config = io::parse_json(path, io::named_arrays_config(path));
  if (!config.is_object())
    throw io::FileError(path, "config", std::string("is a JSON ") + config.type_name() + ", not an object of settings");
  ordered_json facts;
  facts["format"] = "";
  facts.update(config);
  facts["format"] = "ptyfuse-benchmark";  // whatever the settings say
  return facts;
}

// What lies in a study's folder, and what of it is damaged: each file with the reason.
struct StudyLook {
  ordered_json facts;
  std::vector<std::string> damaged;
};

// results.json, where it is there: before the first report it is not.
ordered_json read_study_results(const std::string& path, std::vector<std::string>& damaged) {
  if (std::error_code error; !std::filesystem::exists(path, error)) return ordered_json::object();
  try {
    ordered_json results = io::read_json(path);
    if (results.is_object()) return results;
    damaged.push_back(path + ": is a JSON " + results.type_name() + ", not an object");
  } catch (const io::FileError& e) {
    damaged.emplace_back(e.what());
  }
  return ordered_json::object();
}

StudyLook look_at_study(const std::string& folder, const std::string& study, const RunControl& control) {
  StudyLook look;
  std::vector<std::string> paths;
  std::error_code no_arms;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/arms", no_arms))
    if (entry.path().extension() == ".json") paths.push_back(folder + "/arms/" + entry.path().filename().string());
  std::sort(paths.begin(), paths.end());
  int64_t done = 0, other = 0, damaged_arms = 0;
  for (const std::string& path : paths) {
    if (control.stop_requested()) throw Error(ErrorKind::cancelled, "check stopped");
    const size_t sound = look.damaged.size();
    try {
      for (std::string& line : studies::damaged_products(folder, io::read_arm_result(path)))
        look.damaged.push_back(std::move(line));
    } catch (const io::OtherLayout&) {
      ++other;
      continue;
    } catch (const io::FileError& e) {
      look.damaged.emplace_back(e.what());
    }
    ++(look.damaged.size() == sound ? done : damaged_arms);
  }
  look.facts["format"] = "ptyfuse-study";
  look.facts["study"] = study;
  look.facts["arms_done"] = done;
  if (other > 0) look.facts["arms_of_another_version"] = other;
  if (damaged_arms > 0) look.facts["arms_damaged"] = damaged_arms;
  const ordered_json results = read_study_results(folder + "/results.json", look.damaged);
  for (const char* key : {"title", "complete", "failed", "device", "version", "figures"})
    if (results.contains(key) && !results[key].empty()) look.facts[key] = results[key];
  return look;
}

class InfoCommand : public Command {
 public:
  const char* name() const override { return "info"; }
  const char* summary() const override {
    return "Check a file and say what is in it: scan, reconstruction, run, model or study.";
  }
  const char* lesson() const override {
    return "A scan is read to its last frame, so that a sound answer means a sound file.\n\n"
           "Examples:\n"
           "  ptyfuse info SCAN.h5\n"
           "  ptyfuse info DATA.npz --domain amplitude\n"
           "  ptyfuse info SCAN.h5 --probe-diameter-px 40   # how much neighbouring probes overlap\n"
           "  ptyfuse info RUN --json\n";
  }
  void declare(CLI::App& app) override {
    app.add_option("FILE", file_, "scan, reconstruction, run folder, model or study folder")->required()->type_name("");
    app.add_flag("--json", json_, "as JSON");
    OptionTable table;
    table.real("probe-diameter-px", probe_diameter_px_,
               "of a scan, work out how much probes this wide overlap; 0: not");
    table.seed("seed", seed_, "of the groups whose overlap --probe-diameter-px works out");
    add_table(app, std::move(table));
    add_table(app, scan_hint_options(hints_), scan_hint_group);
  }
  int run() override {
    const io::FileKind kind = io::file_kind(file_);
    if (probe_diameter_px_ > 0 && kind != io::FileKind::scan_or_other)
      throw UsageError(file_ + ": is not a scan; --probe-diameter-px is for scans, leave it out");
    switch (kind) {
      case io::FileKind::reconstruction:
        print_facts(reconstruction_facts(io::read_reconstruction(file_)), json_);
        break;
      case io::FileKind::folder:
        if (const std::string study = studies::study_of(file_); !study.empty()) {
          print_study(study);
          break;
        }
        [[fallthrough]];
      case io::FileKind::checkpoint: {
        ordered_json facts = checkpoint_facts(read_model(file_));
        if (const auto best = best_epoch(file_)) facts["best_epoch"] = *best;
        print_facts(facts, json_);
        break;
      }
      case io::FileKind::named_arrays: {
        print_facts(benchmark_facts(file_), json_);
        break;
      }
      case io::FileKind::scan_or_other: {
        const auto scan = open_scan(file_, hints_);
        const RunControl control = make_control();
        ordered_json overlap;
        if (probe_diameter_px_ > 0) overlap = overlap_facts(scan->info(), probe_diameter_px_, seed_, control);
        ordered_json facts = scan_facts(*scan, control);
        if (!overlap.empty()) facts["overlap"] = std::move(overlap);
        print_facts(facts, json_);
      }
    }
    return 0;
  }

 private:
  void print_study(const std::string& study) const {
    StudyLook look = look_at_study(file_, study, make_control());
    const std::vector<std::string>& damaged = look.damaged;
    if (!damaged.empty()) {
      ordered_json& list = look.facts["damaged"];
      if (json_)
        list = damaged;
      else
        list = fmt::format("{}", fmt::join(damaged, "\n"));
    }
    print_facts(look.facts, json_);
    if (!damaged.empty())
      throw io::FileError(file_,
                          fmt::format("{} of its files {} damaged; the command that made them, 'ptyfuse study {}', "
                                      "makes them again",
                                      damaged.size(), damaged.size() == 1 ? "is" : "are", study));
  }

  std::string file_;
  bool json_ = false;
  double probe_diameter_px_ = 0;
  uint64_t seed_ = 0;
  io::ScanHints hints_;
};

}  // namespace

std::unique_ptr<Command> make_info_command() {
  return std::make_unique<InfoCommand>();
}

}  // namespace ptyfuse::cli
