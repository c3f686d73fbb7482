#include "perf/kernel_report/bench.h"

#include <algorithm>

namespace ptyfuse::perf {

Tensor<float> Bench::floats(const Shape& shape, double low, double high) {
  std::vector<float> host(static_cast<size_t>(shape.elements()));
  for (float& v : host) v = static_cast<float>(uniform(low, high));
  return values(shape, host);
}

Tensor<complex64> Bench::waves(const Shape& shape) {
  std::vector<complex64> host(static_cast<size_t>(shape.elements()));
  for (complex64& v : host) {
    const auto re = static_cast<float>(uniform(-1, 1));
    v = {re, static_cast<float>(uniform(-1, 1))};
  }
  return values(shape, host);
}

Tensor<float> Bench::mask(const Shape& shape) {
  std::vector<float> host(static_cast<size_t>(shape.elements()));
  for (float& v : host) v = uniform(0, 1) < 0.9 ? 1.0F : 0.0F;
  return values(shape, host);
}

void Bench::measure(const Operation& operation, const std::function<void()>& call) {
  emu::Recorder recorder({.throw_on_finding = false});
  call();
  std::vector<std::string> names;  // in the order of launches
  for (const emu::LaunchReport& l : recorder.launches())
    if (std::find(names.begin(), names.end(), l.kernel) == names.end()) names.push_back(l.kernel);
  for (const std::string& name : names) {
    std::vector<const emu::LaunchReport*> launches;
    for (const emu::LaunchReport& l : recorder.launches())
      if (l.kernel == name) launches.push_back(&l);
    const std::string plain = plain_kernel_name(name);
    ops::Cost cost;
    for (const Contract& c : operation.contracts)
      if (plain.rfind(c.kernel, 0) == 0) cost = c.cost;
    Row row = make_row(launches, cost);
    row.operation = operation.name;
    row.shape = operation.shape;
    row.images = static_cast<double>(operation.images);
    rows_.push_back(std::move(row));
  }
}

}  // namespace ptyfuse::perf
