#include "engine/benchmark.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>

#include "autodiff/ops/nodes.h"
#include "autodiff/tape.h"
#include "engine/grouping.h"
#include "engine/probe.h"
#include "engine/random.h"
#include "engine/reconstructor.h"
#include "engine/stitch.h"
#include "engine/trainer.h"
#include "engine/training_set.h"
#include "engine/unet.h"
#include "io/scan.h"
#include "kernels/ops/adam.h"
#include "kernels/ops/conv3x3.h"
#include "kernels/ops/fft2.h"
#include "kernels/ops/merge.h"
#include "kernels/ops/physics.h"
#include "kernels/ops/projective.h"
#include "kernels/ops/reassemble.h"
#include "kernels/ops/translate.h"

namespace ptyfuse {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t warm_up_repeats = 3, stitched_patches = 1024, scan_frames = 1000;
constexpr double largest_offset_px = 4;

// A prepared measurement: `run` is what is timed; it owns all that it needs.
struct Prepared {
  std::function<void()> run;
  int64_t patterns = 0;
  ops::Cost cost;
};

struct Case {
  const char* name;
  BenchmarkSuite suite;
  std::function<Prepared()> prepare;
};

std::vector<float> random_floats(Random& random, int64_t count, double low, double high) {
  std::vector<float> v(static_cast<size_t>(count));
  for (float& x : v) x = static_cast<float>(random.uniform(low, high));
  return v;
}

// A file of its own that goes when the benchmark ends.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& suffix)
      : path((std::filesystem::temp_directory_path() / fmt::format("ptyfuse-bench-{}{}", getpid(), suffix)).string()) {}
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string path;
};

class Bench {
 public:
  Bench(const Device& device, const BenchmarkConfig& config) : device_(device), stream_(device), c_(config) {
    network_.side_px = c_.side_px;
    network_.gridsize = static_cast<int>(c_.gridsize);
    network_.filters_scale = c_.filters_scale;
    network_.precision = c_.precision == PrecisionChoice::automatic ? quick_precision(device)
                         : c_.precision == PrecisionChoice::bf16    ? ops::Precision::bf16
                                                                    : ops::Precision::fp32;
  }

  /// Until everything that the cases have started is done.
  void wait() const { stream_.synchronise(); }
  const char* precision() const { return network_.precision == ops::Precision::bf16 ? "bf16" : "fp32"; }

  std::vector<Case> cases() {
    using S = BenchmarkSuite;
    return {
        {"unet_forward", S::model, [this] { return unet(false); }},
        {"unet_backward", S::model, [this] { return unet(true); }},
        {"physics", S::model, [this] { return physics(); }},
        {"train_step", S::model, [this] { return train_step(); }},
        {"reconstruct", S::model, [this] { return reconstruct(); }},
        {"stitch", S::model, [this] { return stitch(); }},
        {"load", S::io, [this] { return load(false); }},
        {"load_compressed", S::io, [this] { return load(true); }},
        {"conv3x3", S::ops, [this] { return conv(); }},
        {"translate", S::ops, [this] { return translate(); }},
        {"projective", S::ops, [this] { return projective(); }},
        {"merge", S::ops, [this] { return merge(); }},
        {"fft2", S::ops, [this] { return fft(); }},
        {"adam", S::ops, [this] { return adam(); }},
    };
  }

 private:
  int64_t members() const { return c_.gridsize * c_.gridsize; }
  int64_t patterns() const { return c_.batch * members(); }

  template <class T>
  std::shared_ptr<Tensor<T>> tensor(const Shape& shape, const std::vector<T>& values) {
    auto t = std::make_shared<Tensor<T>>(device_, shape, "benchmark");
    copy_to_device(stream_, t->view(), values.data(), t->elements());
    return t;
  }
  std::shared_ptr<Tensor<float>> floats(const Shape& shape, double low, double high) {
    return tensor<float>(shape, random_floats(random_, shape.elements(), low, high));
  }
  std::shared_ptr<Tensor<complex64>> complexes(const Shape& shape) {
    std::vector<complex64> v(static_cast<size_t>(shape.elements()));
    for (complex64& z : v)
      z = complex64(static_cast<float>(random_.uniform(-1, 1)), static_cast<float>(random_.uniform(-1, 1)));
    return tensor<complex64>(shape, v);
  }
  std::shared_ptr<Tensor<complex64>> probe() {
    const io::ComplexImage p = scale_probe_to_object(default_probe(c_.side_px));
    return tensor<complex64>({1, c_.side_px, c_.side_px}, p.data);
  }

