// ptyfuse-emu-report: measures every kernel in the emu world and writes perf/kernels.csv; perf/kernels runs it.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <sstream>

#include "perf/kernel_report/resources.h"
#include "perf/kernel_report/workloads.h"

namespace {

using namespace ptyfuse::perf;

constexpr const char* usage =
    "usage: ptyfuse-emu-report OUT.csv [--ptxas FILE] [--only TEXT]\n"
    "  --ptxas FILE  what nvcc -Xptxas -v said of all kernels; without it, nvcc's columns of OUT.csv "
    "stay\n"
    "  --only TEXT   workloads whose name contains TEXT; prints them and leaves OUT.csv alone\n";

int run(int count, char** arguments) {
  std::string out, ptxas, only;
  for (int i = 1; i < count; ++i) {
    const bool valued = std::strncmp(arguments[i], "--", 2) == 0;
    std::string* const target = !valued                                     ? &out
                                : std::strcmp(arguments[i], "--ptxas") == 0 ? &ptxas
                                : std::strcmp(arguments[i], "--only") == 0  ? &only
                                                                            : nullptr;
    if (target == nullptr || (valued && i + 1 == count)) {
      std::fputs(usage, stderr);
      return 2;
    }
    *target = valued ? arguments[++i] : arguments[i];
  }
  if (out.empty()) {
    std::fputs(usage, stderr);
    return 2;
  }

  std::vector<Row> rows;
  for (const Workload& w : workloads()) {
    if (std::string(w.name).find(only) == std::string::npos) continue;
    const auto start = std::chrono::steady_clock::now();
    for (Row& row : measure(w)) rows.push_back(std::move(row));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::fprintf(stderr, "%6.1f s  %s\n", seconds, w.name);
  }
  std::map<std::string, Resources> kernels;
  if (!ptxas.empty()) {
    std::ifstream in(ptxas);
    kernels = read_ptxas(in);
  } else if (std::ifstream in(out); in) {
    kernels = resources_of(read_csv(in));
  }
  std::ostringstream text;
  if (only.empty()) add_resources(rows, kernels);
  write_csv(text, rows);
  if (!only.empty()) {
    std::fputs(text.str().c_str(), stdout);
    return 0;
  }
  std::ofstream file(out);
  file << text.str();
  file.close();
  if (!file) {
    std::fprintf(stderr, "%s cannot be written\n", out.c_str());
    return 1;
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
