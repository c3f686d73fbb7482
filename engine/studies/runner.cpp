#include "engine/studies/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <limits>
#include <new>
#include <set>

#include "engine/studies/jobs.h"
#include "io/atomic_file.h"
#include "io/file_error.h"
#include "io/file_kind.h"
#include "io/folder_lock.h"
#include "kernels/device/error.h"

namespace ptyfuse::studies {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  return whole >= 3600 ? fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
                       : fmt::format("{}:{:02}", whole / 60, whole % 60);
}

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
  if (owner.empty() && fs::is_directory(folder, error) && !fs::is_empty(folder, error))
    throw io::FileError(folder, "holds other files and no study; choose another folder");
  // What a run clears away and writes lies in these: through a link it would be another folder's.
  for (const char* part : {"/arms", "/data"})
    if (fs::is_symlink(fs::symlink_status(folder + part, error)))
      throw io::FileError(folder + part, "is a link; a study keeps its files in its own folder. Remove the link");
  make_folder(folder);
  io::write_whole_file(owner_path(folder), study + "\n", true);  // first: without it the folder is nobody's
  make_folder(folder + "/arms");
}

std::string result_path(const std::string& folder, const std::string& arm) {
  return folder + "/arms/" + arm + ".json";
}

/// The first setting that two lists do not share, as "NAME: A, now B"; empty where they are equal.
std::string first_difference(const Settings& stored, const Settings& wanted) {
  const auto value_of = [](const Settings& settings, const std::string& name) -> std::string {
    for (const auto& [key, value] : settings)
      if (key == name) return value.empty() ? "(empty)" : value;
    return "(not there)";
  };
  for (const Settings* list : {&wanted, &stored})
    for (const auto& [name, value] : *list)
      if (value_of(stored, name) != value_of(wanted, name))
        return fmt::format("{}: {}, now {}", name, value_of(stored, name), value_of(wanted, name));
  return {};
}

/// What of a finished arm's files is missing or not what it was; empty: nothing.
std::string damaged_product(const std::string& folder, const io::ArmResult& arm) {
  for (const auto& [name, fingerprint] : arm.products) {
    const std::string path = folder + "/arms/" + name;
    try {
      if (file_fingerprint(path) != fingerprint) return path + ": was changed since the arm was done";
    } catch (const io::FileError& e) {
      return e.what();
    }
  }
  return {};
}

