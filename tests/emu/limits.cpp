// Holds every kernel to its limits by perf/kernels.csv, and the file to the kernels as they are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "perf/kernel_report/resources.h"
#include "perf/kernel_report/workloads.h"

namespace ptyfuse::perf {
namespace {

namespace fs = std::filesystem;

constexpr const char* anew = "; write perf/kernels.csv anew by perf/kernels";

std::vector<Row> rows_of_file() {
  std::ifstream in(fs::path(PTYFUSE_SOURCE_DIR) / "perf/kernels.csv");
  EXPECT_TRUE(in) << "perf/kernels.csv is not there" << anew;
  return in ? read_csv(in) : std::vector<Row>();
}

std::string name_of(const Row& row) {
  return row.kernel + " in " + row.workload + ": " + row.operation + ", " + row.shape;
}

// --- Limits

/// A number of a row, and the most it may be.
struct Check {
  std::string what;
  double value, most;
};

std::vector<Check> checks_of(const Row& row) {
  std::vector<Check> checks;
  for (const Column& c : columns()) {
    const std::string name = c.name;
    const bool access = name.find("over_ideal") != std::string::npos;
    if (access) checks.push_back({name, row.*c.value, 1.1});
    if (name == "races" || name == "findings" || name.starts_with("spill_bytes"))
      checks.push_back({name, row.*c.value, 0});
  }
  const bool convolution = row.kernel.rfind("convolve", 0) == 0 || row.kernel.rfind("sum_products", 0) == 0;
  const double kib_per_pattern = row.footprint_bytes() / row.images / 1024;
  if (row.kernel.rfind("fused_physics<64", 0) == 0)
    checks.push_back({"KiB per pattern", kib_per_pattern, 96});
  else if (row.kernel.rfind("fused_physics<128", 0) == 0)
    checks.push_back({"KiB per pattern", kib_per_pattern, 384});
  else
    checks.push_back({"footprint_over_contract", row.footprint_over_contract, convolution ? 1.15 : 1.1});
  return checks;
}

/// Where a limit does not hold: a line of perf/kernels_excepted.csv.
struct Exception {
  std::string kernel;  ///< begins with this
  std::string where;   ///< name_of the row has this in it
  std::string what;
  double most = 0, worst = 0;  ///< allowed; and met
};
std::vector<Exception> exceptions_of_file() {
  std::ifstream in(fs::path(PTYFUSE_SOURCE_DIR) / "perf/kernels_excepted.csv");
  std::vector<Exception> exceptions;
  std::string line;
  EXPECT_TRUE(std::getline(in, line) && line == "kernel,where,what,most,reason");
  while (std::getline(in, line)) {
    const std::vector<std::string> cells = csv_cells(line);
    EXPECT_TRUE(cells.size() == 5 && !cells.back().empty()) << line;
    if (cells.size() == 5) exceptions.push_back({cells[0], cells[1], cells[2], std::strtod(cells[3].c_str(), nullptr)});
  }
  return exceptions;
}

bool covers(const Exception& e, const Row& row, const std::string& what) {
  return row.kernel.rfind(e.kernel, 0) == 0 && name_of(row).find(e.where) != std::string::npos && what == e.what;
}

TEST(kernel_limits, hold_in_every_row_but_for_named_exceptions) {
  std::vector<Exception> exceptions = exceptions_of_file();
  for (const Row& row : rows_of_file()) {
    EXPECT_FALSE(row.workload.empty()) << row.kernel << " is measured by no workload of perf/kernel_report";
    EXPECT_FALSE(std::isnan(row.registers)) << row.kernel << ": nvcc has not compiled it" << anew;
    for (const Check& c : checks_of(row)) {
      // NaN: of no meaning in this row.
      if (std::isnan(c.value) || c.value <= c.most) continue;
      const auto e = std::find_if(exceptions.begin(), exceptions.end(),
                                  [&](const Exception& x) { return covers(x, row, c.what); });
      const bool excepted = e != exceptions.end();
      EXPECT_LE(c.value, excepted ? e->most : c.most) << c.what << " of " << name_of(row);
      if (excepted) e->worst = std::max(e->worst, c.value);
    }
  }
  for (const Exception& e : exceptions)
    EXPECT_GE(e.worst, e.most / 1.1) << e.what << " of " << e.kernel << " (" << e.where
                                     << "): the exception is wider than needed, or not needed";
}

// --- The file against the sources

/// Names behind __global__ in a source.
std::set<std::string> kernels_of(const std::string& text) {
  std::set<std::string> names;
  const std::string mark = "__global__", bounds = "__launch_bounds__";
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    at += mark.size();
    for (std::string word;;) {
      while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) != 0) ++at;
      const size_t begin = at;
      while (at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '_')) ++at;
      word = text.substr(begin, at - begin);
      if (word == bounds) {
        int depth = 0;
        do depth += text[at] == '(' ? 1 : text[at] == ')' ? -1 : 0;
        while (++at < text.size() && depth > 0);
      } else if (word != "void") {
        if (!word.empty()) names.insert(word);
        break;
      }
    }
  }
  return names;
}

TEST(kernel_limits, every_kernel_has_a_row) {
  std::set<std::string> measured;
  for (const Row& row : rows_of_file()) measured.insert(row.kernel.substr(0, row.kernel.find('<')));
  int found = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(PTYFUSE_SOURCE_DIR) / "kernels/ops")) {
    const std::string extension = entry.path().extension();
    if (extension != ".cu" && extension != ".cuh") continue;
    std::ifstream in(entry.path());
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    for (const std::string& name : kernels_of(text)) {
      ++found;
      EXPECT_TRUE(measured.count(name)) << entry.path().filename() << ": " << name
                                        << " is in no row of perf/kernels.csv; give it a workload in perf/kernel_report"
                                        << anew;
    }
  }
  EXPECT_GT(found, 40);
}

