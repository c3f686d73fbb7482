#include <chrono>
#include <cstdio>

#include "bin/command.h"
#include "bin/scan_hints.h"
#include "engine/frame_positions.h"
#include "engine/frame_range.h"
#include "engine/pictures.h"
#include "engine/probe.h"
#include "engine/refine_options.h"
#include "engine/refine_output.h"

namespace ptyfuse::cli {
namespace {

class RefineCommand : public Command {
 public:
  const char* name() const override { return "refine"; }
  const char* summary() const override {
    return "Reconstruct or refine an object iteratively (batched rPIE), and its probe and positions if asked.";
  }
  const char* lesson() const override {
    return "Each sweep visits every frame once. R is the share of the measured amplitude that is not explained yet:\n"
           "of each sweep's frames as it met them, and after the last. Steps shorten over the sweeps asked for. Where\n"
           "R would end larger than it began, the start stays.\n"
           "Dense scans with a good probe need 2 to 5 sweeps; with --update-probe a poor probe is mended in about "
           "20. With --update-positions frames move from the third sweep on, by at most a quarter of their side; a\n"
           "start whose positions were moved keeps them. Ctrl-C stops and writes the object so far.\n\n"
           "Examples:\n"
           "  ptyfuse refine SCAN.h5 -o R.h5 --sweeps 5 --png R.png   # from a flat object\n"
           "  ptyfuse refine SCAN.h5 -o P.h5 --update-probe   # find the probe too: P.h5:probe\n"
           "  ptyfuse refine SCAN.h5 -o Q.h5 --update-positions   # where the stage was not: Q.h5:positions_px\n"
           "  ptyfuse refine SCAN.h5 -o R.h5 --start RECON.h5 --sweeps 2   # polish a reconstruction\n";
  }
  void declare(CLI::App& app) override {
    app.add_option("SCAN", scan_, "scan file")->required()->type_name("FILE");
    add_output(app, output_, force_, "reconstruction file (HDF5)");
    app.add_option("--png", picture_, "picture of amplitude, phase and R")->type_name("FILE");
    add_table(app, scan_hint_options(hints_), scan_hint_group);
    add_table(app, refine_options(setup_));
  }
  int run() override {
    check_outputs({output_, picture_}, force_, {scan_, setup_.start, setup_.probe});
    const std::unique_ptr<io::ScanReader> scan = open_scan(scan_, hints_);
    const io::ScanInfo& info = scan->info();
    const Device device = make_device(setup_.device_memory_bytes);
    const RunControl control = make_control();
    const double counts = mean_counts(device, *scan, setup_.sweeps.frames, control);
    RefineState state = starting_state(info, counts);
    const auto start = std::chrono::steady_clock::now();
    std::string stopped;
    try {
      refine(device, *scan, setup_.sweeps, state, control);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::cancelled) throw;
      stopped = e.what();
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

    io::Reconstruction result;
    result.positions_px = state.positions_px;
    result.positions_corrected = !state.positions_px.empty();
    if (!result.positions_corrected)
      for (const int64_t f : parse_frame_range(setup_.sweeps.frames, info.frames))
        result.positions_px.push_back(info.positions_px[static_cast<size_t>(f)]);
    place_refined(state, result);
    result.pixel_size_m = info.pixel_size_m;
    result.pattern_count = static_cast<int64_t>(result.positions_px.size());
    result.seconds = seconds;
    result.device = device.name();
    result.precision = "fp32";
    result.version = PTYFUSE_VERSION;
    result.config = settings_toml();
    io::write_reconstruction(output_, result, force_);
    if (!picture_.empty()) reconstruction_page(scan_, result).write_png(picture_, force_);
    if (!stopped.empty())
      throw Error(ErrorKind::cancelled,
                  stopped + "; " + output_ + " holds the object so far, and 'refine --start " + output_ + "' goes on");
    std::printf("%s: %lld sweep%s over %lld patterns in %.2f s, R %.4f -> %.4f\n", output_.c_str(),
                static_cast<long long>(setup_.sweeps.sweeps), setup_.sweeps.sweeps == 1 ? "" : "s",
                static_cast<long long>(result.pattern_count), seconds, state.residual.front(), state.residual.back());
    return 0;
  }

 private:
  RefineState starting_state(const io::ScanInfo& info, double counts) const {
    const int64_t host = setup_.sweeps.host_memory_bytes, room_px = position_room_px(info.side_px);
    if (setup_.start == "flat")
      return flat_start(info, choose_probe(setup_.probe, info), counts, host,
                        setup_.sweeps.update_positions ? room_px : 0);
    const io::Reconstruction start = io::read_reconstruction(setup_.start);
    const bool moves = setup_.sweeps.update_positions || start.positions_corrected;
    const bool take_its_probe = setup_.probe.empty() && !start.probe.empty();
    if (take_its_probe) require_probe(info, start.probe, setup_.start);
    const io::ComplexImage other = take_its_probe ? io::ComplexImage() : choose_probe(setup_.probe, info);
    const ObjectStart placed{start.object, start.weight, start.origin_px, take_its_probe ? start.probe : other,
                             take_its_probe ? start.mean_counts : 0};
    RefineState state = start_from_object(info, placed, counts, host, moves ? room_px : 0);
    if (start.positions_corrected) state.positions_px = start.positions_px;
    return state;
  }

  std::string scan_, output_, picture_;
  bool force_ = false;
  io::ScanHints hints_;
  RefineSetup setup_;
};

}  // namespace

std::unique_ptr<Command> make_refine_command() {
  return std::make_unique<RefineCommand>();
}

}  // namespace ptyfuse::cli
