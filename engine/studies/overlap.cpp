// Quality over the overlap of neighbouring patterns, single and in groups of four (section 9, Overlap metrics).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/overlap.h"
#include "engine/studies/over_seeds.h"
#include "engine/studies/simulated_pair.h"
#include "engine/studies/study_pictures.h"
#include "engine/studies/subject.h"

namespace ptyfuse::studies {
namespace {

std::vector<int64_t> shares(const StudyConfig& config) {
  if (config.quick) return {1, 4, 16};
  return {1, 2, 4, 8, 16, 32};
}

/// Diameter of the disc with the probe's effective area, (sum |P|^2)^2 / sum |P|^4.
double probe_diameter_px(const io::ComplexImage& probe) {
  double power = 0, squares = 0;
  for (const auto& value : probe.data) {
    const double p = std::norm(std::complex<double>(value));
    power += p;
    squares += p * p;
  }
  return 2 * std::sqrt(power * power / squares / std::numbers::pi);
}

ArmOutcome run(const ArmContext& context, const SimulatedPair& pair, const TrainConfig& config,
               const ReconstructConfig& reconstruction, int64_t share) {
  const PairFiles files = simulate_pair(context, pair);
  const Training training = train(context, config, opener(files.train));
  const io::Reconstruction object = reconstruct(context, training.model, reconstruction, opener(files.test));

  const io::ScanInfo info = io::open_scan(files.test)->info();
  OverlapConfig overlap;
  overlap.gridsize = config.gridsize;
  overlap.probe_diameter_px = probe_diameter_px(info.probe);
  const auto used = static_cast<size_t>(pair.test.patterns / share);
  const io::OverlapReport metrics =
      overlap_metrics_of_scan(std::span(info.positions_px).first(used), overlap, context.control);
  EvaluationConfig evaluation;
  evaluation.crop = inner_region(info.positions_px);
  ArmOutcome out;
  record(context, out,
         {{"gridsize", static_cast<double>(config.gridsize)},
          {"share", static_cast<double>(share)},
          {"patterns", static_cast<double>(used)},
          {"seed", static_cast<double>(config.seed)},
          {"metric_1_group_based_avg", cell(metrics.metric_1.value)},
          {"metric_2_image_based_avg", metrics.metric_2},
          {"metric_3_group_to_group_avg", metrics.metric_3},
          {"geometry_acceptance_bound", metrics.geometry_acceptance_bound},
          {"effective_min_acceptance", metrics.effective_min_acceptance},
          {"probe_diameter_px", overlap.probe_diameter_px},
          {"n_groups_actual", static_cast<double>(metrics.groups)},
          {"n_unique_images", static_cast<double>(metrics.images_unique)},
          {"train_s", training.seconds}},
         evaluate_widened(object, truth_of(files.test), evaluation));
  return out;
}

StudyReport report(const std::vector<io::ArmResult>& arms) {
  std::vector<SeedGroup> groups = over_seeds(arms, {"gridsize", "share"});
  std::vector<std::vector<std::string>> lines;
  for (const SeedGroup& group : groups)
    lines.push_back({group.label("gridsize"), group.text("patterns", 0), group.text("metric_1_group_based_avg", 3),
                     group.text("metric_2_image_based_avg", 3), group.text("metric_3_group_to_group_avg", 3),
                     group.text("contrast", 4), group.text("amplitude_ssim", 4), group.text("phase_pearson", 4),
                     group.text("residual", 4), group.text("train_s", 0)});
  StudyReport out;
  out.table =
      io::markdown_table({"gridsize", "patterns", "metric 1 (in group)", "metric 2 (images)", "metric 3 (groups)",
                          "contrast", "amplitude SSIM", "phase Pearson", "R", "training s"},
                         lines);
  io::Figure figure("Quality over overlap");
  for (const auto& [key, title] : {std::pair{"contrast", "Contrast"}, {"amplitude_ssim", "SSIM of the amplitude"}}) {
    io::CurvePanel panel{
        .title = title, .x_label = "metric 2: mean overlap with the 6 nearest patterns", .y_label = key};
    for (const double gridsize : {1, 2}) {
      panel.curves.push_back(curve_over(
          groups, fmt::format("gridsize {:.0f}", gridsize),
          [&](const SeedGroup& group) { return group.number("gridsize") == gridsize; },
          [](const SeedGroup& group) { return group.mean("metric_2_image_based_avg"); }, key));
    }
    figure.add(std::move(panel));
  }
  out.figures.push_back({"overlap.png", "Quality over overlap, single patterns and groups of four.", figure});
  return out;
}

}  // namespace

Study make_overlap(const StudyConfig& config) {
  Study study;
  study.name = "overlap";
  study.title = fmt::format("Quality over overlap{}", config.quick ? ", quick" : "");
  const SimulatedPair pair = two_objects(make_subject(config).simulation);
  if (const int64_t least = 4 * shares(config).back(); pair.train.patterns < least)
    throw UsageError(
        fmt::format("--patterns {}: a group needs four, and the study takes 1/{} of them; expected {} or "
                    "more",
                    pair.train.patterns, shares(config).back(), least));
  const TrainConfig typical = subject_network(config, 0);
  study.notes.push_back(fmt::format(
      "Random scans of {} patterns and the first 1/2, 1/4, ... of them, over two different objects: one to train, one "
      "to test. Every network (width {:g}, batch {}) takes the steps of {} epochs of all patterns. Overlap is of discs "
      "with the probe's effective area, on the test scan; K = 6.",
      pair.train.patterns, typical.filters_scale, typical.batch, typical.epochs));
  const Settings data = settings_of(pair);
  for (const int64_t gridsize : {1, 2})
    for (const int64_t share : shares(config))
      for (int64_t k = 0; k < config.seeds; ++k) {
        TrainConfig t = subject_network(config, config.seed + static_cast<uint64_t>(k));
        t.gridsize = gridsize;
        t.frames = fmt::format("0:{}", pair.train.patterns / share);
        t.epochs *= share;
        const ReconstructConfig r{.frames = t.frames};
        study.arms.push_back({fmt::format("gs{}_1of{}_seed{}", gridsize, share, t.seed),
                              data + settings_of(t) + settings_of(r),
                              [=](const ArmContext& context) { return run(context, pair, t, r, share); }});
      }
  study.report = [](const std::vector<io::ArmResult>& arms, const std::string&) { return report(arms); };
  return study;
}

}  // namespace ptyfuse::studies
