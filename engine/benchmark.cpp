#include "engine/benchmark.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/benchmark_case.h"
#include "engine/device_memory.h"
#include "engine/grouping.h"
#include "engine/probe.h"
#include "engine/training_set.h"
#include "io/atomic_file.h"

namespace ptyfuse {
namespace benchmark {
namespace {

constexpr double raster_px = 5;
constexpr uint64_t most_counts = 1000;  // of a pixel

// FNV-1a of a case's name: the purpose of its random numbers.
uint64_t purpose(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const auto& suite : {model_cases(), scan_cases(), ops_cases(), machine_cases()})
    all.insert(all.end(), suite.begin(), suite.end());
  return all;
}

// Processor time of all threads of this process.
double cpu_seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// The cases that the settings choose.
std::vector<Case> chosen(const BenchmarkConfig& config, const Device& device) {
  std::vector<Case> some;
  std::string names;
  for (const Case& c : all_cases()) {
    names += (names.empty() ? "" : ", ") + c.what.name;
    if (config.only.empty() ? c.what.suite != config.suite : c.what.name != config.only) continue;
    if (!c.cpu_only || device.kind() == DeviceKind::cpu)
      some.push_back(c);
    else if (!config.only.empty())
      throw UsageError("--case " + config.only + " measures the processor itself; name --device cpu");
  }
  if (some.empty()) throw UsageError("--case " + config.only + ": no such case; there are " + names);
  return some;
}

}  // namespace

Bench::Bench(const Device& on, const BenchmarkConfig& settings) : device(on), stream(on), config(settings) {
  network.side_px = config.side_px;
  network.gridsize = static_cast<int>(config.gridsize);
  network.filters_scale = config.filters_scale;
  network.precision = config.precision == PrecisionChoice::automatic ? quick_precision(device)
                      : config.precision == PrecisionChoice::bf16    ? ops::Precision::bf16
                                                                     : ops::Precision::fp32;
}

void Bench::begin(const std::string& case_name) {
  random = Random(config.seed, purpose(case_name));
}

std::vector<float> Bench::random_floats(int64_t count, double low, double high) {
  std::vector<float> v(static_cast<size_t>(count));
  for (float& x : v) x = static_cast<float>(random.uniform(low, high));
  return v;
}

std::shared_ptr<Tensor<float>> Bench::floats(const Shape& shape, double low, double high) {
  return tensor<float>(shape, random_floats(shape.elements(), low, high));
}

std::shared_ptr<Tensor<complex64>> Bench::complexes(const Shape& shape) {
  std::vector<complex64> v(static_cast<size_t>(shape.elements()));
  for (complex64& z : v)
    z = complex64(static_cast<float>(random.uniform(-1, 1)), static_cast<float>(random.uniform(-1, 1)));
  return tensor<complex64>(shape, v);
}

std::shared_ptr<Tensor<complex64>> Bench::probe() {
  const io::ComplexImage p = scale_probe_to_object(default_probe(config.side_px));
  return tensor<complex64>({1, config.side_px, config.side_px}, p.data);
}

io::ScanInfo Bench::scan_info(int64_t frames, int64_t groups) const {
  io::ScanInfo info;
  info.path = "benchmark";
  info.frames = frames;
  info.side_px = config.side_px;
  info.domain = io::Domain::counts;
  const auto columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(frames))));
  for (int64_t f = 0; f < frames; ++f)
    info.positions_px.push_back({raster_px * static_cast<double>(f / columns) + static_cast<double>(config.side_px),
                                 raster_px * static_cast<double>(f % columns) + static_cast<double>(config.side_px)});
  info.probe = scale_probe_to_object(default_probe(config.side_px));
  if (members() == 1) return info;
  GroupingConfig grouping;
  grouping.members = members();
  grouping.groups = groups;
  grouping.seed = config.seed;
  info.groups = make_groups(info.positions_px, grouping).index;
  info.group_members = members();
  return info;
}

std::vector<float> Bench::scan_amplitude(int64_t frames) {
  std::vector<float> a(static_cast<size_t>(frames * config.side_px * config.side_px));
  for (float& v : a) v = std::sqrt(static_cast<float>(random.below(most_counts)));
  return a;
}

std::shared_ptr<Trainer> Bench::trainer(const io::ScanInfo& info, std::vector<float> amplitude) const {
  TrainConfig t;
  t.gridsize = config.gridsize;
  t.filters_scale = config.filters_scale;
  t.batch = config.batch;
  t.precision = network.precision == ops::Precision::bf16 ? PrecisionChoice::bf16 : PrecisionChoice::fp32;
  t.validation = 0;
  t.seed = config.seed;
  t.pad_object = Toggle::on;
  t.schedule = Schedule::constant;
  t.early_stopping = false;
  t.epochs = 1 << 20;
  return std::make_shared<Trainer>(device, t, io::scan_from_memory(info, std::move(amplitude)), RunControl{});
}

void Record::add_parameters(const std::string& group, const UNet& network, std::span<const float> flat) {
  for (const ParameterEntry& p : network.parameters()) {
    const auto values = flat.subspan(static_cast<size_t>(p.offset), static_cast<size_t>(p.shape.elements()));
    add<float>(group + "/" + p.name, extents(p.shape), {values.begin(), values.end()});
  }
}

}  // namespace benchmark

