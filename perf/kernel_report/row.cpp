#include "perf/kernel_report/row.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "kernels/device/error.h"
#include "kernels/emu/symbols.h"

namespace ptyfuse::perf {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

struct TextColumn {
  const char* name;
  std::string Row::*value;
};
constexpr std::array<TextColumn, 4> text_columns = {
    {{"workload", &Row::workload}, {"operation", &Row::operation}, {"shape", &Row::shape}, {"kernel", &Row::kernel}}};

// Shortest form of at most six digits, whole numbers in full.
std::string number(double value) {
  if (std::isnan(value)) return "";
  std::array<char, 64> digits;
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  const auto end =
      whole ? std::to_chars(digits.data(), digits.data() + digits.size(), static_cast<int64_t>(value))
            : std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::general, 6);
  return {digits.data(), end.ptr};
}

std::string quoted(const std::string& text) {
  return text.find(',') == std::string::npos ? text : '"' + text + '"';
}

std::string header() {
  std::string line;
  for (const TextColumn& c : text_columns) line += std::string(c.name) + ',';
  for (const Column& c : columns()) line += std::string(c.name) + ',';
  line.pop_back();
  return line;
}

double over_ideal(const emu::Traffic& traffic) {
  return traffic.requests == 0 ? unknown : traffic.cost_over_ideal();
}
double per_request(const emu::Traffic& traffic) {
  return traffic.requests == 0 ? unknown : traffic.cost_per_request();
}

}  // namespace

Row::Row() {
  for (const Column& c : columns()) this->*c.value = unknown;
}

const std::vector<Column>& columns() {
  static const std::vector<Column> all = {
      {"images", &Row::images, true},
      {"launches", &Row::launches, true},
      {"blocks", &Row::blocks, true},
      {"threads", &Row::threads, true},
      {"shared_bytes", &Row::shared_bytes, true},
      {"read_bytes", &Row::read_bytes, true},
      {"write_bytes", &Row::write_bytes, true},
      {"footprint_read_bytes", &Row::footprint_read_bytes, true},
      {"footprint_write_bytes", &Row::footprint_write_bytes, true},
      {"contract_bytes", &Row::contract_bytes, true},
      {"footprint_over_contract", &Row::footprint_over_contract, true},
      {"read_sectors_per_request", &Row::read_sectors_per_request, true},
      {"write_sectors_per_request", &Row::write_sectors_per_request, true},
      {"read_over_ideal", &Row::read_over_ideal, true},
      {"write_over_ideal", &Row::write_over_ideal, true},
      {"shared_read_over_ideal", &Row::shared_read_over_ideal, true},
      {"shared_write_over_ideal", &Row::shared_write_over_ideal, true},
      {"mma_flop", &Row::mma_flop, true},
      {"barriers", &Row::barriers, true},
      {"races", &Row::races, true},
      {"findings", &Row::findings, true},
      {"allowed_us", &Row::allowed_us, true},
      {"registers", &Row::registers, false},
      {"spill_bytes", &Row::spill_bytes, false},
      {"static_shared_bytes", &Row::static_shared_bytes, false},
      {"spill_bytes_elsewhere", &Row::spill_bytes_elsewhere, false},
      {"blocks_per_multiprocessor", &Row::blocks_per_multiprocessor, false},
      {"warps_per_multiprocessor", &Row::warps_per_multiprocessor, false},
  };
  return all;
}

