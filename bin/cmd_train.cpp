#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "bin/command.h"
#include "bin/scan_hints.h"
#include "engine/run_folder.h"
#include "engine/scan_set.h"
#include "engine/train_options.h"
#include "io/file_error.h"
#include "io/file_kind.h"

namespace ptyfuse::cli {
namespace {

// Settings that may change when a run goes on: they do not alter what a step computes (but see epochs below).
constexpr const char* may_change[] = {"epochs", "checkpoint-every", "host-memory", "device-memory", "early-stopping",
                                      "scans",  "recompute"};

// What these values leave to the program is decided once, at the start, and stored as decided: to ask for it again is
// to ask for the same.
constexpr std::pair<const char*, const char*> decided_at_start[] = {
    {"N", "0"}, {"clip-at", "auto"}, {"pad-object", "auto"}, {"photons", "auto"}, {"precision", "auto"}};

class TrainCommand : public Command {
 public:
  const char* name() const override { return "train"; }
  const char* summary() const override {
    return "Train a network that turns diffraction patterns into object patches, from the patterns alone.";
  }
  const char* lesson() const override {
    return "The probe must be known (the scan's, or --probe); everything else is learned. RUN becomes a folder with "
           "the\n"
           "model (model.h5), the best epoch's (best.h5), its settings (config.toml), the learning curve "
           "(history.csv,\n"
           "history.png) and log.txt.\n"
           "Ctrl-C saves and stops; the same command with --resume goes on, bit for bit.\n\n"
           "Examples:\n"
           "  ptyfuse train SCAN.h5 -o RUN   # the defaults: groups of four, 50 epochs\n"
           "  ptyfuse train SCAN.h5 -o RUN --gridsize 1 --filters-scale 0.5 --epochs 8 --batch 4 --schedule cosine\n"
           "                                                            minutes on two cores\n"
           "  ptyfuse train SCAN.h5 -o RUN --probe REFINED.h5:probe   # with a probe found by 'refine --update-probe'\n"
           "  ptyfuse train -o RUN --resume   # go on after a stop\n";
  }
  void declare(CLI::App& app) override {
    app.add_option("SCAN", scans_, "scan files (ptyfuse scans or PtychoPINN NPZ)")->type_name("FILE");
    app.add_option("-o,--output", output_, "folder of the run")->required()->type_name("RUN");
    app.add_flag("--resume", resume_, "go on with the run in the folder");
    add_table(app, scan_hint_options(hints_), scan_hint_group);
    add_table(app, train_options(config_));
  }

  int run() override {
    RunFolder folder(output_, resume_);
    io::Checkpoint stored;
    const bool have_model = resume_ && folder.holds_checkpoint();
    if (resume_) take_stored_settings(folder, have_model, stored);
    if (!scans_.empty()) train_options(config_).apply({{"scans", file_list(scans_)}});
    if (config_.scans.empty()) throw UsageError("no scan was named: ptyfuse train SCAN.h5 -o RUN");

    const Device device = make_device(config_.device_memory_bytes);
    RunControl control = make_control();
    log_into(folder, control);
    Trainer trainer(device, config_, join_scans(open_scans()), control);
    if (have_model) trainer.restore(stored);
    folder.write_config(trainer, fmt::format("threads = {}\ndevice = \"{}\"\n", device.threads(), device.name()) +
                                     scan_hint_options(hints_).to_toml());
    const int64_t members = trainer.network().config().members();
    control.say(fmt::format("{} groups of {} pattern{}, {} parameters, {} steps an epoch", trainer.group_count(),
                            members, members == 1 ? "" : "s", trainer.network().parameter_count(),
                            trainer.steps_per_epoch()));
    trainer.run([&](const Trainer& t) { folder.save(t); });
    if (trainer.history().empty()) return 0;
    const HistoryRow& last = trainer.history().back();
    std::printf("%s: %lld epoch%s, loss %.6g, %.0f patterns/s\n", folder.model_path().c_str(),
                static_cast<long long>(last.epoch), last.epoch == 1 ? "" : "s", last.loss, last.patterns_per_s);
    return 0;
  }

 private:
  std::vector<std::unique_ptr<io::ScanReader>> open_scans() const {
    std::vector<std::unique_ptr<io::ScanReader>> scans;
    for (const std::string& file : files_of_list(config_.scans)) scans.push_back(open_scan(file, hints_));
    return scans;
  }

  static void log_into(const RunFolder& folder, RunControl& control) {
    const RunControl shown = control;
    control.notice = [folder, shown](const std::string& line) {
      folder.log(line);
      shown.say(line);
    };
    control.progress = [folder, shown](const ProgressEvent& event) {
      if (!event.message.empty()) folder.log(event.message);
      shown.report(event);
    };
  }

  // A resumed run keeps its settings; the command line may repeat them, or change those that do not alter a step.
  void take_stored_settings(const RunFolder& folder, bool have_model, io::Checkpoint& stored) {
    TrainConfig given = config_;
    config_ = TrainConfig();
    std::vector<std::pair<std::string, std::string>> training, surroundings;
    const OptionTable table = train_options(config_);
    constexpr int64_t most_bytes = 1 << 24;
    const std::string stored_config = folder.path() + "/config.toml";
    for (auto& entry : OptionTable::parse_toml(io::read_whole(stored_config, most_bytes), stored_config)) {
      const bool ours = std::any_of(table.options().begin(), table.options().end(),
                                    [&](const Option& o) { return o.name == entry.first; });
      (ours ? training : surroundings).push_back(std::move(entry));
    }
    apply_unless_given(surroundings);  // threads, device, what the scan leaves open
    if (have_model) {
      stored = read_model(folder.path());
      config_ = parse_train_config(stored.config, folder.model_path());
    } else {
      table.apply(training);
    }
    const OptionTable ours = train_options(config_), theirs = train_options(given);
    for (size_t i = 0; i < ours.options().size(); ++i) {
      const Option &now = ours.options()[i], &wanted = theirs.options()[i];
      if (!was_given(now.name) || now.get() == wanted.get()) continue;
      bool allowed = false, decided = false;
      for (const auto& [name, value] : decided_at_start)
        decided = decided || (wanted.name == name && wanted.get() == value);
      if (decided) continue;
      for (const char* name : may_change) allowed = allowed || now.name == name;
      if (!allowed)
        throw UsageError("--" + now.name + " " + wanted.get() + ": the run in " + folder.path() + " was started with " +
                         now.get() + "; leave it out, or start another run");
      if (now.name == "epochs" && config_.schedule == Schedule::cosine && stored.step > 0)
        throw UsageError("--epochs " + wanted.get() + ": the cosine schedule of the run in " + folder.path() +
                         " falls over its " + now.get() +
                         " epochs, so that another number would alter its steps; leave it out, or start another run");
      now.set(wanted.get());
    }
  }

  std::vector<std::string> scans_;
  std::string output_;
  bool resume_ = false;
  io::ScanHints hints_;
  TrainConfig config_;
};

}  // namespace

std::unique_ptr<Command> make_train_command() {
  return std::make_unique<TrainCommand>();
}

}  // namespace ptyfuse::cli
