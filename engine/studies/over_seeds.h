#pragma once
#include <functional>
#include <string>
#include <vector>

#include "io/figure.h"
#include "io/study_files.h"

namespace ptyfuse::studies {

/// The rows of several arms that share their labels, as those of several seeds do.
class SeedGroup {
 public:
  SeedGroup(std::string arm, io::Row labels) : arm_(std::move(arm)), labels_(std::move(labels)) {}
  void add(const io::Row& row) { rows_.push_back(row); }

  const io::Row& labels() const { return labels_; }
  /// A label's text, or its number.
  std::string label(const std::string& name) const;
  double number(const std::string& name) const;
  /// The first of its arms.
  const std::string& arm() const { return arm_; }
  /// NaN where no row has it.
  double mean(const std::string& figure) const;
  /// Standard deviation over its rows, 0 of a single one.
  double deviation(const std::string& figure) const;
  /// "0.4137", with several seeds "0.4137 ± 0.0121" (standard deviation), "-" where no row has it. Where other groups
  /// have more seeds, or not all of its rows have the figure: "0.4137 ± 0.0121 (2 of 3)".
  std::string text(const std::string& figure, int decimals) const;
  /// The value of its first arm alone; NaN, or "-", where it has none.
  double first(const std::string& figure) const;
  std::string first_text(const std::string& figure, int decimals) const;
  /// How many rows a group of all seeds has.
  void expect(size_t rows) { expected_ = rows; }
  size_t rows() const { return rows_.size(); }

 private:
  std::vector<double> values(const std::string& figure) const;
  std::string arm_;
  io::Row labels_;
  std::vector<io::Row> rows_;
  size_t expected_ = 0;
};

/// Groups in the order in which they first come; those of rows with a "seed" expect as many as the largest has.
/// Error(shape): an arm has no row.
std::vector<SeedGroup> over_seeds(const std::vector<io::ArmResult>& arms, const std::vector<std::string>& labels);

/// The mean of a figure in each of the groups that are `chosen`, over x of the group.
io::Curve curve_over(const std::vector<SeedGroup>& groups, const std::string& label,
                     const std::function<bool(const SeedGroup&)>& chosen,
                     const std::function<double(const SeedGroup&)>& x, const std::string& figure);
/// The same of the groups of a method, over a label that is a number.
io::Curve method_curve(const std::vector<SeedGroup>& groups, const std::string& method, const std::string& x_label,
                       const std::string& figure);

}  // namespace ptyfuse::studies
