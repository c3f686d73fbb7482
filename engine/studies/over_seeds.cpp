#include "engine/studies/over_seeds.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/device/error.h"

namespace ptyfuse::studies {
namespace {

/// NaN where the row has no number of that name.
double number_in(const io::Row& row, const std::string& name) {
  const io::Cell* cell = io::find_cell(row, name);
  const auto* value = cell == nullptr ? nullptr : std::get_if<double>(cell);
  return value == nullptr ? std::numeric_limits<double>::quiet_NaN() : *value;
}

}  // namespace

std::string SeedGroup::label(const std::string& name) const {
  const io::Cell* cell = io::find_cell(labels_, name);
  if (cell == nullptr) return "";
  if (const auto* number = std::get_if<double>(cell)) return fmt::format("{:g}", *number);
  const auto* text = std::get_if<std::string>(cell);
  return text == nullptr ? "" : *text;
}

double SeedGroup::number(const std::string& name) const {
  return number_in(labels_, name);
}

std::vector<double> SeedGroup::values(const std::string& figure) const {
  std::vector<double> out;
  for (const io::Row& row : rows_) {
    const io::Cell* cell = io::find_cell(row, figure);
    if (cell == nullptr) continue;
    if (const auto* value = std::get_if<double>(cell)) out.push_back(*value);
  }
  return out;
}

double SeedGroup::mean(const std::string& figure) const {
  const std::vector<double> all = values(figure);
  double sum = 0;
  for (const double value : all) sum += value;
  return all.empty() ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(all.size());
}

double SeedGroup::deviation(const std::string& figure) const {
  const std::vector<double> all = values(figure);
  if (all.size() < 2) return 0;
  const double middle = mean(figure);
  double squares = 0;
  for (const double value : all) squares += (value - middle) * (value - middle);
  return std::sqrt(squares / static_cast<double>(all.size() - 1));
}

std::string SeedGroup::text(const std::string& figure, int decimals) const {
  const std::vector<double> all = values(figure);
  if (all.empty()) return "-";
  std::string out = fmt::format("{:.{}f}", mean(figure), decimals);
  if (all.size() > 1) out += fmt::format(" ± {:.{}f}", deviation(figure), decimals);
  const size_t wanted = std::max(expected_, rows_.size());
  if (all.size() < wanted) out += fmt::format(" ({} of {})", all.size(), wanted);
  return out;
}

double SeedGroup::first(const std::string& figure) const {
  return rows_.empty() ? std::numeric_limits<double>::quiet_NaN() : number_in(rows_.front(), figure);
}

std::string SeedGroup::first_text(const std::string& figure, int decimals) const {
  const double value = first(figure);
  return std::isnan(value) ? "-" : fmt::format("{:.{}f}", value, decimals);
}

std::vector<SeedGroup> over_seeds(const std::vector<io::ArmResult>& arms, const std::vector<std::string>& labels) {
  std::vector<SeedGroup> out;
  for (const io::ArmResult& arm : arms) {
    if (arm.rows.empty())
      throw Error(ErrorKind::shape, "arm " + arm.arm + ": its result has no row, so that no table can hold it");
    for (const io::Row& row : arm.rows) {
      io::Row own;
      for (const std::string& name : labels)
        if (const io::Cell* cell = io::find_cell(row, name)) own.emplace_back(name, *cell);
      auto found = std::find_if(out.begin(), out.end(), [&](const SeedGroup& group) { return group.labels() == own; });
      if (found == out.end()) found = out.emplace(out.end(), arm.arm, own);
      found->add(row);
    }
  }
  size_t most = 0;
  const auto has_seeds = [](const SeedGroup& group) { return !std::isnan(group.first("seed")); };
  for (const SeedGroup& group : out)
    if (has_seeds(group)) most = std::max(most, group.rows());
  for (SeedGroup& group : out)
    if (has_seeds(group)) group.expect(most);
  return out;
}

io::Curve curve_over(const std::vector<SeedGroup>& groups, const std::string& label,
                     const std::function<bool(const SeedGroup&)>& chosen,
                     const std::function<double(const SeedGroup&)>& x, const std::string& figure) {
  io::Curve curve{.label = label};
  for (const SeedGroup& group : groups) {
    if (!chosen(group)) continue;
    curve.x.push_back(x(group));
    curve.y.push_back(group.mean(figure));
  }
  return curve;
}

io::Curve method_curve(const std::vector<SeedGroup>& groups, const std::string& method, const std::string& x_label,
                       const std::string& figure) {
  return curve_over(
      groups, method, [&](const SeedGroup& group) { return group.label("method") == method; },
      [&](const SeedGroup& group) { return group.number(x_label); }, figure);
}

}  // namespace ptyfuse::studies
