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

enum class BenchmarkSuite { ops, model, io, machine };

struct BenchmarkConfig {
  BenchmarkSuite suite = BenchmarkSuite::model;
  std::string only;  ///< one case by name; empty: the whole suite
  int64_t side_px = 64, gridsize = 2;
  double filters_scale = 2;
  int64_t batch = 16;       ///< groups
  int64_t patterns = 1000;  ///< of the scan that reconstruct and load read
  PrecisionChoice precision = PrecisionChoice::fp32;
  int64_t warm_up = 3, repeats = 10;
  uint64_t seed = 0;
};

/// The settings of `bench`, bound to `config`.
OptionTable benchmark_options(BenchmarkConfig& config);

/// What can be measured.
struct BenchmarkCase {
  std::string name;
  BenchmarkSuite suite;
  std::string summary;  ///< one line for people
};
std::vector<BenchmarkCase> benchmark_cases();

/// One measurement. A repeat is `calls` of the case's work between two waits for the device, which share its seconds
/// alike: seconds, patterns, flop and bytes (the contract's) are of one call. median_cpu_s: processor seconds of all
/// threads of this process, which other programs' work disturbs less than the clock on the wall. device_peak_bytes:
/// most that the case, its preparation included, held on the device at once.
struct BenchmarkLine {
  std::string name, precision;
  int64_t repeats = 0, calls = 1, patterns = 0, device_peak_bytes = 0;
  double median_s = 0, min_s = 0, median_cpu_s = 0, flop = 0, bytes = 0;
};

/// Measures the suite on random data, each case on a device like this one, `warm_up` untimed repeats before the timed
/// ones; each finished line is handed over at once. A case's data depend on seed and settings alone, not on what ran
/// before it. UsageError: no case of that name (the message lists them); a case that the device has not.
void run_benchmark(const Device& device, const BenchmarkConfig& config, const RunControl& control,
                   const std::function<void(const BenchmarkLine&)>& line);

/// Runs the case config.only once, untimed, on the same data as run_benchmark() and writes what went in and what came
/// out to an HDF5 file, for another program to do the same work: attribute `config` (JSON), inputs/NAME,
/// weights/LAYER/kernel and /bias, outputs/NAME. Cases that read a scan leave it beside the file, as PATH + ".scan.h5"
/// (inputs hold no frames then). UsageError: no case of that name; one that cannot be recorded (the message lists those
/// that can). FileError as AtomicFile.
void record_benchmark(const Device& device, const BenchmarkConfig& config, const std::string& path, bool force);

}  // namespace ptyfuse
