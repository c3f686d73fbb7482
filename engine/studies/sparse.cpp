// Network, iteration, or both: quality and time over the number of frames.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/studies/over_seeds.h"
#include "engine/studies/study_pictures.h"
#include "engine/studies/subject.h"

namespace ptyfuse::studies {
namespace {

constexpr const char *network_alone = "network", *both = "network + sweeps";

std::vector<int64_t> steps(const StudyConfig& config) {
  if (config.quick) return {1, 4, 16};
  return {1, 2, 4, 8, 16, 32};
}

std::string every(int64_t step) {
  return fmt::format("::{}", step);
}

io::Row labels(int64_t step, const char* method, const io::Reconstruction& object, double seconds) {
  return {{"step", static_cast<double>(step)},
          {"method", std::string(method)},
          {"frames", static_cast<double>(object.pattern_count)},
          {"seconds", seconds}};
}

ArmOutcome run_flat(const ArmContext& context, const Subject& subject, int64_t step, const RefineConfig& config) {
  const PreparedSubject it = prepare(context, subject);
  const io::Reconstruction object = refine_flat(context, config, it.info.probe, it.open);
  ArmOutcome out;
  record(context, out, labels(step, flat, object, object.seconds), evaluate_widened(object, it.truth, it.evaluation));
  return out;
}

ArmOutcome run_network(const ArmContext& context, const Subject& subject, int64_t step, const TrainConfig& config,
                       const ReconstructConfig& reconstruction, const RefineConfig& refinement) {
  const PreparedSubject it = prepare(context, subject);
  const Training training = train(context, config, it.open);
  const io::Reconstruction object = reconstruct(context, training.model, reconstruction, it.open);
  const double seconds = training.seconds + object.seconds;
  ArmOutcome out;
  record(context, out, labels(step, network_alone, object, seconds), evaluate_widened(object, it.truth, it.evaluation));
  const io::Reconstruction polished = refine_on(context, refinement, object, it.open);
  record(context, out, labels(step, both, polished, seconds + polished.seconds),
         evaluate_widened(polished, it.truth, it.evaluation), "_polished");
  for (io::Row& row : out.rows) {
    row.emplace_back("seed", static_cast<double>(config.seed));
    row.emplace_back("train_s", training.seconds);
    row.emplace_back("reconstruct_s", object.seconds);
  }
  return out;
}

io::Curve over_frames(const std::vector<SeedGroup>& groups, const char* method, const char* figure) {
  return curve_over(
      groups, method, [&](const SeedGroup& group) { return group.label("method") == method; },
      [](const SeedGroup& group) { return group.mean("frames"); }, figure);
}

/// The best method by contrast, frame count by frame count.
std::vector<std::string> winners(const std::vector<SeedGroup>& groups) {
  std::vector<double> seen;
  std::vector<std::string> out;
  for (const SeedGroup& group : groups) {
    const double step = group.number("step");
    if (std::find(seen.begin(), seen.end(), step) != seen.end()) continue;
    seen.push_back(step);
    const SeedGroup* best = nullptr;
    for (const SeedGroup& other : groups)
      if (other.number("step") == step && !std::isnan(other.mean("contrast")) &&
          (best == nullptr || other.mean("contrast") > best->mean("contrast")))
        best = &other;
    if (best != nullptr)
      out.push_back(fmt::format("{:.0f} frames ({}): best contrast {} by {}, in {} s", best->mean("frames"),
                                step == 1 ? "all" : fmt::format("one in {:.0f}", step), best->text("contrast", 4),
                                best->label("method"), best->text("seconds", 1)));
  }
  return out;
}

StudyReport report(const std::vector<io::ArmResult>& arms) {
  std::vector<SeedGroup> groups = over_seeds(arms, {"step", "method"});
  std::stable_sort(groups.begin(), groups.end(),
                   [](const SeedGroup& a, const SeedGroup& b) { return a.number("step") < b.number("step"); });
  std::vector<std::vector<std::string>> lines;
  for (const SeedGroup& group : groups)
    lines.push_back({fmt::format("{:.0f}", group.mean("frames")), group.label("method"), group.text("contrast", 4),
                     group.text("phase_pearson", 4), group.text("amplitude_ssim", 4), group.text("residual", 4),
                     group.text("seconds", 1), group.text("reconstruct_s", 1)});
  StudyReport out;
  out.table = io::markdown_table(
      {"frames", "method", "contrast", "phase Pearson", "amplitude SSIM", "R", "seconds", "without training"}, lines);
  out.notes = winners(groups);
  io::Figure figure("Where iteration wins, and where the network");
  for (const auto& [key, title, log_y] : {std::tuple{"contrast", "Contrast (flat 0, perfect 1)", false},
                                          {"seconds", "Seconds, training included", true}}) {
    io::CurvePanel panel{.title = title, .x_label = "frames", .y_label = key, .log_x = true, .log_y = log_y};
    for (const char* method : {flat, network_alone, both}) panel.curves.push_back(over_frames(groups, method, key));
    figure.add(std::move(panel));
  }
  out.figures.push_back({"sparse.png", "Contrast and time over the number of frames.", figure});
  return out;
}

}  // namespace

Study make_sparse(const StudyConfig& config) {
  const Subject subject = make_subject(config);
  const Settings data = settings_of(subject);
  Study study;
  study.name = "sparse";
  study.title = fmt::format("Network or iteration over the number of frames{}", config.quick ? ", quick" : "");
  if (const int64_t least = steps(config).back(); subject.scan.empty() && subject.simulation.patterns < least)
    throw UsageError(fmt::format("--patterns {}: the study takes one pattern in {}; expected {} or more",
                                 subject.simulation.patterns, least, least));
  const TrainConfig typical = subject_network(config, 0);
  study.notes = {
      "Scan: " + words_of(subject) + ".",
      fmt::format("Networks of width {:g} at batch {}, trained on the frames that are left alone, with {} "
                  "epochs times the share left out, so that each takes as many steps; then {} sweeps. "
                  "Iteration from flat: {} sweeps. 'Without training' is what another scan alike would take.",
                  typical.filters_scale, typical.batch, typical.epochs, config.sweeps, flat_sweeps)};
  for (const int64_t step : steps(config)) {
    const RefineConfig from_flat{.sweeps = flat_sweeps, .frames = every(step)};
    const RefineConfig from_network{.sweeps = config.sweeps, .frames = every(step)};
    const ReconstructConfig r{.frames = every(step)};
    study.arms.push_back({fmt::format("flat_{}", step), data + settings_of(from_flat),
                          [=](const ArmContext& context) { return run_flat(context, subject, step, from_flat); }});
    for (int64_t k = 0; k < config.seeds; ++k) {
      TrainConfig t = subject_network(config, config.seed + static_cast<uint64_t>(k));
      t.frames = every(step);
      t.epochs *= step;
      study.arms.push_back(
          {fmt::format("network_{}_seed{}", step, t.seed),
           data + settings_of(t) + settings_of(r) + settings_of(from_network),
           [=](const ArmContext& context) { return run_network(context, subject, step, t, r, from_network); }});
    }
  }
  study.report = [](const std::vector<io::ArmResult>& arms, const std::string&) { return report(arms); };
  return study;
}

}  // namespace ptyfuse::studies
