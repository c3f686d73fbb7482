#include <cstdio>
#include <nlohmann/json.hpp>

#include "bin/command.h"
#include "engine/benchmark.h"
#include "engine/unet.h"
#include "io/atomic_file.h"

namespace ptyfuse::cli {
namespace {

// Every case, suite by suite, one line each.
std::string list_of_cases() {
  const std::pair<BenchmarkSuite, const char*> suites[] = {{BenchmarkSuite::model, "model"},
                                                           {BenchmarkSuite::io, "io"},
                                                           {BenchmarkSuite::ops, "ops"},
                                                           {BenchmarkSuite::machine, "machine"}};
  constexpr size_t column = 20;
  std::string text;
  for (const auto& [suite, name] : suites) {
    text += std::string("Cases of --suite ") + name + ":\n";
    for (const BenchmarkCase& c : benchmark_cases())
      if (c.suite == suite)
        text += "  " + c.name + std::string(column - std::min(column, c.name.size()), ' ') + c.summary + "\n";
  }
  return text;
}

class BenchCommand : public Command {
 public:
  const char* name() const override { return "bench"; }
  const char* summary() const override { return "Measure the speed of operations, model and reading on this machine."; }
  const char* lesson() const override { return lesson_.c_str(); }
  void declare(CLI::App& app) override {
    app.add_option("--json", output_, "write the lines to this file too")->type_name("FILE");
    app.add_option("--record", record_,
                   "measure nothing: run --case once and write its inputs, weights and outputs, for another program to "
                   "do the same work; a scan that the case reads goes to FILE.scan.h5")
        ->type_name("FILE");
    app.add_flag("--force", force_, "replace the file if it exists");
    add_table(app, benchmark_options(config_));
  }
  int run() override {
    if (!UNet::takes_side(config_.side_px))
      throw UsageError("--N: '" + std::to_string(config_.side_px) + "' is not 64, 128 or 256");
    check_outputs({output_, record_}, force_);
    if (!record_.empty() && !output_.empty())
      throw UsageError("--record measures nothing, so there are no lines for --json; give one of them");
    const Device device = make_device();
    if (!record_.empty()) {
      record_benchmark(device, config_, record_, force_);
      return 0;
    }
    std::string lines;
    run_benchmark(device, config_, make_control(), [&](const BenchmarkLine& l) {
      nlohmann::ordered_json j;
      j["case"] = l.name;
      j["device"] = device.name();
      j["device_name"] = device.kind() == DeviceKind::cpu ? device.cpu_features().name : device.description();
      j["threads"] = device.threads();
      j["precision"] = l.precision;
      j["N"] = config_.side_px;
      j["gridsize"] = config_.gridsize;
      j["filters_scale"] = config_.filters_scale;
      j["batch"] = config_.batch;
      j["warm_up"] = config_.warm_up;
      j["repeats"] = l.repeats;
      j["calls"] = l.calls;
      j["patterns"] = l.patterns;
      j["median_s"] = l.median_s;
      j["min_s"] = l.min_s;
      j["median_cpu_s"] = l.median_cpu_s;
      j["patterns_per_s"] = static_cast<double>(l.patterns) / l.median_s;
      j["flop"] = l.flop;
      j["bytes"] = l.bytes;
      j["flop_per_s"] = l.flop / l.median_s;
      j["bytes_per_s"] = l.bytes / l.median_s;
      j["device_peak_bytes"] = l.device_peak_bytes;
      j["seed"] = config_.seed;
      j["version"] = PTYFUSE_VERSION;
      const std::string text = j.dump();
      std::printf("%s\n", text.c_str());
      std::fflush(stdout);
      lines += text + "\n";
    });
    if (!output_.empty()) io::write_whole_file(output_, lines, force_);
    return 0;
  }

 private:
  std::string lesson_ =
      "One JSON object a line: median and least seconds, patterns per second, FLOP and bytes of the contract.\n\n" +
      list_of_cases() +
      "\nExamples:\n"
      "  ptyfuse bench   # the model at N 64, gridsize 2, batch 16\n"
      "  ptyfuse bench --case train_step --threads 1\n"
      "  ptyfuse bench --suite ops --N 128 --json OPS.jsonl\n"
      "  ptyfuse bench --suite machine   # what the memory and the units can do\n"
      "  ptyfuse bench --case physics --record PHYSICS.h5   # the same work for another program\n"
      "perf/compare, in the sources, measures all of it beside PyTorch.\n";
  std::string output_, record_;
  bool force_ = false;
  BenchmarkConfig config_;
};

}  // namespace

std::unique_ptr<Command> make_bench_command() {
  return std::make_unique<BenchCommand>();
}

}  // namespace ptyfuse::cli
