#include "perf/kernel_report/resources.h"

#include <cxxabi.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>

namespace ptyfuse::perf {
namespace {

std::string demangled(const std::string& symbol) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status),
                                                         &std::free);
  return status == 0 ? name.get() : symbol;
}

int round_up(int value, int step) {
  return (value + step - 1) / step * step;
}

// The number in front of `unit` in "..., 40 bytes smem, ..."; 0 where there is none.
int number_before(const std::string& line, const std::string& unit) {
  const size_t end = line.find(" " + unit);
  if (end == std::string::npos) return 0;
  const size_t before = line.find_last_not_of("0123456789", end - 1);
  return std::atoi(line.substr(before == std::string::npos ? 0 : before + 1).c_str());
}

void take(Row& row, const Resources& r) {
  row.registers = r.registers;
  row.spill_bytes = r.spill_bytes;
  row.static_shared_bytes = r.static_shared_bytes;
  row.spill_bytes_elsewhere = r.spill_bytes_elsewhere;
}

}  // namespace

std::map<std::string, Resources> read_ptxas(std::istream& in) {
  std::map<std::string, Resources> kernels;
  Resources* kernel = nullptr;
  const std::string entry = "Compiling entry function '", reported_architecture = "'sm_90a'";
  bool reported = false;
  for (std::string line; std::getline(in, line);) {
    const size_t at = line.find(entry);
    if (at != std::string::npos) {
      const size_t begin = at + entry.size();
      const size_t end = line.find('\'', begin);
      kernel = &kernels[plain_kernel_name(demangled(line.substr(begin, end - begin)))];
      reported = line.find(reported_architecture, end) != std::string::npos;
    } else if (kernel != nullptr && line.find("bytes stack frame") != std::string::npos) {
      int& most = reported ? kernel->spill_bytes : kernel->spill_bytes_elsewhere;
      most = std::max(most, number_before(line, "bytes spill stores") + number_before(line, "bytes spill loads"));
    } else if (kernel != nullptr && line.find("Used ") != std::string::npos) {
      if (reported) {
        kernel->registers = number_before(line, "registers");
        kernel->static_shared_bytes = number_before(line, "bytes smem");
      }
      kernel = nullptr;
    }
  }
  return kernels;
}

int blocks_per_multiprocessor(const Resources& kernel, int threads, int dynamic_shared_bytes) {
  constexpr int registers = 64 * 1024, warps = 64, blocks = 32, shared_bytes = 228 * 1024, of_system = 1024;
  const int warps_of_block = (threads + 31) / 32;
  const int registers_of_warp = round_up(32 * std::max(kernel.registers, 1), 256);
  const int shared_of_block = round_up(kernel.static_shared_bytes + dynamic_shared_bytes + of_system, 128);
  return std::min(
      {blocks, warps / warps_of_block, registers / registers_of_warp / warps_of_block, shared_bytes / shared_of_block});
}

void add_resources(std::vector<Row>& rows, const std::map<std::string, Resources>& kernels) {
  std::set<std::string> measured;
  for (Row& row : rows) {
    measured.insert(row.kernel);
    const auto found = kernels.find(row.kernel);
    if (found == kernels.end()) continue;
    const Resources& r = found->second;
    take(row, r);
    const int threads = static_cast<int>(row.threads);
    const int blocks = blocks_per_multiprocessor(r, threads, static_cast<int>(row.shared_bytes));
    row.blocks_per_multiprocessor = blocks;
    row.warps_per_multiprocessor = blocks * ((threads + 31) / 32);
  }
  for (const auto& [name, r] : kernels) {
    if (measured.count(name) != 0) continue;
    Row row;
    row.kernel = name;
    take(row, r);
    rows.push_back(std::move(row));
  }
}

std::map<std::string, Resources> resources_of(const std::vector<Row>& rows) {
  std::map<std::string, Resources> kernels;
  for (const Row& row : rows)
    if (!std::isnan(row.registers))
      kernels[row.kernel] = {static_cast<int>(row.registers), static_cast<int>(row.spill_bytes),
                             static_cast<int>(row.static_shared_bytes), static_cast<int>(row.spill_bytes_elsewhere)};
  return kernels;
}

}  // namespace ptyfuse::perf