  Prepared unet(bool backward) {
    struct State {
      UNet unet;
      std::vector<float> initial;
      std::shared_ptr<Tensor<float>> parameters, gradients;
      std::unique_ptr<autodiff::Tape> tape;
      autodiff::AbsoluteErrorLoss loss;
    };
    auto s = std::make_shared<State>();
    s->unet = UNet::generator(network_);
    s->initial.resize(static_cast<size_t>(s->unet.parameter_count()));
    s->unet.initialise(random_, Initialisation::he, s->initial);
    s->parameters = tensor<float>({s->unet.parameter_count()}, s->initial);
    s->gradients = tensor<float>({s->unet.parameter_count()}, s->initial);
    s->tape = std::make_unique<autodiff::Tape>(device_);
    const int64_t n = c_.side_px;
    const Shape in{c_.batch, n, n, members()};
    const autodiff::ValueId x = s->tape->input(in, "x");
    const UNet::Output out =
        s->unet.record(*s->tape, x, s->parameters->view(), backward ? s->gradients->view() : TensorView<float>());
    std::vector<autodiff::ValueId> filled{x};
    if (backward) {
      for (const char* name : {"amplitude target", "phase target"})
        filled.push_back(s->tape->input(s->tape->shape(out.amplitude), name));
      autodiff::absolute_error(*s->tape, out.amplitude, filled[1], out.phase, filled[2], &s->loss);
    } else {
      s->tape->keep(out.amplitude);
      s->tape->keep(out.phase);
    }
    s->tape->plan(backward ? autodiff::TapeMode::training : autodiff::TapeMode::inference);
    for (const autodiff::ValueId v : filled) {
      const std::vector<float> values = random_floats(random_, s->tape->shape(v).elements(), 0, 1);
      copy_to_device(stream_, s->tape->value(v), values.data(), static_cast<int64_t>(values.size()));
    }
    double flop = 0;  // 18 FLOP a weight and pixel, by the layers' own images
    for (const ParameterEntry& p : s->unet.parameters())
      if (p.shape.rank() == 4) flop += 2.0 * static_cast<double>(p.shape.elements() * layer_pixels(p.name) * c_.batch);
    s->tape->forward(stream_);
    if (backward) return {[this, s] { s->tape->backward(stream_); }, patterns(), {2 * flop, 0}};
    return {[this, s] { s->tape->forward(stream_); }, patterns(), {flop, 0}};
  }

  // Pixels of a layer's output image, from its name: encoders halve from N, decoders double from the bottleneck's 8.
  int64_t layer_pixels(const std::string& name) const {
    const size_t enc = name.find("enc."), dec = name.find("dec.");
    int64_t side = name.find("border.head") != std::string::npos ? c_.side_px : c_.side_px / 2;
    if (enc == 0) side = c_.side_px >> (name[4] - '0');
    if (dec != std::string::npos) side = int64_t{8} << (name[dec + 4] - '0');
    return side * side;
  }

