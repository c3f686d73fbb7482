#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/option_table.h"
#include "engine/run_control.h"
#include "kernels/device/device.h"

namespace ptyfuse {

enum class BenchmarkSuite { ops, model, io };

struct BenchmarkConfig {
  BenchmarkSuite suite = BenchmarkSuite::model;
  std::string only;  ///< one case by name; empty: the whole suite
  int64_t side_px = 64, gridsize = 2;
  double filters_scale = 2;
  int64_t batch = 16;  ///< groups
  PrecisionChoice precision = PrecisionChoice::fp32;
  int64_t repeats = 10;
  uint64_t seed = 0;
};

/// The settings of `bench`, bound to `config`.
OptionTable benchmark_options(BenchmarkConfig& config);

/// One measurement; flop and bytes are the contract's for one repeat, 0 where it does not say.
struct BenchmarkLine {
  std::string name, precision;
  int64_t repeats = 0, patterns = 0;
  double median_s = 0, min_s = 0, flop = 0, bytes = 0;
};

/// Measures the suite on random data, three untimed repeats before the timed ones; each finished line is handed over at
/// once. UsageError: no case of that name (the message lists them).
void run_benchmark(const Device& device, const BenchmarkConfig& config, const RunControl& control,
                   const std::function<void(const BenchmarkLine&)>& line);

}  // namespace ptyfuse
