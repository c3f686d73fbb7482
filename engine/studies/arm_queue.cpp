#include "engine/studies/arm_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <new>
#include <thread>

#include "engine/clock_text.h"
#include "engine/studies/jobs.h"
#include "io/file_error.h"
#include "kernels/device/error.h"

namespace ptyfuse::studies {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
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

/// A finished arm; false where it is yet to be done, or must be done again, for its files are damaged.
bool read_finished(const std::string& folder, const Study& study, const Arm& arm, const RunControl& control,
                   io::ArmResult& out) {
  const std::string path = result_path(folder, arm.name);
  std::error_code error;
  if (!fs::exists(path, error)) return false;
  if (!fs::is_regular_file(path, error))
    throw io::FileError(path, "is no ordinary file, where the arm's result is written; remove it");
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
  if (const std::vector<std::string> damaged = damaged_products(folder, out); !damaged.empty()) {
    control.say(damaged.front() + "; the arm is done again");
    return false;
  }
  return true;
}

}  // namespace

std::vector<std::string> damaged_products(const std::string& folder, const io::ArmResult& arm) {
  std::vector<std::string> damaged;
  for (const auto& [name, fingerprint] : arm.products) {
    const std::string path = folder + "/arms/" + name;
    try {
      if (file_fingerprint(path) != fingerprint) damaged.push_back(path + ": was changed since the arm was done");
    } catch (const io::FileError& e) {
      damaged.emplace_back(e.what());
    }
  }
  return damaged;
}

ArmQueue::ArmQueue(const Study& study, const std::string& folder, const RunControl& control)
    : study_(study), folder_(folder), control_(control), entries_(study.arms.size()) {
  for (size_t i = 0; i < entries_.size(); ++i)
    if (read_finished(folder, study, study.arms[i], control, entries_[i].result)) entries_[i].state = State::done;
  if (const size_t finished = count(State::done); finished > 0)
    control.say(fmt::format("{} of {} arms are done already", finished, entries_.size()));
}

size_t ArmQueue::count(State state) const {
  return static_cast<size_t>(
      std::count_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.state == state; }));
}

bool ArmQueue::is_first_under_way(size_t index) const {
  const auto first = std::find_if(entries_.begin(), entries_.end(),
                                  [](const Entry& entry) { return entry.state == State::under_way; });
  return first != entries_.end() && first - entries_.begin() == static_cast<std::ptrdiff_t>(index);
}

size_t ArmQueue::left() const {
  const std::lock_guard lock(lock_);
  return entries_.size() - count(State::done);
}

std::vector<io::ArmResult> ArmQueue::done() const {
  const std::lock_guard lock(lock_);
  std::vector<io::ArmResult> out;
  for (const Entry& entry : entries_)
    if (entry.state == State::done) out.push_back(entry.result);
  return out;
}

std::vector<std::pair<std::string, std::string>> ArmQueue::failed() const {
  const std::lock_guard lock(lock_);
  std::vector<std::pair<std::string, std::string>> out;
  for (size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].state == State::failed) out.emplace_back(study_.arms[i].name, entries_[i].why);
  return out;
}

std::string ArmQueue::label_of(size_t index) const {
  return fmt::format("arm {}/{} {}", index + 1, entries_.size(), study_.arms[index].name);
}

bool ArmQueue::stop_requested() {
  {
    const std::lock_guard lock(lock_);
    if (fatal_ || count(State::interrupted) > 0) return true;
  }
  const std::lock_guard lock(call_lock_);
  return control_.stop_requested();
}

void ArmQueue::say(const std::string& line) {
  const std::lock_guard lock(call_lock_);
  control_.say(line);
}

/// An arm's own progress under the study's name, with the arm's number.
RunControl ArmQueue::control_of_arm(size_t index) {
  RunControl inner;
  inner.cancelled = [this] { return stop_requested(); };
  inner.progress = [this, index, label = label_of(index)](const ProgressEvent& event) {
    {
      const std::lock_guard lock(lock_);
      const bool shown = !event.message.empty() || is_first_under_way(index);
      if (!shown) return;
    }
    ProgressEvent named = event;
    const std::string task = label + ": " + std::string(event.task);
    named.task = task;
    if (!named.message.empty()) named.message = task + ": " + named.message;
    const std::lock_guard lock(call_lock_);
    control_.report(named);
  };
  inner.notice = [this, label = label_of(index)](const std::string& line) { say(label + ": " + line); };
  return inner;
}

