#include <cstdio>
#include <nlohmann/json.hpp>

#include "bin/command.h"
#include "engine/benchmark.h"
#include "io/atomic_file.h"

namespace ptyfuse::cli {
namespace {

class BenchCommand : public Command {
 public:
  const char* name() const override { return "bench"; }
  const char* summary() const override { return "Measure the speed of operations, model and reading on this machine."; }
  const char* lesson() const override {
    return "One JSON object a line: median and least seconds, patterns per second, FLOP and bytes of the contract.\n\n"
           "Examples:\n"
           "  ptyfuse bench   # the model at N 64, gridsize 2, batch 16\n"
           "  ptyfuse bench --case train_step --threads 1\n"
           "  ptyfuse bench --suite ops --N 128 --json OPS.jsonl\n";
  }
  void declare(CLI::App& app) override {
    app.add_option("--json", output_, "write the lines to this file too")->type_name("FILE");
    app.add_flag("--force", force_, "replace the file if it exists");
    add_table(app, benchmark_options(config_));
  }
  int run() override {
    check_outputs({output_}, force_);
    const Device device = make_device();
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
      j["repeats"] = l.repeats;
      j["patterns"] = l.patterns;
      j["median_s"] = l.median_s;
      j["min_s"] = l.min_s;
      j["patterns_per_s"] = static_cast<double>(l.patterns) / l.median_s;
      j["flop"] = l.flop;
      j["bytes"] = l.bytes;
      j["flop_per_s"] = l.flop / l.median_s;
      j["bytes_per_s"] = l.bytes / l.median_s;
      j["seed"] = config_.seed;
      j["version"] = PTYFUSE_VERSION;
      const std::string text = j.dump();
      std::printf("%s\n", text.c_str());
      std::fflush(stdout);
      lines += text + "\n";
    });
    if (!output_.empty()) io::write_text_file(output_, lines, force_);
    return 0;
  }

 private:
  std::string output_;
  bool force_ = false;
  BenchmarkConfig config_;
};

}  // namespace

std::unique_ptr<Command> make_bench_command() {
  return std::make_unique<BenchCommand>();
}

}  // namespace ptyfuse::cli
