#include "engine/studies/subject.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/probe.h"
#include "io/file_error.h"

namespace ptyfuse::studies {
namespace {

class ScanWithInfo : public io::ScanReader {
 public:
  ScanWithInfo(std::unique_ptr<io::ScanReader> scan, io::ScanInfo info)
      : scan_(std::move(scan)), info_(std::move(info)) {}
  const io::ScanInfo& info() const override { return info_; }
  void read_amplitude(int64_t first, int64_t count, std::span<float> out) override {
    scan_->read_amplitude(first, count, out);
  }
  void read_frames(std::span<const int64_t> frames, std::span<float> out) override { scan_->read_frames(frames, out); }

 private:
  std::unique_ptr<io::ScanReader> scan_;
  io::ScanInfo info_;
};

}  // namespace

std::unique_ptr<io::ScanReader> with_info(std::unique_ptr<io::ScanReader> scan, io::ScanInfo info) {
  return std::make_unique<ScanWithInfo>(std::move(scan), std::move(info));
}

Subject make_subject(const StudyConfig& config) {
  if (!config.scan.empty() && (config.size_px > 0 || config.patterns > 0))
    throw UsageError("--size and --patterns are of the simulated scan; leave them out with --scan");
  Subject out{.scan = config.scan, .simulation = {}, .probe = config.probe, .truth = config.truth, .crop = config.crop};
  SimulateConfig& s = out.simulation;
  s.scan = ScanKind::random;
  s.phase = PhaseKind::tanh;
  s.size_px = config.size_px > 0 ? config.size_px : config.quick ? 224 : 392;
  s.patterns = config.patterns > 0 ? config.patterns : config.quick ? 512 : 2048;
  s.margin_px = 36;
  s.photons = 1e6;
  return out;
}

Settings settings_of(const Subject& subject) {
  Settings out;
  if (subject.scan.empty())
    out = settings_of(subject.simulation, "simulate");
  else
    out.emplace_back("scan.fingerprint", file_fingerprint(subject.scan));
  for (const auto& [name, file] : {std::pair{"probe", &subject.probe}, {"truth", &subject.truth}}) {
    if (file->empty()) continue;
    out.emplace_back(std::string(name) + ".fingerprint", file_fingerprint(*file));
  }
  out.emplace_back("crop", subject.crop);
  return out;
}

std::string words_of(const Subject& subject) {
  if (!subject.scan.empty()) return subject.scan;
  const SimulateConfig& s = subject.simulation;
  return fmt::format(
      "a simulated scan: {} patterns of {} pixels at random positions over lines with a phase, {} px, "
      "{:.0e} photons each",
      s.patterns, s.side_px, s.size_px, s.photons);
}

PreparedSubject prepare(const ArmContext& context, const Subject& subject) {
  const std::string path = subject.scan.empty() ? simulate_scan(context, subject.simulation) : subject.scan;
  PreparedSubject out;
  out.info = io::open_scan(path)->info();
  if (!subject.probe.empty()) out.info.probe = choose_probe(subject.probe, out.info);
  out.open = [path, info = out.info] { return with_info(io::open_scan(path), info); };
  if (subject.truth.empty() && out.info.object.empty())
    throw io::FileError(path, "object", "the scan has none to compare with; name one with --truth FILE[:DATASET]");
  out.truth = subject.truth.empty() ? out.info.object : io::read_complex_image(subject.truth, "object");
  out.evaluation.crop = subject.crop.empty() ? inner_region(out.info.positions_px) : parse_crop(subject.crop);
  return out;
}

TrainConfig subject_network(const StudyConfig& config, uint64_t seed) {
  TrainConfig t;
  t.gridsize = 1;
  t.seed = seed;
  t.schedule = Schedule::cosine;
  t.filters_scale = config.quick ? 0.5 : 1;
  t.batch = 4;
  t.epochs = config.quick ? 8 : 20;
  take_given(config, t);
  return t;
}

Rectangle inner_region(const std::vector<std::array<double, 2>>& positions_px) {
  const Bounds b = bounds_of(positions_px);
  const auto inset = [&](size_t axis) { return (b.high[axis] - b.low[axis]) / 8; };
  return {static_cast<int64_t>(b.low[0] + inset(0)), static_cast<int64_t>(b.high[0] - inset(0)) + 1,
          static_cast<int64_t>(b.low[1] + inset(1)), static_cast<int64_t>(b.high[1] - inset(1)) + 1};
}

}  // namespace ptyfuse::studies
