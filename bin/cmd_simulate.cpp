#include <cstdio>

#include "bin/command.h"
#include "engine/simulate_options.h"

namespace ptyfuse::cli {
namespace {

class SimulateCommand : public Command {
 public:
  const char* name() const override { return "simulate"; }
  const char* summary() const override { return "Simulate a ptychographic scan of a known object, with photon noise."; }
  const char* lesson() const override {
    return "The scan file holds the true object, so that 'evaluate' can compare a reconstruction with it.\n\n"
           "Examples:\n"
           "  ptyfuse simulate -o TRAIN.h5   # a raster over an image of random lines\n"
           "  ptyfuse simulate -o TEST.h5 --object-seed 2 --seed 1   # another object for testing\n"
           "  ptyfuse simulate -o SCAN.h5 --object siemens --scan random --patterns 3000 --photons 1e5 --phase tanh\n"
           "  ptyfuse simulate -o SCAN.h5 --probe PROBE.h5:probe --probe-pipeline 'pad_extrapolate:64|smooth:0.5'\n";
  }
  void declare(CLI::App& app) override {
    add_output(app, output_, force_, "scan file (HDF5)");
    add_table(app, simulate_options(config_));
  }
  int run() override {
    check_outputs({output_}, force_, {config_.object_file, config_.probe});
    for (const auto& [option, scan] : {std::pair{"patterns", ScanKind::random}, {"step-px", ScanKind::grid}})
      if (was_given(option) && config_.scan != scan)
        make_control().say(std::string("--") + option + " has no effect here: it is of --scan " +
                           (scan == ScanKind::grid ? "grid" : "random"));
    const Device device = make_device();
    const SimulateSummary s = simulate(device, config_, output_, force_, make_control());
    std::printf("%s: %lld patterns of %lld x %lld pixels", output_.c_str(), static_cast<long long>(s.patterns),
                static_cast<long long>(config_.side_px), static_cast<long long>(config_.side_px));
    if (s.groups > 0) std::printf(" in %lld groups", static_cast<long long>(s.groups));
    std::printf(", %.3g photons each; intensity scale %.6g\n", config_.photons, s.intensity_scale);
    return 0;
  }

 private:
  std::string output_;
  bool force_ = false;
  SimulateConfig config_;
};

}  // namespace

std::unique_ptr<Command> make_simulate_command() {
  return std::make_unique<SimulateCommand>();
}

}  // namespace ptyfuse::cli
