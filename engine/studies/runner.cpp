#include "engine/studies/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "engine/clock_text.h"
#include "engine/studies/arm_queue.h"
#include "io/atomic_file.h"
#include "io/file_error.h"
#include "io/file_kind.h"
#include "io/folder_lock.h"
#include "kernels/device/error.h"

namespace ptyfuse::studies {
namespace {

namespace fs = std::filesystem;

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw io::FileError(path, "cannot make this folder: " + error.message());
}

/// Which study a folder belongs to lies in it as a file of one line.
std::string owner_path(const std::string& folder) {
  return folder + "/study";
}

void take_folder(const std::string& folder, const std::string& study) {
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_directory(folder, error))
    throw io::FileError(folder, "is not a folder; -o names the folder of the study");
  const std::string owner = study_of(folder);
  if (!owner.empty() && owner != study)
    throw io::FileError(folder, "holds 'study " + owner + "', not 'study " + study + "'; choose another folder");
  if (owner.empty() && fs::is_directory(folder, error) && !fs::is_empty(folder, error)) {
    if (!fs::is_directory(folder + "/arms", error))
      throw io::FileError(folder, "holds other files and no study; choose another folder");
    throw io::FileError(owner_path(folder),
                        "is missing, empty or no file, so that nobody knows whose arms lie here; choose another "
                        "folder, or, if they are of this study, write '" +
                            study + "' into it");
  }
  // What a run clears away and writes lies in these: through a link it would be another folder's.
  for (const char* part : {"/arms", "/data"})
    if (fs::is_symlink(fs::symlink_status(folder + part, error)))
      throw io::FileError(folder + part, "is a link; a study keeps its files in its own folder. Remove the link");
  for (const char* file : {"/results.csv", "/results.json", "/report.md"})
    if (fs::is_directory(folder + file, error))
      throw io::FileError(folder + file, "is a folder, where the study writes a file; remove it");
  make_folder(folder);
  io::write_whole_file(owner_path(folder), study + "\n", true);  // first: without it the folder is nobody's
  make_folder(folder + "/arms");
}

/// Leftovers of a killed run.
void clean(const std::string& folder) {
  std::error_code error;
  for (const char* part : {"/arms", "/data"}) {
    std::vector<fs::path> out;
    for (const auto& entry : fs::directory_iterator(folder + part, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".") && name.ends_with(".tmp")) out.push_back(entry.path());
    }
    for (const fs::path& path : out) fs::remove(path, error);
  }
}

/// Where the arms lie that --force does anew, until all are done: former-arms, and former-arms-2, ... of forced runs
/// that did not end.
std::string former_path(const std::string& folder, int64_t number) {
  return folder + "/former-arms" + (number > 1 ? fmt::format("-{}", number) : "");
}

bool holds_a_finished_arm(const std::string& arms) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(arms, error))
    if (entry.path().extension() == ".json") return true;
  return false;
}

/// Puts the arms aside where one of them is done; else nothing of them is worth keeping.
void put_arms_aside(const std::string& folder, const RunControl& control) {
  std::error_code error;
  fs::remove_all(folder + "/data", error);
  const std::string arms = folder + "/arms";
  if (holds_a_finished_arm(arms)) {
    int64_t number = 1;
    while (fs::exists(fs::symlink_status(former_path(folder, number), error))) ++number;
    const std::string former = former_path(folder, number);
    fs::rename(arms, former, error);
    if (!error)
      control.say(former + ": the arms that were done, until all are done anew; to have them back, rename it to arms");
  } else {
    fs::remove_all(arms, error);
  }
  if (error) throw io::FileError(arms, "cannot be put aside: " + error.message());
  make_folder(arms);
}

/// All that was put aside, once the new arms are complete.
void remove_former_arms(const std::string& folder) {
  std::error_code error;
  for (int64_t number = 1; fs::exists(fs::symlink_status(former_path(folder, number), error)); ++number)
    fs::remove_all(former_path(folder, number), error);
}

/// Figures of an earlier report that this one does not have. A results.json may name anything.
void remove_stale_figures(const std::string& folder, const std::vector<std::string>& former, const StudyReport& now) {
  std::set<std::string> written;
  for (const StudyFigure& figure : now.figures) written.insert(figure.file);
  for (const auto& [name, text] : now.files) written.insert(name);
  for (const std::string& file : former) {
    std::error_code error;
    const std::string path = folder + "/" + file;
    if (!written.contains(file) && fs::is_regular_file(fs::symlink_status(path, error))) fs::remove(path, error);
  }
}

