#include "io/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ptyfuse::io {

namespace {

std::string csv_cell(const Cell* cell) {
  if (cell == nullptr) return "";
  if (const auto* number = std::get_if<double>(cell)) return std::isfinite(*number) ? fmt::format("{}", *number) : "";
  if (const auto* text = std::get_if<std::string>(cell)) return csv_field(*text);
  return "";
}

/// Characters of UTF-8, as columns are padded by.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string without_bars(std::string text) {
  std::replace(text.begin(), text.end(), '|', '/');
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

const Cell* find_cell(const Row& row, const std::string& name) {
  const auto found = std::find_if(row.begin(), row.end(), [&](const auto& cell) { return cell.first == name; });
  return found == row.end() ? nullptr : &found->second;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string rows_csv(const std::vector<Row>& rows) {
  std::vector<std::string> columns;
  for (const Row& row : rows)
    for (const auto& [name, cell] : row)
      if (std::find(columns.begin(), columns.end(), name) == columns.end()) columns.push_back(name);
  std::string out;
  for (const std::string& name : columns) {
    if (!out.empty()) out += ',';
    out += csv_field(name);
  }
  out += '\n';
  for (const Row& row : rows) {
    for (size_t i = 0; i < columns.size(); ++i) {
      if (i > 0) out += ',';
      out += csv_cell(find_cell(row, columns[i]));
    }
    out += '\n';
  }
  return out;
}

std::string markdown_table(const std::vector<std::string>& heading,
                           const std::vector<std::vector<std::string>>& lines) {
  std::vector<std::vector<std::string>> table{heading};
  table.insert(table.end(), lines.begin(), lines.end());
  std::vector<size_t> widths(heading.size(), 3);
  for (auto& line : table) {
    line.resize(heading.size());
    for (size_t i = 0; i < line.size(); ++i) {
      line[i] = without_bars(std::move(line[i]));
      widths[i] = std::max(widths[i], width(line[i]));
    }
  }
  std::string out;
  for (size_t n = 0; n < table.size(); ++n) {
    for (size_t i = 0; i < widths.size(); ++i)
      out.append("| ").append(table[n][i]).append(widths[i] - width(table[n][i]) + 1, ' ');
    out += "|\n";
    if (n > 0) continue;
    for (const size_t w : widths) out.append("|").append(w + 2, '-');
    out += "|\n";
  }
  return out;
}

}  // namespace ptyfuse::io
