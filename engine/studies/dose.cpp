// Quality over the number of photons, by the Poisson likelihood and by the amplitudes' error (section 9, Dose).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/studies/over_seeds.h"
#include "engine/studies/simulated_pair.h"
#include "engine/studies/study_pictures.h"
#include "engine/studies/subject.h"

namespace ptyfuse::studies {
namespace {

/// The claim is about this dose, and MAE at ten times as much.
constexpr double claim_photons = 1e4;
/// Step of the paper's test raster, and side of the squares that it stitches.
constexpr int64_t published_step_px = 10;

std::vector<double> doses(const StudyConfig& config) {
  if (config.quick) return {1e3, 1e4, 1e5, 1e9};
  return {1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
}

SimulatedPair scans(double photons, const StudyConfig& config) {
  SimulateConfig s;
  s.photons = photons;
  if (config.as_published) {  // the paper's notebook
    s.gridsize = 2;
    s.side_px = 128;
    s.images = config.quick ? 1 : 2;
    s.probe_scale = 10;
  } else {  // its script
    s.scan = ScanKind::random;
    s.size_px = 128;
    s.margin_px = 15;
    s.patterns = config.quick ? 500 : 2000;
  }
  if (config.size_px > 0) s.size_px = config.size_px;
  if (config.patterns > 0) s.patterns = config.patterns;
  SimulatedPair pair = two_objects(s);
  pair.raised_lines = !config.as_published;
  if (config.as_published)
    pair.test.step_px = published_step_px;
  else
    pair.test.patterns = 128;
  return pair;
}

TrainConfig network(bool nll, const StudyConfig& config, uint64_t seed) {
  TrainConfig t;
  t.gridsize = 2;
  t.seed = seed;
  t.nll_weight = nll ? 1 : 0;
  t.mae_weight = nll ? 0 : 1;
  if (config.as_published) {
    t.epochs = 60;
    t.probe_big = false;
    t.probe_mask = true;
    t.probe_scale = 10;
    t.pad_object = Toggle::on;
    t.border_activation = BorderActivation::swish;
    t.initialisation = Initialisation::glorot;
    t.merge_weight = MergeWeight::square;
    t.merge_border = 0;
  } else {
    t.epochs = 50;
    t.neighbors = 7;
    t.schedule = Schedule::cosine;
  }
  if (config.quick) {
    t.filters_scale = 0.5;
    t.epochs = config.as_published ? 2 : 8;
    t.batch = 4;
    if (config.as_published) t.groups = 500;
  }
  take_given(config, t);
  return t;
}

ReconstructConfig stitching(const StudyConfig& config) {
  ReconstructConfig r;
  r.report_residual = false;
  if (config.as_published) {
    r.stitch = StitchRule::crop;
    r.crop_px = published_step_px;
  }
  return r;
}

ArmOutcome run(const ArmContext& context, const SimulatedPair& pair, const TrainConfig& config,
               const ReconstructConfig& reconstruction) {
  const PairFiles files = simulate_pair(context, pair);
  const Training training = train(context, config, opener(files.train));
  const io::Reconstruction object = reconstruct(context, training.model, reconstruction, opener(files.test));
  EvaluationConfig evaluation;
  // Groups of few random positions leave the rim bare; a raster does not, and has section 8's region.
  if (pair.test.scan == ScanKind::random)
    evaluation.crop = inner_region(io::open_scan(files.test)->info().positions_px);
  ArmOutcome out;
  record(context, out,
         {{"loss", std::string(config.nll_weight > 0 ? "nll" : "mae")},
          {"photons", pair.train.photons},
          {"seed", static_cast<double>(config.seed)},
          {"train_s", training.seconds},
          {"groups", static_cast<double>(training.groups)},
          {"epochs", static_cast<double>(training.epochs())}},
         evaluate_widened(object, truth_of(files.test), evaluation));
  return out;
}

const SeedGroup* find(const std::vector<SeedGroup>& groups, const char* loss, double photons) {
  for (const SeedGroup& group : groups)
    if (group.label("loss") == loss && group.number("photons") == photons) return &group;
  return nullptr;
}

io::Curve over_dose(const std::vector<SeedGroup>& groups, const char* loss, const char* figure) {
  return curve_over(
      groups, loss, [&](const SeedGroup& group) { return group.label("loss") == loss; },
      [](const SeedGroup& group) { return group.number("photons"); }, figure);
}

/// The dose at which a curve first reaches a level, between its points along the dose's logarithm; NaN where it does
/// not.
double dose_reaching(const io::Curve& curve, double level) {
  for (size_t i = 0; i < curve.x.size(); ++i) {
    if (!(curve.y[i] >= level)) continue;
    if (i == 0 || !(curve.y[i - 1] < level)) return curve.x[i];
    const double part = (level - curve.y[i - 1]) / (curve.y[i] - curve.y[i - 1]);
    return curve.x[i - 1] * std::pow(curve.x[i] / curve.x[i - 1], part);
  }
  return std::nan("");
}

std::string claim(const std::vector<SeedGroup>& groups, int64_t seeds) {
  const SeedGroup* nll = find(groups, "nll", claim_photons);
  const SeedGroup* mae = find(groups, "mae", claim_photons);
  const SeedGroup* mae_ten = find(groups, "mae", 10 * claim_photons);
  constexpr const char* figure = "amplitude_frc50_bin";
  if (nll == nullptr || mae == nullptr || mae_ten == nullptr || std::isnan(nll->mean(figure)) ||
      std::isnan(mae_ten->mean(figure)))
    return "The published claim, that NLL at 1e4 photons equals MAE at ten times the dose, cannot be judged: an arm "
           "that it needs is missing or its FRC50 is undefined.";
  const auto spread = [&](const SeedGroup* a, const SeedGroup* b) {
    return std::hypot(a->deviation(figure), b->deviation(figure));
  };
  // Where ten times the dose gains MAE less than a ring, or than the seeds spread, noise is not what limits the
  // networks.
  const double gain = mae_ten->mean(figure) - mae->mean(figure);
  const double lead = nll->mean(figure) - mae_ten->mean(figure);
  const std::string verdict =
      !(gain >= std::max(1.0, spread(mae, mae_ten)))
          ? fmt::format(
                "the claim is not tested: ten times the dose takes MAE {:.1f} rings further, so that "
                "something else than noise limits these networks (--epochs, --filters-scale)",
                gain)
      : lead >= 0                     ? "the claim holds"
      : lead >= -spread(nll, mae_ten) ? "the claim holds within the spread of the seeds"
                                      : "the claim does not hold";
  std::string text = fmt::format(
      "Claim, as published: by FRC50, NLL at 1e4 photons equals MAE at ten times the dose. Measured here: NLL at 1e4 "
      "reaches ring {}, MAE at 1e4 ring {}, MAE at 1e5 ring {}. So here {}.",
      nll->text(figure, 1), mae->text(figure, 1), mae_ten->text(figure, 1), verdict);
  const double equal = dose_reaching(over_dose(groups, "mae", figure), nll->mean(figure));
  text += std::isnan(equal) ? " MAE reaches that ring at none of the doses."
                            : fmt::format(" MAE first reaches NLL's ring at {:.2g} photons, {:.2g} times the dose.",
                                          equal, equal / claim_photons);
  if (seeds == 1) text += " One seed: how much of this is chance is not known (--seeds K).";
  return text;
}

io::Figure six_panels(const std::vector<SeedGroup>& groups, const std::string& folder) {
  io::Figure figure("Amplitude by dose and loss");
  for (const double photons : {1e9, 1e4}) {
    const SeedGroup *nll = find(groups, "nll", photons), *mae = find(groups, "mae", photons);
    if (nll == nullptr || mae == nullptr) continue;
    const auto file = [&](const SeedGroup* group) { return folder + "/arms/" + group->arm() + ".npz"; };
    const FieldImage truth = stored_image(file(nll), "truth");
    const ValueRange range = range_of(truth, Channel::amplitude);
    figure.new_row();
    figure.add(image_panel("Truth", truth, Channel::amplitude, range));
    for (const auto& [name, group] : {std::pair{"NLL", nll}, {"MAE", mae}})
      figure.add(
          image_panel(fmt::format("{}, {:.0e} photons, SSIM {}", name, photons, group->first_text("amplitude_ssim", 3)),
                      stored_image(file(group), "reconstruction"), Channel::amplitude, range));
  }
  return figure;
}

io::Figure curves(const std::vector<SeedGroup>& groups) {
  io::Figure figure("Quality over dose");
  for (const auto& [key, title] : {std::pair{"amplitude_frc50_bin", "FRC50 of the amplitude [ring]"},
                                   {"amplitude_ssim", "SSIM of the amplitude"}}) {
    figure.add(io::CurvePanel{.title = title,
                              .x_label = "photons per pattern",
                              .y_label = title,
                              .log_x = true,
                              .curves = {over_dose(groups, "nll", key), over_dose(groups, "mae", key)}});
  }
  return figure;
}

StudyReport report(const std::vector<io::ArmResult>& arms, const std::string& folder, const StudyConfig& config) {
  std::vector<SeedGroup> groups = over_seeds(arms, {"loss", "photons"});
  std::stable_sort(groups.begin(), groups.end(),
                   [](const SeedGroup& a, const SeedGroup& b) { return a.number("photons") < b.number("photons"); });
  std::vector<std::vector<std::string>> lines;
  for (const SeedGroup& group : groups)
    lines.push_back({group.label("photons"), group.label("loss"), group.text("amplitude_frc50_bin", 1),
                     group.text("amplitude_ssim", 4), group.text("amplitude_ms_ssim", 4),
                     group.text("amplitude_pearson", 4), group.text("amplitude_mae", 4), group.text("train_s", 0)});
  StudyReport out;
  out.table =
      io::markdown_table({"photons", "loss", "FRC50 ring", "SSIM", "MS-SSIM", "Pearson", "MAE", "training s"}, lines);
  out.notes.push_back(claim(groups, config.seeds));
  const auto both = [&](double photons) { return find(groups, "nll", photons) && find(groups, "mae", photons); };
  if (both(1e9) || both(1e4))
    out.figures.push_back({"dose.png", "Truth and reconstructions at 1e9 and 1e4 photons, each loss's first seed.",
                           six_panels(groups, folder)});
  out.figures.push_back({"frc_over_dose.png", "FRC50 and SSIM of the amplitude over the dose.", curves(groups)});
  return out;
}

}  // namespace

Study make_dose(const StudyConfig& config) {
  Study study;
  study.name = "dose";
  study.title = fmt::format("Quality over dose{}{}", config.as_published ? ", the paper's settings" : "",
                            config.quick ? ", quick" : "");
  const TrainConfig typical = network(true, config, 0);
  study.notes.push_back(fmt::format(
      "Groups of four, networks of width {:g}, {} epochs at batch {}; figures are of the amplitude on a scan of "
      "another "
      "object.{}",
      typical.filters_scale, typical.epochs, typical.batch,
      config.quick ? " The quick form: fewer patterns, epochs and doses and a quarter of the width of the full study."
                   : ""));
  for (const double photons : doses(config))
    for (const bool nll : {true, false})
      for (int64_t k = 0; k < config.seeds; ++k) {
        const SimulatedPair pair = scans(photons, config);
        const TrainConfig t = network(nll, config, config.seed + static_cast<uint64_t>(k));
        study.arms.push_back({fmt::format("{}_{:.0e}_seed{}", nll ? "nll" : "mae", photons, t.seed),
                              settings_of(pair) + settings_of(t) + settings_of(stitching(config)),
                              [=](const ArmContext& context) { return run(context, pair, t, stitching(config)); }});
      }
  study.report = [config](const std::vector<io::ArmResult>& arms, const std::string& folder) {
    return report(arms, folder, config);
  };
  return study;
}

}  // namespace ptyfuse::studies