TEST(kernel_limits, every_workload_has_rows) {
  std::set<std::string> in_file, wanted;
  for (const Row& row : rows_of_file()) in_file.insert(row.workload);
  for (const Workload& w : workloads()) wanted.insert(w.name);
  EXPECT_EQ(in_file, wanted) << anew;
}

// Quick workloads run again: the file's counters are those of the kernels as they are.
TEST(kernel_limits, counters_are_those_of_the_file) {
  const std::vector<Row> file = rows_of_file();
  int compared = 0;
  for (const Workload& w : workloads()) {
    if (!w.quick) continue;
    const std::vector<Row> now = measure(w);
    std::vector<Row> then;
    for (const Row& row : file)
      if (row.workload == w.name) then.push_back(row);
    ASSERT_EQ(now.size(), then.size()) << "rows of " << w.name << anew;
    for (size_t i = 0; i < now.size(); ++i) {
      ASSERT_EQ(name_of(now[i]), name_of(then[i])) << anew;
      for (const Column& c : columns()) {
        if (!c.measured) continue;
        const double a = now[i].*c.value, b = then[i].*c.value;
        ++compared;
        // A compiler of another version may split an access over two branches.
        const bool same = (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 0.02 * std::abs(b);
        EXPECT_TRUE(same) << c.name << " of " << name_of(now[i]) << ": " << a << ", the file has " << b << anew;
      }
    }
  }
  EXPECT_GT(compared, 1000);
}

// --- The report's own parts

TEST(kernel_report, reads_what_ptxas_says) {
  std::istringstream said(
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : Compiling entry function '_ZN1a12_GLOBAL__N_13addILi4EEEvPf' for 'sm_90a'\n"
      "ptxas info    : Function properties for _ZN1a12_GLOBAL__N_13addILi4EEEvPf\n"
      "    184 bytes stack frame, 232 bytes spill stores, 508 bytes spill loads\n"
      "ptxas info    : Used 64 registers, used 1 barriers, 184 bytes cumulative stack size, 48 bytes smem\n"
      "ptxas info    : Compiling entry function '_ZN1a12_GLOBAL__N_13addILi4EEEvPf' for 'sm_80'\n"
      "    192 bytes stack frame, 300 bytes spill stores, 508 bytes spill loads\n"
      "ptxas info    : Used 63 registers, used 1 barriers, 192 bytes cumulative stack size, 48 bytes smem\n");
  const auto kernels = read_ptxas(said);
  ASSERT_EQ(kernels.size(), 1U);
  EXPECT_EQ(kernels.begin()->first, "add<4>");
  const Resources& r = kernels.begin()->second;
  EXPECT_EQ(r.registers, 64);
  EXPECT_EQ(r.spill_bytes, 740);
  EXPECT_EQ(r.spill_bytes_elsewhere, 808);
  EXPECT_EQ(r.static_shared_bytes, 48);
}

TEST(kernel_report, counts_the_blocks_of_a_multiprocessor) {
  const auto blocks = [](int registers, int threads, int shared) {
    return blocks_per_multiprocessor({.registers = registers}, threads, shared);
  };
  EXPECT_EQ(blocks(32, 256, 0), 8);                // 64 warps
  EXPECT_EQ(blocks(64, 512, 0), 2);                // registers
  EXPECT_EQ(blocks(65, 512, 0), 1);                // registers come in eights
  EXPECT_EQ(blocks(168, 192, 100 * 1024), 2);      // both
  EXPECT_EQ(blocks(32, 64, 113 * 1024), 2);        // 228 KiB, one of them the system's for each block
  EXPECT_EQ(blocks(32, 64, 113 * 1024 + 128), 1);  //
  EXPECT_EQ(blocks(16, 32, 0), 32);                // no more blocks
}

TEST(kernel_report, names_kernels_alike_from_both_compilers) {
  EXPECT_EQ(plain_kernel_name("void a::(anonymous namespace)::fused<64, (a::(anonymous namespace)::Way)1>(a::Args)"),
            "fused<64, (Way)1>");
  EXPECT_EQ(plain_kernel_name("void a::elementwise<4, a::(anonymous namespace)::AddArgs>(a::AddArgs, a::Fours)"),
            "elementwise<4, AddArgs>");
  EXPECT_EQ(plain_kernel_name("pack<1>"), "pack<1>");
}

TEST(kernel_report, writes_what_it_reads) {
  Row row;
  row.workload = "w";
  row.operation = "o";
  row.shape = "1 x 2, bf16";
  row.kernel = "k<1, 2>";
  row.read_bytes = 123456789;
  row.read_over_ideal = 1.25;
  std::ostringstream out;
  write_csv(out, {row});
  std::istringstream in(out.str());
  const std::vector<Row> rows = read_csv(in);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(name_of(rows[0]), name_of(row));
  EXPECT_EQ(rows[0].read_bytes, 123456789);
  EXPECT_EQ(rows[0].read_over_ideal, 1.25);
  EXPECT_TRUE(std::isnan(rows[0].registers));
  std::ostringstream again;
  write_csv(again, rows);
  EXPECT_EQ(again.str(), out.str());
  std::istringstream other("workload,kernel\n");
  EXPECT_THROW(read_csv(other), Error);
}

}  // namespace
}  // namespace ptyfuse::perf
