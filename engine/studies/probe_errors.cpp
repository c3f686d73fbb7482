// How wrong may the probe be? Defocus and amplitude errors (study probe).
#include "engine/studies/probe_errors.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/dft.h"
#include "engine/gaussian_filter.h"
#include "engine/random.h"
#include "engine/studies/over_seeds.h"
#include "engine/studies/study_pictures.h"
#include "engine/studies/subject.h"

namespace ptyfuse::studies {
namespace {

enum class Fault { none, defocus, amplitude };

struct ProbeError {
  Fault fault = Fault::none;
  double size = 0;
};
const char* name_of(Fault fault) {
  return fault == Fault::none ? "none" : fault == Fault::defocus ? "defocus" : "amplitude";
}

std::vector<ProbeError> errors(const StudyConfig& config) {
  std::vector<ProbeError> out{{Fault::none, 0}};
  for (const double size : config.quick ? std::vector{1.0, 4.0} : std::vector{0.5, 1.0, 2.0, 4.0, 8.0})
    out.push_back({Fault::defocus, size});
  for (const double size : config.quick ? std::vector{0.1, 0.4} : std::vector{0.05, 0.1, 0.2, 0.4})
    out.push_back({Fault::amplitude, size});
  return out;
}

constexpr const char *network_alone = "network", *polished = "network + sweeps",
                     *mended = "network + sweeps with the probe";

ArmOutcome run(const ArmContext& context, const Subject& subject, const ProbeError& error, const TrainConfig& config,
               const ReconstructConfig& reconstruction, RefineConfig refinement) {
  PreparedSubject it = prepare(context, subject);
  const io::ComplexImage exact = it.info.probe;
  if (error.fault == Fault::defocus) it.info.probe = defocused(exact, error.size);
  if (error.fault == Fault::amplitude) it.info.probe = with_amplitude_error(exact, error.size, 1);
  const ScanOpener open = [plain = it.open, info = it.info] { return with_info(plain(), info); };
  const Training training = train(context, config, open);
  const io::Reconstruction object = reconstruct(context, training.model, reconstruction, open);
  ArmOutcome out;
  const auto add = [&](const char* method, const io::Reconstruction& r, const std::string& suffix) {
    record(context, out,
           {{"error", std::string(name_of(error.fault))},
            {"size", error.size},
            {"method", std::string(method)},
            {"seed", static_cast<double>(config.seed)},
            {"probe_difference", relative_difference(it.info.probe, exact)},
            {"train_s", training.seconds}},
           evaluate_widened(r, it.truth, it.evaluation), suffix);
  };
  add(network_alone, object, "");
  add(polished, refine_on(context, refinement, object, open), "_polished");
  refinement.update_probe = true;
  add(mended, refine_on(context, refinement, object, open), "_mended");
  return out;
}

StudyReport report(const std::vector<io::ArmResult>& arms) {
  const std::vector<SeedGroup> groups = over_seeds(arms, {"error", "size", "method"});
  std::vector<std::vector<std::string>> lines;
  for (const SeedGroup& group : groups)
    lines.push_back({group.label("error"), group.label("size"), group.text("probe_difference", 3),
                     group.label("method"), group.text("contrast", 4), group.text("phase_pearson", 4),
                     group.text("amplitude_ssim", 4), group.text("residual", 4)});
  StudyReport out;
  out.table = io::markdown_table(
      {"error", "size", "probe's relative difference", "method", "contrast", "phase Pearson", "amplitude SSIM", "R"},
      lines);
  io::Figure figure("Contrast over the probe's error");
  for (const auto& [fault, label] : {std::pair{Fault::defocus, "defocus [rad at the rms frequency]"},
                                     {Fault::amplitude, "relative amplitude error, rms"}}) {
    io::CurvePanel panel{.title = name_of(fault), .x_label = label, .y_label = "contrast"};
    std::vector<SeedGroup> ours;
    for (const SeedGroup& group : groups)
      if (group.label("error") == name_of(fault) || group.label("error") == name_of(Fault::none)) ours.push_back(group);
    for (const char* method : {network_alone, polished, mended})
      panel.curves.push_back(method_curve(ours, method, "size", "contrast"));
    figure.add(std::move(panel));
  }
  out.figures.push_back({"probe.png", "Contrast over the probe's error.", figure});
  return out;
}

}  // namespace

io::ComplexImage defocused(const io::ComplexImage& probe, double phase_rad) {
  io::ComplexImage out = probe;
  const int64_t h = probe.height, w = probe.width;
  for (int64_t mode = 0; mode < probe.depth; ++mode) {
    const auto first = out.data.begin() + mode * h * w;
    std::vector<std::complex<double>> field(first, first + h * w);
    dft2(field, h, w, Direction::forward);
    const auto squared = [&](int64_t i) {
      const double fy = static_cast<double>(dft_frequency(i / w, h)) / static_cast<double>(h);
      const double fx = static_cast<double>(dft_frequency(i % w, w)) / static_cast<double>(w);
      return fy * fy + fx * fx;
    };
    double power = 0, spread = 0;
    for (int64_t i = 0; i < h * w; ++i) {
      power += std::norm(field[static_cast<size_t>(i)]);
      spread += std::norm(field[static_cast<size_t>(i)]) * squared(i);
    }
    const double mean_square = power > 0 ? spread / power : 0;
    if (mean_square > 0)
      for (int64_t i = 0; i < h * w; ++i)
        field[static_cast<size_t>(i)] *= std::polar(1.0, phase_rad * squared(i) / mean_square);
    dft2(field, h, w, Direction::inverse);
    for (int64_t i = 0; i < h * w; ++i)
      first[i] = std::complex<float>(field[static_cast<size_t>(i)] / static_cast<double>(h * w));
  }
  return out;
}

io::ComplexImage with_amplitude_error(const io::ComplexImage& probe, double rms, uint64_t seed) {
  constexpr double correlation_px = 2;
  Random random(seed);
  std::vector<double> noise(static_cast<size_t>(probe.height * probe.width));
  for (double& value : noise) value = random.normal();
  noise = gaussian_filter(noise, probe.height, probe.width, correlation_px);
  double squares = 0;
  for (const double value : noise) squares += value * value;
  const double scale = rms / std::sqrt(squares / static_cast<double>(noise.size()));
  io::ComplexImage out = probe;
  for (size_t i = 0; i < out.data.size(); ++i)
    out.data[i] *= static_cast<float>(std::max(0.0, 1 + scale * noise[i % noise.size()]));
  return out;
}

double relative_difference(const io::ComplexImage& probe, const io::ComplexImage& exact) {
  std::complex<double> inner = 0;
  double own = 0, other = 0;
  for (size_t i = 0; i < exact.data.size(); ++i) {
    const std::complex<double> p = probe.data[i], e = exact.data[i];
    inner += std::conj(p) * e;
    own += std::norm(p);
    other += std::norm(e);
  }
  return std::sqrt(std::max(0.0, 1 - std::norm(inner) / (own * other)));
}

Study make_probe_errors(const StudyConfig& config) {
  const Subject subject = make_subject(config);
  const Settings data = settings_of(subject);
  Study study;
  study.name = "probe";
  study.title = fmt::format("Robustness to errors of the probe{}", config.quick ? ", quick" : "");
  study.notes = {
      "Scan: " + words_of(subject) + ".",
      fmt::format(
          "Defocus: a phase over the probe's spectrum that grows with the square of the frequency and has this "
          "many rad at the rms frequency. Amplitude: |P| times 1 + noise of this rms, smooth over 2 px. Then {} "
          "sweeps, with the wrong probe or refining it along.",
          config.sweeps)};
  const ReconstructConfig r;
  const RefineConfig refinement{.sweeps = config.sweeps};
  for (const ProbeError& error : errors(config))
    for (int64_t k = 0; k < config.seeds; ++k) {
      const TrainConfig t = subject_network(config, config.seed + static_cast<uint64_t>(k));
      const Settings own{{"error", name_of(error.fault)}, {"size", fmt::format("{}", error.size)}};
      study.arms.push_back({fmt::format("{}_{:g}_seed{}", name_of(error.fault), error.size, t.seed),
                            data + settings_of(t) + settings_of(r) + settings_of(refinement) + own,
                            [=](const ArmContext& context) { return run(context, subject, error, t, r, refinement); }});
    }
  study.report = [](const std::vector<io::ArmResult>& arms, const std::string&) { return report(arms); };
  return study;
}

}  // namespace ptyfuse::studies
