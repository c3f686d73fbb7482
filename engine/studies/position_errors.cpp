// How wrong may the positions be? (study positions)
#include <fmt/format.h>

#include "engine/random.h"
#include "engine/studies/over_seeds.h"
#include "engine/studies/study_pictures.h"
#include "engine/studies/subject.h"

namespace ptyfuse::studies {
namespace {

std::vector<double> errors_px(const StudyConfig& config) {
  if (config.quick) return {0, 1, 4};
  return {0, 0.25, 0.5, 1, 2, 4};
}

std::string network_name(int64_t gridsize) {
  return fmt::format("network, gridsize {}", gridsize);
}

/// The subject with a normal error of this rms on each coordinate of what the positions are said to be.
ScanOpener misplaced(const PreparedSubject& it, double rms_px) {
  io::ScanInfo info = it.info;
  Random random(1);
  for (auto& position : info.positions_px)
    for (double& coordinate : position) coordinate += rms_px * random.normal();
  return [plain = it.open, info] { return with_info(plain(), info); };
}

io::Row labels(double rms_px, const std::string& method, double seconds) {
  return {{"position_error_px", rms_px}, {"method", method}, {"seconds", seconds}};
}

ArmOutcome run_flat(const ArmContext& context, const Subject& subject, double rms_px, const RefineConfig& config) {
  const PreparedSubject it = prepare(context, subject);
  const io::Reconstruction object = refine_flat(context, config, {}, misplaced(it, rms_px));
  ArmOutcome out;
  record(context, out, labels(rms_px, flat, object.seconds), evaluate_widened(object, it.truth, it.evaluation));
  return out;
}

ArmOutcome run_network(const ArmContext& context, const Subject& subject, double rms_px, const TrainConfig& config,
                       const ReconstructConfig& reconstruction) {
  const PreparedSubject it = prepare(context, subject);
  const ScanOpener open = misplaced(it, rms_px);
  const Training training = train(context, config, open);
  const io::Reconstruction object = reconstruct(context, training.model, reconstruction, open);
  ArmOutcome out;
  record(context, out, labels(rms_px, network_name(config.gridsize), training.seconds + object.seconds),
         evaluate_widened(object, it.truth, it.evaluation));
  return out;
}

StudyReport report(const std::vector<io::ArmResult>& arms) {
  const std::vector<SeedGroup> groups = over_seeds(arms, {"position_error_px", "method"});
  std::vector<std::vector<std::string>> lines;
  for (const SeedGroup& group : groups)
    lines.push_back({group.label("position_error_px"), group.label("method"), group.text("contrast", 4),
                     group.text("phase_pearson", 4), group.text("amplitude_ssim", 4), group.text("residual", 4),
                     group.text("seconds", 1)});
  StudyReport out;
  out.table = io::markdown_table(
      {"position error px rms", "method", "contrast", "phase Pearson", "amplitude SSIM", "R", "seconds"}, lines);
  io::Figure figure("Contrast over the positions' error");
  io::CurvePanel panel{
      .title = "Contrast", .x_label = "position error [px rms, each coordinate]", .y_label = "contrast"};
  for (const std::string& method : {std::string(flat), network_name(1), network_name(2)})
    panel.curves.push_back(method_curve(groups, method, "position_error_px", "contrast"));
  figure.add(std::move(panel));
  out.figures.push_back({"positions.png", "Contrast over the positions' error.", figure});
  return out;
}

}  // namespace

Study make_position_errors(const StudyConfig& config) {
  const Subject subject = make_subject(config);
  const Settings data = settings_of(subject);
  Study study;
  study.name = "positions";
  study.title = fmt::format("Robustness to errors of the positions{}", config.quick ? ", quick" : "");
  study.notes = {
      "Scan: " + words_of(subject) + ".",
      fmt::format("Training, stitching and iteration ({} sweeps) all have the wrong positions; the comparison "
                  "is with the object where it truly lies, not registered.",
                  flat_sweeps)};
  const RefineConfig from_flat{.sweeps = flat_sweeps};
  const ReconstructConfig r;
  for (const double rms_px : errors_px(config)) {
    const Settings own{{"position-error-px", fmt::format("{}", rms_px)}};
    study.arms.push_back({fmt::format("flat_{:g}px", rms_px), data + own + settings_of(from_flat),
                          [=](const ArmContext& context) { return run_flat(context, subject, rms_px, from_flat); }});
    for (const int64_t gridsize : {1, 2})
      for (int64_t k = 0; k < config.seeds; ++k) {
        TrainConfig t = subject_network(config, config.seed + static_cast<uint64_t>(k));
        t.gridsize = gridsize;
        study.arms.push_back({fmt::format("gs{}_{:g}px_seed{}", gridsize, rms_px, t.seed),
                              data + settings_of(t) + settings_of(r) + own,
                              [=](const ArmContext& context) { return run_network(context, subject, rms_px, t, r); }});
      }
  }
  study.report = [](const std::vector<io::ArmResult>& arms, const std::string&) { return report(arms); };
  return study;
}

}  // namespace ptyfuse::studies
