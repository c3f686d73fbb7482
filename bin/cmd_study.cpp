#include <algorithm>
#include <cstdio>

#include "bin/command.h"
#include "bin/suggestion.h"
#include "engine/studies/runner.h"

namespace ptyfuse::cli {
namespace {

class StudyCommand : public Command {
 public:
  const char* name() const override { return "study"; }
  const char* summary() const override {
    return "Measure a claim of the method: arms trained and compared, tables and figures.";
  }
  const char* lesson() const override {
    return "STUDY is one of\n"
           "  sim-lines   the published table: gridsize 1 and 2, ideal and measured probe, on simulated lines\n"
           "  dose        Poisson likelihood against amplitude error over 1e3 to 1e9 photons\n"
           "  overlap     quality over the overlap of neighbours, gridsize 1 and 2\n"
           "  compare     several reconstructions of one scan side by side (--scan, --inputs)\n"
           "  sparse      network, iteration or both, over the number of frames\n"
           "  probe, positions, data   how wrong the probe or the positions may be, how much data training takes\n"
           "DIR becomes a folder: report.md (table, findings, figures), results.csv, results.json, and for each arm\n"
           "arms/NAME.json, .npz and .png. An arm that is done is not done again: after Ctrl-C or a failure the same\n"
           "command goes on, and --seeds 3 after --seeds 1 adds two. Other settings need another DIR, or --force,\n"
           "which does every arm anew. Without --quick a study is hours of work on a CPU. Of several devices\n"
           "(--device cuda:0,cuda:1) each does one arm at a time; cpu,cpu does two with half of the threads each.\n\n"
           "Examples:\n"
           "  ptyfuse study sim-lines -o LINES --quick --probe PROBE.h5:probe\n"
           "  ptyfuse study sim-lines -o PUBLISHED --as-published --seeds 3 --device cuda:0,cuda:1\n"
           "  ptyfuse study dose -o DOSE --quick\n"
           "  ptyfuse study sparse -o SPARSE --quick --scan SCAN.h5 --crop 68:396,68:396\n"
           "  ptyfuse study compare -o COMPARED --scan SCAN.h5 --inputs ours=RUN iterated=R.h5\n";
  }
  void declare(CLI::App& app) override {
    app.add_option("STUDY", study_, "which study")->required()->type_name("NAME");
    app.add_option("-o,--output", output_, "folder of the study; one that holds it goes on")
        ->required()
        ->type_name("DIR");
    app.add_flag("--force", force_, "do every arm anew");
    inputs_ = app.add_option("--inputs", config_.inputs, "compare: reconstruction files, run folders, objects")
                  ->type_name("[NAME=]FILE");
    add_table(app, studies::study_options(config_));
  }
  bool takes_several_devices() const override { return true; }
  int run() override {
    const studies::Study study = studies::make_study(checked_name(), config_);
    const std::vector<Device> devices = make_devices();
    const studies::RunOutcome outcome = studies::run_study(study, output_, force_, devices, make_control());
    if (!outcome.arms.empty()) {
      std::printf("%s\n\n%s\n", study.title.c_str(), outcome.report.table.c_str());
      for (const std::string& note : outcome.report.notes) std::printf("%s\n", note.c_str());
      std::printf("%s/report.md: %zu of %zu arms\n", output_.c_str(), outcome.arms.size(), study.arms.size());
    }
    if (outcome.failed.empty()) return 0;
    std::string why;
    for (const auto& [arm, reason] : outcome.failed) why += "\n  " + arm + ": " + reason;
    throw Error(ErrorKind::shape,
                std::to_string(outcome.failed.size()) + " of " + std::to_string(study.arms.size()) +
                    " arms failed; the others are kept, and the same command tries these again:" + why);
  }

 private:
  /// The study's name, once every option given is one that it has.
  const std::string& checked_name() const {
    std::vector<std::string> names;
    for (const studies::StudyEntry& entry : studies::study_entries()) {
      names.emplace_back(entry.name);
      if (entry.name != study_) continue;
      const auto takes = [&](const std::string& option) {
        return std::find(entry.options.begin(), entry.options.end(), option) != entry.options.end();
      };
      studies::StudyConfig copy;
      const OptionTable table = studies::study_options(copy);
      for (const Option& option : table.options())
        if (option.name != "seed" && was_given(option.name) && !takes(option.name))
          throw UsageError("--" + option.name + " has no meaning for 'study " + study_ + "'; leave it out");
      if (inputs_->count() > 0 && !takes("inputs"))
        throw UsageError("--inputs has no meaning for 'study " + study_ + "'; leave it out");
      return study_;
    }
    if (const std::string nearest = suggestion(study_, names); !nearest.empty())
      throw UsageError("'" + study_ + "' is not a study" + nearest);
    return study_;
  }

  std::string study_, output_;
  bool force_ = false;
  CLI::Option* inputs_ = nullptr;
  studies::StudyConfig config_;
};

}  // namespace

std::unique_ptr<Command> make_study_command() {
  return std::make_unique<StudyCommand>();
}

}  // namespace ptyfuse::cli