  Prepared physics() {
    struct State {
      std::shared_ptr<Tensor<float>> amplitude, phase, measured, offsets, weight, grad_amplitude, grad_phase;
      std::shared_ptr<Tensor<complex64>> probe;
      std::unique_ptr<ops::Physics> op;
      ops::PhysicsInputs in;
    };
    const int64_t n = c_.side_px, m = members();
    const Shape patches{c_.batch, m, n, n};
    auto s = std::make_shared<State>();
    s->amplitude = floats(patches, 0.2, 1);
    s->phase = floats(patches, -1, 1);
    s->measured = floats(patches, 0, 1);
    s->grad_amplitude = floats(patches, 0, 0);
    s->grad_phase = floats(patches, 0, 0);
    const double reach = m > 1 ? largest_offset_px : 0;
    s->offsets = floats({c_.batch, m, 2}, -reach, reach);
    s->weight = floats({n, n}, 0.02, 1);
    s->probe = probe();
    ops::PhysicsSpec spec;
    spec.batch = c_.batch;
    spec.members = spec.heads = m;
    spec.side = n;
    spec.canvas = m > 1 ? n + 2 * (static_cast<int64_t>(std::ceil(reach)) + 1) : n;
    s->op = std::make_unique<ops::Physics>(device_, spec);
    s->in.amplitude = s->amplitude->view();
    s->in.phase = s->phase->view();
    s->in.measured = s->measured->view();
    s->in.offsets_px = s->offsets->view();
    s->in.weight = s->weight->view();
    s->in.probe = s->probe->view();
    s->in.measured_scale = 30;
    s->in.log_scale = std::log(30.0F);
    return {[this, s] { s->op->run(stream_, s->in, s->grad_amplitude->view(), s->grad_phase->view()); }, patterns(),
            ops::Physics::cost(spec)};
  }