Row make_row(const std::vector<const emu::LaunchReport*>& launches, const ops::Cost& contract) {
  Row row;
  row.kernel = plain_kernel_name(launches.front()->kernel);
  emu::Counters sum;
  row.threads = row.shared_bytes = row.races = row.findings = 0;
  for (const emu::LaunchReport* l : launches) {
    sum.add(l->counters);
    row.threads = std::max(row.threads, static_cast<double>(l->block[0] * l->block[1] * l->block[2]));
    row.shared_bytes = std::max(row.shared_bytes, static_cast<double>(l->shared_bytes));
    for (const emu::Finding& f : l->findings) {
      row.findings += 1;
      row.races += f.kind == emu::FindingKind::race ? 1 : 0;
    }
  }
  row.launches = static_cast<double>(sum.launches);
  row.blocks = static_cast<double>(sum.blocks);
  row.read_bytes = static_cast<double>(sum.global_read.bytes);
  row.write_bytes = static_cast<double>(sum.global_write.bytes);
  row.footprint_read_bytes = static_cast<double>(sum.footprint_read_bytes);
  row.footprint_write_bytes = static_cast<double>(sum.footprint_write_bytes);
  row.read_sectors_per_request = per_request(sum.global_read);
  row.write_sectors_per_request = per_request(sum.global_write);
  row.read_over_ideal = over_ideal(sum.global_read);
  row.write_over_ideal = over_ideal(sum.global_write);
  row.shared_read_over_ideal = over_ideal(sum.shared_read);
  row.shared_write_over_ideal = over_ideal(sum.shared_write);
  row.mma_flop = static_cast<double>(sum.mma_flop);
  row.barriers = static_cast<double>(sum.block_barriers);
  if (contract.bytes > 0) {
    row.contract_bytes = contract.bytes;
    row.footprint_over_contract = row.footprint_bytes() / contract.bytes;
  }
  // A contract's FLOP are those of tensor cores where the kernel has any.
  row.allowed_us = 1e6 * std::max({row.footprint_bytes() / copy_bytes_per_s, row.mma_flop / tensor_flop_per_s,
                                   row.mma_flop > 0 ? 0 : contract.flop / float_flop_per_s});
  return row;
}

std::string plain_kernel_name(const std::string& demangled) {
  std::string name = emu::short_function_name(demangled);
  const std::string anonymous = "(anonymous namespace)::";
  for (size_t at; (at = name.find(anonymous)) != std::string::npos;) name.erase(at, anonymous.size());
  for (size_t at; (at = name.find("::")) != std::string::npos;) {
    const size_t before = name.find_last_of("<(, ", at);
    const size_t begin = before == std::string::npos ? 0 : before + 1;
    name.erase(begin, at + 2 - begin);
  }
  return name;
}

std::vector<std::string> csv_cells(const std::string& line) {
  std::vector<std::string> cells(1);
  bool in_quotes = false;
  for (const char c : line) {
    if (c == '"')
      in_quotes = !in_quotes;
    else if (c == ',' && !in_quotes)
      cells.emplace_back();
    else
      cells.back() += c;
  }
  return cells;
}

void write_csv(std::ostream& out, const std::vector<Row>& rows) {
  out << header() << '\n';
  for (const Row& row : rows) {
    std::string line;
    for (const TextColumn& c : text_columns) line += quoted(row.*c.value) + ',';
    for (const Column& c : columns()) line += number(row.*c.value) + ',';
    line.pop_back();
    out << line << '\n';
  }
}

std::vector<Row> read_csv(std::istream& in) {
  const auto refuse = [](const std::string& what) {
    throw Error(ErrorKind::shape, "perf/kernels.csv: " + what + "; write it anew by perf/kernels");
  };
  std::vector<Row> rows;
  std::string line;
  if (!std::getline(in, line) || line != header()) refuse("its first line does not name the columns of this version");
  while (std::getline(in, line)) {
    const std::vector<std::string> cells = csv_cells(line);
    if (cells.size() != text_columns.size() + columns().size()) refuse("a line of other columns: " + line);
    Row row;
    size_t at = 0;
    for (const TextColumn& c : text_columns) row.*c.value = cells[at++];
    for (const Column& c : columns()) {
      const std::string& cell = cells[at++];
      if (cell.empty()) continue;
      const char* const end = cell.data() + cell.size();
      if (std::from_chars(cell.data(), end, row.*c.value).ptr != end) refuse("'" + cell + "' is not a number: " + line);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace ptyfuse::perf
