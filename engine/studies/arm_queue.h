#pragma once
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/studies/study.h"

namespace ptyfuse::studies {

/// Which of a finished arm's files in the study's folder are missing or not what they were: a line for each.
std::vector<std::string> damaged_products(const std::string& folder, const io::ArmResult& arm);

/// A study's arms: what is known of those that are done, and the others waiting to be.
class ArmQueue {
 public:
  /// Reads the results that lie in the folder. FileError: one is of another version's layout, or was made with other
  /// settings.
  ArmQueue(const Study& study, const std::string& folder, const RunControl& control);

  /// How many arms are not done.
  size_t left() const;
  /// Does them, each device one at a time; returns when none waits. An arm that fails is put down and the others go
  /// on. Error(cancelled): asked to stop; UsageError: an arm's settings make no sense. What is done stays done.
  void work_on(std::span<const Device> devices);

  /// In the study's order.
  std::vector<io::ArmResult> done() const;
  /// Name and reason.
  std::vector<std::pair<std::string, std::string>> failed() const;

 private:
  enum class State { waiting, under_way, done, failed, interrupted };
  struct Entry {
    State state = State::waiting;
    io::ArmResult result;
    std::string why;  ///< of one that failed
  };

  /// The next that waits, then under way; none where work is to end.
  std::optional<size_t> take();
  void work(const Device& device, size_t devices);
  void do_arm(size_t index, const Device& device, size_t devices);
  io::ArmResult result_of(const Arm& arm, const Device& device, const RunControl& control);
  size_t count(State state) const;
  bool is_first_under_way(size_t index) const;
  std::string label_of(size_t index) const;
  RunControl control_of_arm(size_t index);
  /// The caller's control, called by one thread at a time.
  bool stop_requested();
  void say(const std::string& line);

  const Study& study_;
  const std::string folder_;
  const RunControl& control_;
  std::mutex data_lock_, call_lock_;
  mutable std::mutex lock_;  ///< of all below
  std::vector<Entry> entries_;
  double seconds_spent_ = 0;
  size_t worked_ = 0;
  std::exception_ptr fatal_;
};

}  // namespace ptyfuse::studies
