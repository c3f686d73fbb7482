#pragma once
// What the benchmark's cases are made of. Their rooms: benchmark_ops.cpp (single operations), benchmark_model.cpp
// (network, physics, training), benchmark_scan.cpp (reading, reconstruction, stitching), benchmark_machine.cpp (what
// the processor and the memory can do).
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/benchmark.h"
#include "engine/config.h"
#include "engine/random.h"
#include "engine/trainer.h"
#include "io/named_arrays.h"
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::benchmark {

/// What went into a case and what came out of it.
struct Record {
  std::string path;    ///< of the file that is being made
  bool force = false;  ///< replaces what is there
  std::vector<io::NamedArray> arrays;

  template <class T>
  void add(const std::string& name, const std::vector<int64_t>& shape, std::vector<T> data) {
    arrays.push_back({name, shape, std::move(data)});
  }
  void add_number(const std::string& name, double value) { add<double>(name, {1}, {value}); }
  /// A network's flat parameters under `group`/LAYER/kernel and /bias.
  void add_parameters(const std::string& group, const UNet& network, std::span<const float> flat);
};

/// A case ready to run. `run` is what is timed; it owns all that it needs. Patterns and cost are of one call.
struct Prepared {
  std::function<void()> run;
  int64_t patterns = 0;
  ops::Cost cost;
  std::function<void(Record&)> record = {};  ///< before any run(); empty: cannot be recorded
  int64_t calls = 1;                         ///< in one run(), as BenchmarkLine::calls
};

/// What the cases share: device, settings and random data.
class Bench {
 public:
  Bench(const Device& device, const BenchmarkConfig& config);

  /// The random numbers of this case, from the beginning.
  void begin(const std::string& case_name);

  int64_t members() const { return config.gridsize * config.gridsize; }
  int64_t patterns() const { return config.batch * members(); }

  template <class T>
  std::shared_ptr<Tensor<T>> tensor(const Shape& shape, const std::vector<T>& values) {
    auto t = std::make_shared<Tensor<T>>(device, shape, "benchmark");
    copy_to_device(stream, t->view(), values.data(), t->elements());
    return t;
  }
  std::vector<float> random_floats(int64_t count, double low, double high);
  std::shared_ptr<Tensor<float>> floats(const Shape& shape, double low, double high);
  std::shared_ptr<Tensor<complex64>> complexes(const Shape& shape);
  std::shared_ptr<Tensor<complex64>> probe();

  template <class T>
  std::vector<T> download(TensorView<const T> view) {
    std::vector<T> out(static_cast<size_t>(view.elements()));
    copy_to_host(stream, out.data(), view, view.elements());
    return out;
  }

  /// A scan of random patterns on a raster of 5 px whose groups, where there are groups, are given: `groups` of them.
  io::ScanInfo scan_info(int64_t frames, int64_t groups) const;
  std::vector<float> scan_amplitude(int64_t frames);
  /// On such a scan in memory.
  std::shared_ptr<Trainer> trainer(const io::ScanInfo& info, std::vector<float> amplitude) const;

  Device device;
  Stream stream;
  BenchmarkConfig config;
  GeneratorConfig network;
  Random random;
};

/// A case and how it is prepared.
struct Case {
  BenchmarkCase what;
  Prepared (*prepare)(Bench&);
  bool cpu_only = false;  ///< left out of its suite on a GPU
};
std::vector<Case> model_cases();
std::vector<Case> scan_cases();
std::vector<Case> ops_cases();
std::vector<Case> machine_cases();

inline std::vector<int64_t> extents(const Shape& shape) {
  std::vector<int64_t> out;
  for (int axis = 0; axis < shape.rank(); ++axis) out.push_back(shape[axis]);
  return out;
}

/// Adds a tensor's contents to a record.
template <class T>
void add_tensor(Record& record, Bench& bench, const std::string& name, TensorView<const T> view) {
  record.add<T>(name, extents(view.shape()), bench.download(view));
}

}  // namespace ptyfuse::benchmark
