#pragma once
#include <string>
#include <utility>
#include <vector>

#include "io/file_error.h"
#include "io/table.h"

namespace ptyfuse::io {

/// What an arm of a study was made with and what came of it: arms/NAME.json of a study's folder.
struct ArmResult {
  std::string study, arm;
  std::vector<std::pair<std::string, std::string>> settings;  ///< all that the result depends on
  std::string version, device;                                ///< who made it
  double seconds = 0;
  std::vector<Row> rows;
  std::vector<std::pair<std::string, std::vector<double>>> curves;
  std::vector<std::pair<std::string, std::string>> products =
      {};  ///< files beside it that reports read, and fingerprints
};

/// An arm's result that is whole for all one knows, and of a layout that this version does not read.
class OtherLayout : public FileError {
 public:
  using FileError::FileError;
};

/// Written whole or not at all; replaces.
void write_arm_result(const std::string& path, const ArmResult& result);
/// FileError: not the result of an arm, damaged, or changed since it was written; OtherLayout.
ArmResult read_arm_result(const std::string& path);

/// results.json: everything of a study in one file.
struct StudySummary {
  std::string study, title, version, device;
  bool complete = false;
  std::vector<std::pair<std::string, std::string>> failed;  ///< arm, why
  std::vector<std::string> notes;
  std::vector<std::string> figures;  ///< file names
};
/// The figures that a study's results.json names: plain file names that end in .png, all others left out. Empty where
/// it is missing or damaged.
std::vector<std::string> figures_of_study(const std::string& path);
std::string study_json(const StudySummary& summary, const std::vector<ArmResult>& arms);

}  // namespace ptyfuse::io