std::optional<size_t> ArmQueue::take() {
  if (stop_requested()) return std::nullopt;
  const std::lock_guard lock(lock_);
  for (size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].state == State::waiting) {
      entries_[i].state = State::under_way;
      return i;
    }
  return std::nullopt;
}

io::ArmResult ArmQueue::result_of(const Arm& arm, const Device& device, const RunControl& control) {
  const auto start = Clock::now();
  const ArmOutcome found = arm.run({device, control, folder_, arm.name, data_lock_});
  if (found.rows.empty()) throw Error(ErrorKind::shape, "it found nothing that a table could hold");
  io::ArmResult result{.study = study_.name,
                       .arm = arm.name,
                       .settings = arm.settings,
                       .version = PTYFUSE_VERSION,
                       .device = device.description(),
                       .seconds = seconds_since(start),
                       .rows = found.rows,
                       .curves = found.curves,
                       .products = {}};
  for (const std::string& ending : found.products)
    result.products.emplace_back(arm.name + ending, file_fingerprint(folder_ + "/arms/" + arm.name + ending));
  io::write_arm_result(result_path(folder_, arm.name), result);
  return result;
}

void ArmQueue::do_arm(size_t index, const Device& device, size_t devices) {
  const RunControl control = control_of_arm(index);
  const auto start = Clock::now();
  Entry entry;
  try {
    entry.result = result_of(study_.arms[index], device, control);
    entry.state = State::done;
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    entry.state = e.kind() == ErrorKind::cancelled ? State::interrupted : State::failed;
    entry.why = e.what();
  } catch (const std::bad_alloc&) {
    entry.state = State::failed;
    entry.why = "out of memory";
  } catch (const std::exception& e) {
    entry.state = State::failed;
    entry.why = e.what();
  }
  std::string line =
      fmt::format("{} {} in {}", label_of(index), entry.state == State::failed ? "failed (" + entry.why + ")" : "done",
                  clock_text(seconds_since(start)));
  const bool interrupted = entry.state == State::interrupted;
  {
    const std::lock_guard lock(lock_);
    entries_[index] = std::move(entry);
    seconds_spent_ += seconds_since(start);
    ++worked_;
    // Those under way count whole: how far they are is not known here.
    if (const size_t ahead = count(State::waiting) + count(State::under_way); ahead > 0)
      line += "; about " +
              clock_text(seconds_spent_ / static_cast<double>(worked_) *
                         static_cast<double>((ahead + devices - 1) / devices)) +
              " left";
  }
  if (!interrupted) say(line);
}

void ArmQueue::work(const Device& device, size_t devices) {
  try {
    while (const std::optional<size_t> next = take()) do_arm(*next, device, devices);
  } catch (...) {
    const std::lock_guard lock(lock_);
    if (!fatal_) fatal_ = std::current_exception();
  }
}

void ArmQueue::work_on(std::span<const Device> devices) {
  {
    std::vector<std::jthread> others;
    for (size_t i = 1; i < std::min(devices.size(), left()); ++i)
      others.emplace_back([&, i] { work(devices[i], devices.size()); });
    work(devices[0], devices.size());
  }
  if (fatal_) std::rethrow_exception(fatal_);
  std::string interrupted;
  for (size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].state == State::interrupted) interrupted += (interrupted.empty() ? "in " : ", ") + label_of(i);
  const size_t finished = count(State::done);
  if (!interrupted.empty())
    throw Error(ErrorKind::cancelled, fmt::format("{}; {} of {} arms are done and kept, the same command goes on",
                                                  interrupted, finished, entries_.size()));
  if (count(State::waiting) > 0)
    throw Error(ErrorKind::cancelled,
                fmt::format("{} of {} arms are done; the same command goes on", finished, entries_.size()));
}

}  // namespace ptyfuse::studies
