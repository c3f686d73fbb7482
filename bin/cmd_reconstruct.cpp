#include <fmt/format.h>

#include <cstdio>

#include "bin/command.h"
#include "bin/scan_hints.h"
#include "engine/pictures.h"
#include "engine/reconstructor.h"
#include "engine/run_folder.h"

namespace ptyfuse::cli {
namespace {

class ReconstructCommand : public Command {
 public:
  const char* name() const override { return "reconstruct"; }
  const char* summary() const override { return "Reconstruct the object of a scan with a trained network."; }
  const char* lesson() const override {
    return "The network gives a patch for every group of patterns; the patches are stitched. --polish K adds K sweeps "
           "of\n"
           "iterative refinement, which suits dense scans. R, printed at the end, is the share of the measured "
           "amplitude\n"
           "that the result does not explain (0.05 to 0.2 is usual; lower is better). Ctrl-C during the sweeps writes\n"
           "the object so far.\n\n"
           "Examples:\n"
           "  ptyfuse reconstruct RUN SCAN.h5 -o RECON.h5 --png RECON.png\n"
           "  ptyfuse reconstruct RUN SCAN.h5 -o RECON.h5 --polish 2\n"
           "  ptyfuse reconstruct RUN SCAN.h5 -o RECON.h5 --frames 0:500:2   # every second of the first 500 frames\n";
  }
  void declare(CLI::App& app) override {
    app.add_option("RUN", model_, "folder of a training run, or its model.h5")->required()->type_name("FOLDER");
    app.add_option("SCAN", scan_, "scan file")->required()->type_name("FILE");
    add_output(app, output_, force_, "reconstruction file (HDF5)");
    app.add_option("--png", picture_, "picture of amplitude and phase")->type_name("FILE");
    add_table(app, scan_hint_options(hints_), scan_hint_group);
    add_table(app, reconstruct_options(config_));
  }
  int run() override {
    check_outputs({output_, picture_}, force_);
    const io::Checkpoint model = read_model(model_);
    const Device device = make_device(config_.device_memory_bytes);
    Reconstructor reconstructor(device, model, config_);
    const io::Reconstruction result = reconstructor.run([&] { return io::open_scan(scan_, hints_); }, make_control());
    io::write_reconstruction(output_, result, force_);
    if (!picture_.empty()) reconstruction_page(scan_, result).write_png(picture_, force_);
    const auto sweeps = static_cast<int64_t>(result.residual.size()) - 1;
    if (config_.polish_sweeps > 0 && sweeps < config_.polish_sweeps)
      throw Error(ErrorKind::cancelled, fmt::format("{} holds {}, after {} of {} polishing sweeps", output_,
                                                    sweeps > 0 ? "the polished object" : "the network's object", sweeps,
                                                    config_.polish_sweeps));
    std::printf("%s: object of %lld x %lld pixels from %lld patterns in %.2f s (%.0f patterns/s)\n", output_.c_str(),
                static_cast<long long>(result.object.height), static_cast<long long>(result.object.width),
                static_cast<long long>(result.pattern_count), result.seconds,
                static_cast<double>(result.pattern_count) / result.seconds);
    if (!result.residual.empty()) {
      std::printf("R of the network's object: %.4f\n", result.residual.front());
      if (result.residual.size() > 1)
        std::printf("R after %zu polishing sweeps: %.4f\n", result.residual.size() - 1, result.residual.back());
    }
    return 0;
  }

 private:
  std::string model_, scan_, output_, picture_;
  bool force_ = false;
  io::ScanHints hints_;
  ReconstructConfig config_;
};

}  // namespace

std::unique_ptr<Command> make_reconstruct_command() {
  return std::make_unique<ReconstructCommand>();
}

}  // namespace ptyfuse::cli