std::vector<BenchmarkCase> benchmark_cases() {
  std::vector<BenchmarkCase> cases;
  for (const benchmark::Case& c : benchmark::all_cases()) cases.push_back(c.what);
  return cases;
}

OptionTable benchmark_options(BenchmarkConfig& c) {
  OptionTable t;
  t.choice("suite", c.suite,
           {{"ops", BenchmarkSuite::ops},
            {"model", BenchmarkSuite::model},
            {"io", BenchmarkSuite::io},
            {"machine", BenchmarkSuite::machine}},
           "what to measure: single operations, the model's work, reading, or the machine's ceilings");
  t.text("case", c.only, "one case, of any suite; empty: all of the suite", "NAME");
  t.integer("N", c.side_px, "side of a pattern in pixels: 64, 128 or 256", 64, 256);
  t.integer("gridsize", c.gridsize, "1 or 2", 1, 2);
  t.real("filters-scale", c.filters_scale, "width of the network", 0.25, 4);
  t.integer("batch", c.batch, "groups of a step", 1, 65536);
  t.integer("patterns", c.patterns, "length of the scan that reconstruct and load read", 16, 1000000);
  t.choice("precision", c.precision,
           {{"auto", PrecisionChoice::automatic}, {"fp32", PrecisionChoice::fp32}, {"bf16", PrecisionChoice::bf16}},
           "arithmetic of the convolutions");
  t.integer("warm-up", c.warm_up, "untimed repeats before", 0, 100000);
  t.integer("repeats", c.repeats, "timed repeats of each case", 1, 100000);
  t.seed("seed", c.seed, "of the random data");
  return t;
}

void run_benchmark(const Device& device, const BenchmarkConfig& config, const RunControl& control,
                   const std::function<void(const BenchmarkLine&)>& line) {
  for (const benchmark::Case& c : benchmark::chosen(config, device)) {
    if (control.stop_requested()) throw Error(ErrorKind::cancelled, "benchmark stopped");
    // Of its own, so that the memory's peak is the case's.
    benchmark::Bench bench(device_like(device, device.memory_limit_bytes()), config);
    bench.begin(c.what.name);
    const benchmark::Prepared prepared = c.prepare(bench);
    for (int64_t i = 0; i < config.warm_up; ++i) prepared.run();
    bench.stream.synchronise();
    const auto calls = static_cast<double>(prepared.calls);
    std::vector<double> seconds, cpu_seconds;
    for (int64_t i = 0; i < config.repeats; ++i) {
      const double cpu_start = benchmark::cpu_seconds_now();
      const auto start = std::chrono::steady_clock::now();
      prepared.run();
      bench.stream.synchronise();
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      seconds.push_back(taken.count() / calls);
      cpu_seconds.push_back((benchmark::cpu_seconds_now() - cpu_start) / calls);
    }
    line({.name = c.what.name,
          .precision = bench.network.precision == ops::Precision::bf16 ? "bf16" : "fp32",
          .repeats = config.repeats,
          .calls = prepared.calls,
          .patterns = prepared.patterns,
          .device_peak_bytes = bench.device.memory_peak_bytes(),
          .median_s = benchmark::median(seconds),
          .min_s = *std::min_element(seconds.begin(), seconds.end()),
          .median_cpu_s = benchmark::median(cpu_seconds),
          .flop = prepared.cost.flop,
          .bytes = prepared.cost.bytes});
  }
}

void record_benchmark(const Device& device, const BenchmarkConfig& config, const std::string& path, bool force) {
  io::check_output_path(path, force);
  const auto refuse = [] {
    std::string names;
    for (const auto& suite : {benchmark::model_cases(), benchmark::scan_cases()})
      for (const benchmark::Case& c : suite) names += (names.empty() ? "" : ", ") + c.what.name;
    throw UsageError("--record writes one case, named by --case; those that can be recorded are " + names);
  };
  if (config.only.empty()) refuse();
  benchmark::Bench bench(device, config);
  const benchmark::Case c = benchmark::chosen(config, device).front();
  bench.begin(c.what.name);
  const benchmark::Prepared prepared = c.prepare(bench);
  if (!prepared.record) refuse();
  benchmark::Record record{path, force, {}};
  prepared.record(record);
  const nlohmann::ordered_json settings = {
      {"case", config.only},
      {"N", config.side_px},
      {"gridsize", config.gridsize},
      {"filters_scale", config.filters_scale},
      {"batch", config.batch},
      {"patterns", prepared.patterns},
      {"calls", prepared.calls},
      {"precision", bench.network.precision == ops::Precision::bf16 ? "bf16" : "fp32"},
      {"object_big", bench.network.object_big},
      {"probe_big", bench.network.probe_big},
      {"pad_object", bench.network.pad_object},
      {"amplitude", "sigmoid"},
      {"border_activation", "same"},
      {"seed", config.seed},
      {"version", PTYFUSE_VERSION}};
  io::write_named_arrays(path, settings.dump(), record.arrays, force);
}

}  // namespace ptyfuse