  // A scan of random patterns on a raster of 5 px.
  io::ScanInfo scan_info(int64_t frames) const {
    io::ScanInfo info;
    info.path = "benchmark";
    info.frames = frames;
    info.side_px = c_.side_px;
    info.domain = io::Domain::counts;
    const auto columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(frames))));
    for (int64_t f = 0; f < frames; ++f)
      info.positions_px.push_back({5.0 * static_cast<double>(f / columns) + static_cast<double>(c_.side_px),
                                   5.0 * static_cast<double>(f % columns) + static_cast<double>(c_.side_px)});
    info.probe = scale_probe_to_object(default_probe(c_.side_px));
    return info;
  }
  std::vector<float> scan_amplitude(int64_t frames) {
    std::vector<float> a(static_cast<size_t>(frames * c_.side_px * c_.side_px));
    for (float& v : a) v = std::sqrt(static_cast<float>(random_.below(1000)));
    return a;
  }
  TrainConfig train_config() const {
    TrainConfig t;
    t.gridsize = c_.gridsize;
    t.filters_scale = c_.filters_scale;
    t.batch = c_.batch;
    t.precision = network_.precision == ops::Precision::bf16 ? PrecisionChoice::bf16 : PrecisionChoice::fp32;
    t.validation = 0;
    t.seed = c_.seed;
    t.pad_object = Toggle::on;
    t.oversample = false;
    t.early_stopping = false;
    t.epochs = 1 << 20;
    return t;
  }
  std::shared_ptr<Trainer> trainer(int64_t frames) {
    return std::make_shared<Trainer>(device_, train_config(),
                                     io::scan_from_memory(scan_info(frames), scan_amplitude(frames)), RunControl{});
  }

  Prepared train_step() {
    auto t = trainer(std::max<int64_t>(16, c_.batch));  // whole batches only
    return {[t] { t->step(); }, patterns(), {}};
  }

  Prepared reconstruct() {
    struct State {
      TemporaryFile file{".h5"};
      std::unique_ptr<Reconstructor> model;
      io::Reconstruction result;
    };
    auto s = std::make_shared<State>();
    write_scan(s->file.path, scan_frames, false);
    ReconstructConfig r;
    r.batch = c_.batch;
    r.report_residual = false;
    s->model = std::make_unique<Reconstructor>(device_, trainer(64)->checkpoint(), r);
    return {[s] { s->result = s->model->run([s] { return io::open_scan(s->file.path); }, {}); }, scan_frames, {}};
  }

  void write_scan(const std::string& path, int64_t frames, bool compress) {
    io::ScanWriter writer(path, scan_info(frames), io::Domain::counts, true, compress, true);
    writer.append_amplitude(scan_amplitude(frames));
    writer.commit();
  }

  Prepared stitch() {
    const int64_t n = c_.side_px;
    auto patches = complexes({stitched_patches, n, n});
    std::vector<std::array<double, 2>> centres;
    const double span = 40 * std::sqrt(static_cast<double>(stitched_patches));
    for (int64_t i = 0; i < stitched_patches; ++i)
      centres.push_back({random_.uniform(0, span), random_.uniform(0, span)});
    auto weight = stitch_weight(StitchRule::probe, n, default_probe(n), false);
    return {[this, patches, centres, weight, n] {
              Stitcher stitcher(device_, centres, n, weight, int64_t{1} << 40);
              stitcher.begin(stream_);
              stitcher.add(stream_, std::as_const(*patches).view(), centres);
              io::Reconstruction out;
              stitcher.finish(stream_, out);
            },
            stitched_patches, ops::reassemble_cost({stitched_patches, n, n})};
  }

  Prepared load(bool compressed) {
    struct State {
      TemporaryFile file{".h5"};
      std::vector<float> frames;
    };
    auto s = std::make_shared<State>();
    write_scan(s->file.path, scan_frames, compressed);
    s->frames.resize(static_cast<size_t>(scan_frames * c_.side_px * c_.side_px));
    return {[s] { io::open_scan(s->file.path)->read_amplitude(0, scan_frames, s->frames); },
            scan_frames,
            {0, static_cast<double>(s->frames.size() * sizeof(uint32_t))}};
  }

  Prepared conv() {
    struct State {
      std::unique_ptr<ops::Conv3x3> op;
      std::shared_ptr<Tensor<float>> in, out, weights, bias;
    };
    auto s = std::make_shared<State>();
    ops::Conv3x3Spec spec;
    spec.batch = c_.batch;
    spec.height = spec.width = c_.side_px / 2;
    spec.in_channels = spec.out_channels = std::max<int64_t>(1, static_cast<int64_t>(64 * c_.filters_scale));
    spec.activation = ops::ConvActivation::relu;
    spec.precision = network_.precision;
    s->op = std::make_unique<ops::Conv3x3>(device_, spec, false);
    const Shape image{spec.batch, spec.height, spec.width, spec.in_channels};
    s->in = floats(image, 0, 1);
    s->out = floats(image, 0, 0);
    s->weights = floats({3, 3, spec.in_channels, spec.out_channels}, -0.05, 0.05);
    s->bias = floats({spec.out_channels}, -0.1, 0.1);
    s->op->set_weights(stream_, s->weights->view(), s->bias->view());
    return {[this, s] { s->op->forward(stream_, s->in->view(), s->out->view()); }, spec.batch,
            ops::Conv3x3::forward_cost(spec)};
  }

  Prepared translate() {
    const Shape shape{patterns(), c_.side_px, c_.side_px};
    auto in = complexes(shape), out = complexes(shape);
    auto shift = floats({patterns(), 2}, -largest_offset_px, largest_offset_px);
    return {[this, in, out, shift] {
              ops::translate(stream_, std::as_const(*in).view(), std::as_const(*shift).view(), out->view());
            },
            patterns(), ops::translate_cost(shape)};
  }

  Prepared projective() {
    const Shape shape{patterns(), c_.side_px, c_.side_px};
    auto in = complexes(shape), out = complexes(shape);
    std::vector<double> matrices;
    for (int64_t i = 0; i < patterns(); ++i)
      for (const double v : {1.01, 0.02, 0.5, -0.02, 0.99, -0.5, 1e-5, -1e-5, 1.0}) matrices.push_back(v);
    auto homography = tensor<double>({patterns(), 3, 3}, matrices);
    return {[this, in, out, homography] {
              ops::projective(stream_, std::as_const(*in).view(), std::as_const(*homography).view(), out->view());
            },
            patterns(), ops::projective_cost(shape)};
  }

  Prepared merge() {
    const int64_t n = c_.side_px, m = members(), q = n + 2 * (static_cast<int64_t>(largest_offset_px) + 1);
    const Shape shape{c_.batch, m, n, n};
    auto patches = complexes(shape), region = complexes({c_.batch, q, q});
    auto offsets = floats({c_.batch, m, 2}, -largest_offset_px, largest_offset_px);
    auto weight = floats({n, n}, 0.02, 1);
    return {[this, patches, region, offsets, weight] {
              ops::MergeArgs args;
              args.offsets_px = offsets->view();
              args.weight = weight->view();
              ops::merge(stream_, args, std::as_const(*patches).view(), region->view());
            },
            patterns(), ops::merge_cost(shape, q)};
  }

  Prepared fft() {
    const Shape shape{patterns(), c_.side_px, c_.side_px};
    auto in = complexes(shape), out = complexes(shape);
    auto op = std::make_shared<ops::Fft2>(device_, c_.side_px, c_.side_px);
    return {
        [this, in, out, op] { op->run(stream_, ops::FftDirection::forward, std::as_const(*in).view(), out->view()); },
        patterns(), ops::Fft2::cost(shape)};
  }

  Prepared adam() {
    const int64_t count = UNet::generator(network_).parameter_count();
    auto g = floats({count}, -1, 1), w = floats({count}, -1, 1), m = floats({count}, 0, 0), v = floats({count}, 0, 0);
    auto step = std::make_shared<int64_t>(0);
    return {[this, g, w, m, v, step] {
              ops::adam(stream_, {}, ++*step, std::as_const(*g).view(), w->view(), m->view(), v->view());
            },
            patterns(), ops::adam_cost(count)};
  }

  Device device_;
  Stream stream_;
  BenchmarkConfig c_;
  GeneratorConfig network_;
  Random random_{c_.seed};
};

}  // namespace

