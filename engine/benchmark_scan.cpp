#include <unistd.h>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "engine/benchmark_case.h"
#include "engine/forward_model.h"
#include "engine/network_cost.h"
#include "engine/probe.h"
#include "engine/reconstructor.h"
#include "engine/stitch.h"
#include "io/scan.h"
#include "kernels/ops/merge.h"
#include "kernels/ops/reassemble.h"

namespace ptyfuse::benchmark {
namespace {

constexpr int64_t stitched_patches = 1024;
// Mean distance of neighbours: cores overlap by more than a third, as a scan's do.
constexpr double patches_apart_px = 40, cores_apart_px = 12;
constexpr const char* scan_ending = ".scan.h5";

// A file of its own that goes when the benchmark ends.
struct TemporaryFile {
  TemporaryFile()
      : path((std::filesystem::temp_directory_path() / fmt::format("ptyfuse-bench-{}.h5", getpid())).string()) {}
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string path;
};

// The scan file that a case reads. As many groups as patterns, as `reconstruct` would make, but given.
struct ScanFile {
  TemporaryFile file;
  io::ScanInfo info;
  std::vector<float> amplitude;
  bool compressed;

  ScanFile(Bench& b, bool compress)
      : info(b.scan_info(b.config.patterns, b.config.patterns)),
        amplitude(b.scan_amplitude(b.config.patterns)),
        compressed(compress) {
    write(file.path, true);
  }
  void write(const std::string& path, bool force) const {
    io::ScanWriter writer(path, info, io::Domain::counts, true, compressed, force);
    writer.append_amplitude(amplitude);
    writer.commit();
  }
  double bytes() const { return static_cast<double>(amplitude.size() * sizeof(uint32_t)); }
};

void add_object(Record& r, const io::Reconstruction& out) {
  const std::vector<int64_t> shape{out.object.height, out.object.width};
  r.add("outputs/object", shape, out.object.data);
  r.add("outputs/coverage", shape, out.weight);
  r.add("outputs/origin_px", {2}, std::vector<int64_t>{out.origin_px[0], out.origin_px[1]});
}

template <StitchRule rule>
Prepared reconstruct_by(Bench& b) {
  struct State {
    ScanFile scan;
    io::Checkpoint model;
    std::unique_ptr<Reconstructor> reconstructor;
    io::Reconstruction result;
    int threads;
    State(Bench& bench) : scan(bench, false), threads(bench.device.threads()) {}
    void run() {
      result = reconstructor->run([this] { return io::open_scan(scan.file.path, {}, threads); }, {});
    }
  };
  auto s = std::make_shared<State>(b);
  s->model = b.trainer(s->scan.info, s->scan.amplitude)->checkpoint();
  ReconstructConfig r;
  r.stitch = rule;
  r.batch = b.config.batch;
  r.report_residual = false;
  s->reconstructor = std::make_unique<Reconstructor>(b.device, s->model, r);

  const int64_t n = b.config.side_px, groups = b.config.patterns;
  ops::Cost cost = network_forward_cost(UNet::generator(b.network), groups);
  for (const ops::Cost& part :
       {ops::merge_cost({groups, b.members(), n, n}, n), ops::reassemble_cost({groups, n, n})}) {
    cost.flop += part.flop;
    cost.bytes += part.bytes;
  }
  cost.bytes += s->scan.bytes();
  return {[s] { s->run(); }, b.config.patterns, cost,
          [&b, s, n](Record& record) {
            s->scan.write(record.path + scan_ending, record.force);
            for (const io::NamedTensor& w : s->model.weights) record.add("weights/" + w.name, w.shape, w.data);
            record.add_number("inputs/normalisation", s->model.normalisation);
            record.add("inputs/weight", {n, n},
                       merge_weight(b.network, TrainConfig{}.merge_weight, TrainConfig{}.merge_border, s->model.probe));
            record.add("inputs/stitch_weight", {n, n}, stitch_weight(rule, 0, s->model.probe, b.network.pad_object));
            s->run();
            add_object(record, s->result);
          }};
}

template <StitchRule rule>
Prepared stitch_by(Bench& b) {
  struct State {
    std::shared_ptr<Tensor<complex64>> patches;
    std::vector<std::array<double, 2>> centres;
    std::vector<float> weight;
  };
  const int64_t n = b.config.side_px;
  auto s = std::make_shared<State>();
  s->patches = b.complexes({stitched_patches, n, n});
  const double span =
      (rule == StitchRule::crop ? cores_apart_px : patches_apart_px) * std::sqrt(static_cast<double>(stitched_patches));
  for (int64_t i = 0; i < stitched_patches; ++i)
    s->centres.push_back({b.random.uniform(0, span), b.random.uniform(0, span)});
  s->weight = stitch_weight(rule, 0, default_probe(n), false);
  const auto run = [&b, s, n] {
    Stitcher stitcher(b.device, s->centres, n, s->weight, 0);
    stitcher.begin(b.stream);
    stitcher.add(b.stream, std::as_const(*s->patches).view(), s->centres);
    io::Reconstruction out;
    stitcher.finish(b.stream, out);
    return out;
  };
  // Only the square where the weight is not zero is summed.
  int64_t low = 0;
  while (low < n / 2 && s->weight[static_cast<size_t>(n / 2 * n + low)] == 0) ++low;
  const int64_t core = n - 2 * low;
  return {[run] { run(); }, stitched_patches, ops::reassemble_cost({stitched_patches, core, core}),
          [&b, s, n, run](Record& r) {
            add_tensor<complex64>(r, b, "inputs/patches", std::as_const(*s->patches).view());
            std::vector<double> flat;
            for (const auto& c : s->centres) flat.insert(flat.end(), c.begin(), c.end());
            r.add("inputs/centres_px", {stitched_patches, 2}, std::move(flat));
            r.add("inputs/stitch_weight", {n, n}, s->weight);
            add_object(r, run());
          }};
}

template <bool compressed>
Prepared load_from(Bench& b) {
  struct State {
    ScanFile scan;
    std::vector<float> frames;
    int threads;
    State(Bench& bench, bool compress)
        : scan(bench, compress), frames(scan.amplitude.size()), threads(bench.device.threads()) {}
    void run() { io::open_scan(scan.file.path, {}, threads)->read_amplitude(0, scan.info.frames, frames); }
  };
  auto s = std::make_shared<State>(b, compressed);
  // Counts are read, amplitudes written.
  return {[s] { s->run(); },
          b.config.patterns,
          {static_cast<double>(s->frames.size()), 2 * s->scan.bytes()},
          [&b, s](Record& r) {
            s->scan.write(r.path + scan_ending, r.force);
            s->run();
            r.add("outputs/frames", {b.config.patterns, b.config.side_px, b.config.side_px}, s->frames);
          }};
}

}  // namespace

std::vector<Case> scan_cases() {
  using S = BenchmarkSuite;
  return {{{"reconstruct", S::model, "scan file to stitched object, the model already in memory"},
           reconstruct_by<StitchRule::probe>},
          {{"reconstruct_crop", S::model, "the same, stitched by --stitch crop"}, reconstruct_by<StitchRule::crop>},
          {{"stitch", S::model, "1,024 patches to an object, weighted by the probe"}, stitch_by<StitchRule::probe>},
          {{"stitch_crop", S::model, "the same by their central squares"}, stitch_by<StitchRule::crop>},
          {{"load", S::io, "counts of a scan file (uint32) to amplitudes in memory"}, load_from<false>},
          {{"load_compressed", S::io, "the same of a file with gzip"}, load_from<true>}};
}

}  // namespace ptyfuse::benchmark