/// Different ones in the order in which they first come, with semicolons.
std::string joined(const std::vector<std::string>& words) {
  std::vector<std::string> different;
  for (const std::string& word : words)
    if (std::find(different.begin(), different.end(), word) == different.end()) different.push_back(word);
  return fmt::format("{}", fmt::join(different, "; "));
}

/// All files but the figures.
void write_tables(const Study& study, const std::string& folder, const RunOutcome& outcome) {
  io::StudySummary summary;
  summary.study = study.name;
  summary.title = study.title;
  summary.complete = outcome.arms.size() == study.arms.size();
  summary.failed = outcome.failed;
  summary.notes = study.notes;
  summary.notes.insert(summary.notes.end(), outcome.report.notes.begin(), outcome.report.notes.end());
  std::vector<io::Row> rows;
  double seconds = 0;
  std::vector<std::string> versions, devices;
  for (const io::ArmResult& arm : outcome.arms) {
    seconds += arm.seconds;
    versions.push_back(arm.version);
    devices.push_back(arm.device);
    for (const io::Row& row : arm.rows) {
      io::Row& whole = rows.emplace_back(io::Row{{"arm", arm.arm}});
      whole.insert(whole.end(), row.begin(), row.end());
    }
  }
  std::string text = "# " + study.title + "\n\n";
  text += outcome.report.table + "\n";
  for (const auto& [arm, why] : outcome.failed) text += "- **Failed**: " + arm + ": " + why + "\n";
  summary.version = joined(versions);
  summary.device = joined(devices);
  if (summary.device != devices.front())
    summary.notes.push_back("The arms were made on several devices: their times do not compare.");
  if (summary.version != versions.front())
    summary.notes.push_back("The arms were made by several versions of the program.");
  summary.notes.push_back(
      fmt::format("{} of {} arms done, in {} of wall time one after the other, by ptyfuse {} on {}.",
                  outcome.arms.size(), study.arms.size(), clock_text(seconds), summary.version, summary.device));
  for (const std::string& note : summary.notes) text += "- " + note + "\n";
  for (const StudyFigure& figure : outcome.report.figures) {
    summary.figures.push_back(figure.file);
    text += fmt::format("\n![{}]({})\n\n*{}*\n", figure.file, figure.file, figure.caption);
  }
  io::write_whole_file(folder + "/results.csv", io::rows_csv(rows), true);
  io::write_whole_file(folder + "/results.json", io::study_json(summary, outcome.arms), true);
  io::write_whole_file(folder + "/report.md", text, true);
}

}  // namespace

std::string study_of(const std::string& folder) {
  std::error_code error;
  if (!fs::exists(owner_path(folder), error) || fs::is_directory(owner_path(folder), error)) return "";
  constexpr int64_t most_bytes = 1 << 12;
  const std::string text = io::read_whole(owner_path(folder), most_bytes);
  return text.substr(0, text.find('\n'));
}

RunOutcome run_study(const Study& study, const std::string& folder, bool force, std::span<const Device> devices,
                     const RunControl& control) {
  if (devices.empty()) throw Error(ErrorKind::device, "study: no device to work on; expected one or more");
  take_folder(folder, study.name);
  const io::FolderLock lock(folder);
  clean(folder);
  if (force) put_arms_aside(folder, control);

  // All stored results are read before any work, so that what does not fit is said at once.
  ArmQueue queue(study, folder, control);
  if (queue.left() > 0) make_folder(folder + "/data");
  queue.work_on(devices);

  RunOutcome outcome{.arms = queue.done(), .failed = queue.failed(), .report = {}};
  if (outcome.arms.empty()) {  // a former report, if there is one, says more than an empty one
    control.say(folder + ": no arm is done, so that no tables and figures are written");
    return outcome;
  }
  outcome.report = study.report(outcome.arms, folder);
  remove_stale_figures(folder, io::figures_of_study(folder + "/results.json"), outcome.report);
  for (const StudyFigure& figure : outcome.report.figures) figure.figure.write_png(folder + "/" + figure.file, true);
  for (const auto& [name, text] : outcome.report.files) io::write_whole_file(folder + "/" + name, text, true);
  write_tables(study, folder, outcome);
  if (outcome.failed.empty()) {
    std::error_code error;
    fs::remove_all(folder + "/data", error);
    remove_former_arms(folder);
  }
  return outcome;
}

}  // namespace ptyfuse::studies
