#pragma once
#include <span>
#include <string>
#include <vector>

#include "engine/studies/study.h"

namespace ptyfuse::studies {

struct RunOutcome {
  std::vector<io::ArmResult> arms;  ///< those done, in the study's order
  std::vector<std::pair<std::string, std::string>> failed;
  StudyReport report;
};

/// The name of the study that a folder belongs to, "" where it holds none. FileError: the file that says so cannot be
/// read.
std::string study_of(const std::string& folder);

/// Does a study's arms in `folder` (made where it is missing), on each of the devices (one or more) one at a time in
/// their order, and writes
///   arms/NAME.json  an arm's settings, rows and curves; whole or not at all, last of the arm's files
///   results.csv     every row with every figure;  results.json  the same with settings, curves and notes
///   report.md       the table for people, the notes, the figures
///   *.png           figures
/// An arm whose result is there already with equal settings is not done again. An arm that fails is said so and the
/// others go on: the outcome lists it, and a later call tries it again; so is one whose files are damaged. `force`:
/// everything is done anew; what was done lies in former-arms/ until all arms are done (of a forced run that did not
/// end in former-arms-2/ and so on). Where no arm at all is done, an earlier call's tables and figures stay. FileError:
/// the folder belongs to another study, holds other files, is in use, or holds an arm of another version's layout or
/// made with other settings (the message names the setting, both values and the ways on). Error(cancelled): asked to
/// stop; finished arms are kept. UsageError: an arm's settings make no sense.
/// `control` is called by one thread at a time; of several arms under way the first one's progress is reported.
RunOutcome run_study(const Study& study, const std::string& folder, bool force, std::span<const Device> devices,
                     const RunControl& control);

}  // namespace ptyfuse::studies