OptionTable benchmark_options(BenchmarkConfig& c) {
  OptionTable t;
  t.choice("suite", c.suite,
           {{"ops", BenchmarkSuite::ops}, {"model", BenchmarkSuite::model}, {"io", BenchmarkSuite::io}},
           "what to measure: single operations, the model's work, or reading");
  t.text("case", c.only, "one case of the suite; empty: all");
  t.integer("N", c.side_px, "side of a pattern in pixels: 64, 128 or 256", 64, 256);
  t.integer("gridsize", c.gridsize, "1 or 2", 1, 2);
  t.real("filters-scale", c.filters_scale, "width of the network", 0.25, 4);
  t.integer("batch", c.batch, "groups of a step", 1, 65536);
  t.choice("precision", c.precision,
           {{"auto", PrecisionChoice::automatic}, {"fp32", PrecisionChoice::fp32}, {"bf16", PrecisionChoice::bf16}},
           "arithmetic of the convolutions");
  t.integer("repeats", c.repeats, "timed repeats of each case", 1, 100000);
  t.seed("seed", c.seed, "of the random data");
  return t;
}

void run_benchmark(const Device& device, const BenchmarkConfig& config, const RunControl& control,
                   const std::function<void(const BenchmarkLine&)>& line) {
  Bench bench(device, config);
  bool found = false;
  std::string names;
  for (const Case& c : bench.cases()) {
    if (c.suite != config.suite && config.only.empty()) continue;
    names += std::string(names.empty() ? "" : ", ") + c.name;
    if (!config.only.empty() && config.only != c.name) continue;
    found = true;
    if (control.stop_requested()) throw Error(ErrorKind::cancelled, "benchmark stopped");
    const Prepared prepared = c.prepare();
    for (int64_t i = 0; i < warm_up_repeats; ++i) prepared.run();
    bench.wait();
    std::vector<double> seconds;
    for (int64_t i = 0; i < config.repeats; ++i) {
      const auto start = Clock::now();
      prepared.run();
      bench.wait();
      seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    std::sort(seconds.begin(), seconds.end());
    const size_t half = seconds.size() / 2;
    const double median = seconds.size() % 2 == 1 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
    line({c.name, bench.precision(), config.repeats, prepared.patterns, median, seconds.front(), prepared.cost.flop,
          prepared.cost.bytes});
  }
  if (!found) throw UsageError("--case " + config.only + ": no such case; there are " + names);
}

}  // namespace ptyfuse
