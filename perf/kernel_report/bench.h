#pragma once
// Runs operations on the emulated GPU under count, and makes rows of their launches.
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/device/buffer.h"
#include "perf/kernel_report/row.h"

namespace ptyfuse::perf {

/// What kernels whose name begins with `kernel` need by the operation's contract.
struct Contract {
  std::string kernel;
  ops::Cost cost;
};

struct Operation {
  std::string name;
  std::string shape;
  int64_t images = 1;  ///< or patterns, or frames, of the call
  std::vector<Contract> contracts = {};
};

class Bench {
 public:
  Bench() : device_(Device::cuda({.threads = 1})), stream_(device_) {}
  const Device& device() const { return device_; }
  Stream& stream() { return stream_; }

  /// Seeded data, uniform: in [low, high); real and imaginary part in [-1, 1); 0 or 1, mostly 1.
  Tensor<float> floats(const Shape& shape, double low = -1, double high = 1);
  Tensor<complex64> waves(const Shape& shape);
  Tensor<float> mask(const Shape& shape);
  template <class T>
  Tensor<T> values(const Shape& shape, const std::vector<T>& host) {
    Tensor<T> out(device_, shape, "report");
    copy_to_device(stream_, out.view(), host.data(), out.elements());
    return out;
  }
  template <class T = float>
  Tensor<T> room(const Shape& shape) {
    return Tensor<T>(device_, shape, "report");
  }
  double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random_); }

  /// A row for each kernel that `call` launches.
  void measure(const Operation& operation, const std::function<void()>& call);
  std::vector<Row> take_rows() { return std::move(rows_); }

 private:
  Device device_;
  Stream stream_;
  std::mt19937 random_{1};
  std::vector<Row> rows_;
};

}  // namespace ptyfuse::perf
