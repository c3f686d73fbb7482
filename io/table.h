#pragma once
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace ptyfuse::io {

/// Nothing (undefined, or not of this row), a number or words.
using Cell = std::variant<std::monostate, double, std::string>;

/// Named cells, in order: {"case", "gs1_ideal"}, {"amplitude_ssim", 0.62}, ...
using Row = std::vector<std::pair<std::string, Cell>>;

/// The cell of that name, or nullptr.
const Cell* find_cell(const Row& row, const std::string& name);

/// All cells of all rows as comma-separated values with every digit: columns in the order in which they first come.
/// Undefined cells, and numbers that are not finite, are empty.
std::string rows_csv(const std::vector<Row>& rows);

/// A table for people: Markdown, columns padded so that it reads as it stands.
std::string markdown_table(const std::vector<std::string>& heading, const std::vector<std::vector<std::string>>& lines);

/// A field of comma-separated values, quoted where it must be.
std::string csv_field(const std::string& text);

}  // namespace ptyfuse::io
