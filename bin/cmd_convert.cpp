#include <algorithm>
#include <cstdio>
#include <vector>

#include "bin/command.h"
#include "bin/scan_hints.h"
#include "io/npz.h"

namespace ptyfuse::cli {
namespace {

constexpr int64_t frames_at_a_time = 64;

enum class Target { automatic, scan, npz };

// A scan whose reading ends when a stop is asked for.
class StoppableScan : public io::ScanReader {
 public:
  StoppableScan(std::unique_ptr<io::ScanReader> scan, RunControl control)
      : scan_(std::move(scan)), control_(std::move(control)) {}
  const io::ScanInfo& info() const override { return scan_->info(); }
  void read_amplitude(int64_t first, int64_t count, std::span<float> out) override {
    if (control_.stop_requested()) throw Error(ErrorKind::cancelled, "conversion stopped; nothing was written");
    scan_->read_amplitude(first, count, out);
  }

 private:
  std::unique_ptr<io::ScanReader> scan_;
  RunControl control_;
};

class ConvertCommand : public Command {
 public:
  const char* name() const override { return "convert"; }
  const char* summary() const override { return "Convert a scan between ptyfuse's HDF5 and PtychoPINN's NPZ."; }
  const char* lesson() const override {
    return "What the input leaves open must be said: an NPZ of floating-point frames does not tell counts from "
           "amplitudes.\n\n"
           "Examples:\n"
           "  ptyfuse convert DATA.npz -o SCAN.h5 --domain amplitude\n"
           "  ptyfuse convert SCAN.h5 -o DATA.npz\n"
           "  ptyfuse convert OLD.h5 -o SCAN.h5 --dc corner --origin centre --order xy\n";
  }
  void declare(CLI::App& app) override {
    app.add_option("IN", input_, "scan file or NPZ")->required()->type_name("FILE");
    add_output(app, output_, force_, "the new file");
    add_table(app, scan_hint_options(hints_), scan_hint_group);
    OptionTable table;
    table.choice("from", from_, {{"auto", Target::automatic}, {"scan", Target::scan}, {"npz", Target::npz}},
                 "what the input is; auto: by its content");
    table.choice("to", to_, {{"auto", Target::automatic}, {"scan", Target::scan}, {"npz", Target::npz}},
                 "what to write; auto: npz for names that end in .npz, else a scan file");
    table.toggle("compress", compress_, "gzip frames of a scan file");
    add_table(app, std::move(table));
  }
  int run() override {
    check_outputs({output_}, force_);  // --force may mean the input itself
    StoppableScan scan(open_scan(input_, hints_), make_control());
    const io::ScanInfo& info = scan.info();
    const bool is_npz = info.format == "ptychopinn-npz";
    if (from_ != Target::automatic && (from_ == Target::npz) != is_npz)
      throw UsageError("--from: " + input_ + " is a " + info.format + " file");
    const bool to_npz = to_ == Target::npz || (to_ == Target::automatic && output_.ends_with(".npz"));
    if (to_npz)
      io::write_ptychopinn_npz(output_, scan, force_);
    else
      write_scan(scan);
    std::printf("%s: %lld patterns of %lld x %lld pixels\n", output_.c_str(), static_cast<long long>(info.frames),
                static_cast<long long>(info.side_px), static_cast<long long>(info.side_px));
    return 0;
  }

 private:
  void write_scan(io::ScanReader& scan) const {
    const io::ScanInfo& info = scan.info();
    const bool integers = info.domain == io::Domain::counts && info.frame_type.find("int") != std::string::npos;
    io::ScanWriter writer(output_, info, info.domain, integers, compress_, force_);
    std::vector<float> frames(static_cast<size_t>(frames_at_a_time * info.side_px * info.side_px));
    for (int64_t first = 0; first < info.frames; first += frames_at_a_time) {
      const int64_t count = std::min(frames_at_a_time, info.frames - first);
      const auto piece = std::span(frames).first(static_cast<size_t>(count * info.side_px * info.side_px));
      scan.read_amplitude(first, count, piece);
      writer.append_amplitude(piece);
    }
    writer.commit();
  }

  std::string input_, output_;
  bool force_ = false, compress_ = true;
  Target from_ = Target::automatic, to_ = Target::automatic;
  io::ScanHints hints_;
};

}  // namespace

std::unique_ptr<Command> make_convert_command() {
  return std::make_unique<ConvertCommand>();
}

}  // namespace ptyfuse::cli