/// A finished arm; false where it is yet to be done, or must be done again, for its files are damaged.
bool read_finished(const std::string& folder, const Study& study, const Arm& arm, const RunControl& control,
                   io::ArmResult& out) {
  const std::string path = result_path(folder, arm.name);
  std::error_code error;
  if (!fs::exists(path, error)) return false;
  try {
    out = io::read_arm_result(path);
    if (out.rows.empty()) throw io::FileError(path, "has no row");
  } catch (const io::OtherLayout& e) {
    // Hours of work, perhaps, that the other version can still read.
    throw io::FileError(path, std::string(e.what()).substr(path.size() + 2) +
                                  "; go on with that one, choose another folder, or do all arms anew with --force");
  } catch (const io::FileError& e) {
    control.say(std::string(e.what()) + "; the arm is done again");
    return false;
  }
  const std::string difference = first_difference(out.settings, arm.settings);
  if (out.study != study.name || out.arm != arm.name)
    throw io::FileError(path, "is the result of another arm; remove it, or pass --force");
  if (!difference.empty())
    throw io::FileError(path, "was made with other settings (" + difference +
                                  "); give the settings it was made with, choose another folder, or do all arms anew "
                                  "with --force");
  if (const std::string why = damaged_product(folder, out); !why.empty()) {
    control.say(why + "; the arm is done again");
    return false;
  }
  return true;
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

/// An arm's own progress under the study's name, with the arm's number.
RunControl control_of_arm(const RunControl& control, const std::string& label) {
  RunControl inner = control;
  inner.progress = [control, label](const ProgressEvent& event) {
    ProgressEvent shown = event;
    const std::string task = label + ": " + std::string(event.task);
    shown.task = task;
    if (!shown.message.empty()) shown.message = task + ": " + shown.message;
    control.report(shown);
  };
  inner.notice = [control, label](const std::string& line) { control.say(label + ": " + line); };
  return inner;
}

/// All files but the figures.
void write_tables(const Study& study, const std::string& folder, const Device& device, const RunOutcome& outcome) {
  io::StudySummary summary;
  summary.study = study.name;
  summary.title = study.title;
  summary.version = PTYFUSE_VERSION;
  summary.device = device.description();
  summary.complete = outcome.arms.size() == study.arms.size();
  summary.failed = outcome.failed;
  summary.notes = study.notes;
  summary.notes.insert(summary.notes.end(), outcome.report.notes.begin(), outcome.report.notes.end());
  std::vector<io::Row> rows;
  double seconds = 0;
  std::set<std::string> versions;
  for (const io::ArmResult& arm : outcome.arms) {
    seconds += arm.seconds;
    versions.insert(arm.version);
    for (const io::Row& row : arm.rows) {
      io::Row& whole = rows.emplace_back(io::Row{{"arm", arm.arm}});
      whole.insert(whole.end(), row.begin(), row.end());
    }
  }
  std::string text = "# " + study.title + "\n\n";
  text += outcome.report.table + "\n";
  for (const auto& [arm, why] : outcome.failed) text += "- **Failed**: " + arm + ": " + why + "\n";
  if (versions.size() > 1) summary.notes.push_back("The arms were made by several versions of the program.");
  summary.notes.push_back(fmt::format("{} of {} arms done, in {} of wall time, by ptyfuse {} on {}.",
                                      outcome.arms.size(), study.arms.size(), clock_text(seconds), PTYFUSE_VERSION,
                                      device.description()));
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

RunOutcome run_study(const Study& study, const std::string& folder, bool force, const Device& device,
                     const RunControl& control) {
  take_folder(folder, study.name);
  const io::FolderLock lock(folder);
  clean(folder);
  if (force) put_arms_aside(folder, control);

  // All stored results are read before any work, so that what does not fit is said at once.
  std::vector<io::ArmResult> results(study.arms.size());
  std::vector<bool> done(study.arms.size());
  for (size_t i = 0; i < study.arms.size(); ++i)
    done[i] = read_finished(folder, study, study.arms[i], control, results[i]);
  const auto finished = static_cast<size_t>(std::count(done.begin(), done.end(), true));
  if (finished > 0) control.say(fmt::format("{} of {} arms are done already", finished, study.arms.size()));

  if (finished < study.arms.size()) make_folder(folder + "/data");
  RunOutcome outcome;
  double spent = 0;
  size_t worked = 0, left = study.arms.size() - finished;
  for (size_t i = 0; i < study.arms.size(); ++i) {
    if (done[i]) continue;
    const Arm& arm = study.arms[i];
    const std::string label = fmt::format("arm {}/{} {}", i + 1, study.arms.size(), arm.name);
    const RunControl inner = control_of_arm(control, label);
    if (control.stop_requested())
      throw Error(ErrorKind::cancelled, fmt::format("{} of {} arms are done; the same command goes on",
                                                    std::count(done.begin(), done.end(), true), study.arms.size()));
    const auto start = Clock::now();
    std::string why;
    try {
      const ArmOutcome found = arm.run({device, inner, folder, arm.name});
      if (found.rows.empty()) throw Error(ErrorKind::shape, "it found nothing that a table could hold");
      results[i] = {.study = study.name,
                    .arm = arm.name,
                    .settings = arm.settings,
                    .version = PTYFUSE_VERSION,
                    .device = device.description(),
                    .seconds = seconds_since(start),
                    .rows = found.rows,
                    .curves = found.curves,
                    .products = {}};
      for (const std::string& ending : found.products)
        results[i].products.emplace_back(arm.name + ending, file_fingerprint(folder + "/arms/" + arm.name + ending));
      io::write_arm_result(result_path(folder, arm.name), results[i]);
      done[i] = true;
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::cancelled)
        throw Error(ErrorKind::cancelled,
                    fmt::format("in {}; {} of {} arms are done and kept, the same command goes on", label,
                                std::count(done.begin(), done.end(), true), study.arms.size()));
      why = e.what();
    } catch (const std::bad_alloc&) {
      why = "out of memory";
    } catch (const std::exception& e) {
      why = e.what();
    }
    spent += seconds_since(start);
    ++worked;
    --left;
    if (!why.empty()) outcome.failed.emplace_back(arm.name, why);
    control.say(fmt::format(
        "{} {} in {}{}", label, why.empty() ? "done" : "failed (" + why + ")", clock_text(seconds_since(start)),
        left > 0 ? "; about " + clock_text(spent / static_cast<double>(worked) * static_cast<double>(left)) + " left"
                 : ""));
  }
  for (size_t i = 0; i < results.size(); ++i)
    if (done[i]) outcome.arms.push_back(std::move(results[i]));
  if (outcome.arms.empty()) {  // a former report, if there is one, says more than an empty one
    control.say(folder + ": no arm is done, so that no tables and figures are written");
    return outcome;
  }
  outcome.report = study.report(outcome.arms, folder);
  remove_stale_figures(folder, io::figures_of_study(folder + "/results.json"), outcome.report);
  for (const StudyFigure& figure : outcome.report.figures) figure.figure.write_png(folder + "/" + figure.file, true);
  for (const auto& [name, text] : outcome.report.files) io::write_whole_file(folder + "/" + name, text, true);
  write_tables(study, folder, device, outcome);
  if (outcome.failed.empty()) {
    std::error_code error;
    fs::remove_all(folder + "/data", error);
    remove_former_arms(folder);
  }
  return outcome;
}

}  // namespace ptyfuse::studies
