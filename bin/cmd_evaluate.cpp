#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "bin/command.h"
#include "engine/evaluation.h"
#include "engine/pictures.h"
#include "io/atomic_file.h"
#include "io/file_kind.h"
#include "io/metrics_json.h"

namespace ptyfuse::cli {
namespace {

std::string number(const Measure& m, const char* form) {
  return m.value ? fmt::format(fmt::runtime(form), *m.value) : "undefined";
}

class EvaluateCommand : public Command {
 public:
  const char* name() const override { return "evaluate"; }
  const char* summary() const override { return "Compare a reconstruction with a true or reference object."; }
  const char* lesson() const override {
    return "Amplitude and phase are compared after removing what ptychography cannot know: a global phase, a scale, "
           "and a\n"
           "plane of phase. 'contrast' is the complex correlation without the means: a flat object has 0, a perfect "
           "one 1.\n"
           "FRC50 is the ring, of the Fourier ring correlation, where agreement falls below a half: higher is "
           "finer.\n\n"
           "Examples:\n"
           "  ptyfuse evaluate RECON.h5 --truth SCAN.h5 -o METRICS.json --png COMPARE.png\n"
           "  ptyfuse evaluate RECON.h5 --truth SCAN.h5 -o METRICS.json --crop 68:396,68:396 --register\n";
  }
  void declare(CLI::App& app) override {
    app.add_option("RECON", reconstruction_, "reconstruction file, or any object")
        ->required()
        ->type_name("FILE[:DATASET]");
    add_output(app, output_, force_, "metrics (JSON)");
    app.add_option("--csv", csv_, "the metrics as a table")->type_name("FILE");
    app.add_option("--frc-csv", frc_csv_, "the Fourier ring correlations as a table")->type_name("FILE");
    app.add_option("--png", picture_, "truth, reconstruction, error and FRC side by side")->type_name("FILE");
    OptionTable table;
    table.required_text("truth", truth_, "the true object (default dataset: object)", "FILE[:DATASET]");
    table.flag("register", config_.registered, "find and undo a shift first, to a fiftieth of a pixel");
    table.choice("phase-align", config_.phase_align, {{"plane", PhaseAlign::plane}, {"mean", PhaseAlign::mean}},
                 "what is taken off the phase");
    table.text("crop", crop_, "region to compare, in pixels of the truth; empty: where the scan reaches",
               "Y0:Y1,X0:X1");
    table.integer("image", config_.image, "which image of several");
    add_table(app, std::move(table));
  }
  int run() override {
    check_outputs({output_, csv_, frc_csv_, picture_}, force_, {reconstruction_, truth_});
    if (!crop_.empty()) config_.crop = crop_region();
    const io::Reconstruction reconstruction = read_object();
    const io::ComplexImage truth = io::read_complex_image(truth_, "object");
    const Evaluation e = evaluate(reconstruction, truth, config_);
    const io::MetricsReport report = metrics_report(e, reconstruction_, truth_);
    io::write_whole_file(output_, io::metrics_json(report), force_);
    if (!csv_.empty()) io::write_whole_file(csv_, io::metrics_csv(report, reconstruction_), force_);
    if (!frc_csv_.empty()) io::write_whole_file(frc_csv_, io::frc_csv(report, reconstruction_), force_);
    if (!picture_.empty()) evaluation_page(reconstruction_, e).write_png(picture_, force_);
    print(e);
    return 0;
  }

 private:
  Rectangle crop_region() const {
    try {
      return parse_crop(crop_);
    } catch (const Error& e) {
      throw UsageError(std::string("--") + e.what());
    }
  }

  io::Reconstruction read_object() const {
    std::error_code error;
    if (std::filesystem::exists(reconstruction_, error) &&
        io::file_kind(reconstruction_) == io::FileKind::reconstruction)
      return io::read_reconstruction(reconstruction_);
    io::Reconstruction other;
    other.object = io::read_complex_image(reconstruction_, "object");
    return other;
  }

  static void print(const Evaluation& e) {
    std::printf("%-12s %10s %10s\n", "", "amplitude", "phase");
    const auto row = [&](const char* name, const Measure& a, const Measure& p, const char* form) {
      std::printf("%-12s %10s %10s\n", name, number(a, form).c_str(), number(p, form).c_str());
    };
    const ChannelMetrics &a = e.comparison.amplitude, &p = e.comparison.phase;
    row("MAE", a.mae, p.mae, "{:.5f}");
    row("PSNR (dB)", a.psnr, p.psnr, "{:.2f}");
    row("SSIM", a.ssim, p.ssim, "{:.4f}");
    row("Pearson", a.pearson, p.pearson, "{:.4f}");
    row("FRC50 (bin)", a.frc50_bin, p.frc50_bin, "{:.1f}");
    std::printf("contrast     %10s\n", number(e.comparison.contrast, "{:.4f}").c_str());
    std::printf("compared     %lld x %lld pixels\n", static_cast<long long>(e.truth.height),
                static_cast<long long>(e.truth.width));
    if (e.uncovered > 0)
      std::printf(
          "not covered  %.1f %% of them: no patch reaches there, and they count with what the file holds there; --crop "
          "leaves them out\n",
          100 * e.uncovered);
  }

  std::string reconstruction_, truth_, output_, csv_, frc_csv_, picture_, crop_;
  bool force_ = false;
  EvaluationConfig config_;
};

}  // namespace

std::unique_ptr<Command> make_evaluate_command() {
  return std::make_unique<EvaluateCommand>();
}

}  // namespace ptyfuse::cli
