#pragma once
#include <functional>
#include <string>
#include <string_view>

namespace ptyfuse {

/// How far a long task is. Rates are per second.
struct ProgressEvent {
  std::string_view task;       ///< "train", "reconstruct", ...
  double done = 0, total = 0;  ///< in `unit`
  std::string_view unit;       ///< "patterns", "sweeps", ...
  double rate = 0;
  double seconds_left = 0;  ///< NaN when unknown
  std::string message;      ///< a finished piece in words ("epoch 3/50 loss ..."), or empty
};

/// What a caller hands to a long task: all optional. The task calls them on the calling thread. When cancelled() turns
/// true the task saves what it must and throws Error(cancelled).
struct RunControl {
  std::function<bool()> cancelled;
  std::function<void(const ProgressEvent&)> progress;
  std::function<void(const std::string&)> notice;  ///< one line for a person

  bool stop_requested() const { return cancelled && cancelled(); }
  void report(const ProgressEvent& event) const {
    if (progress) progress(event);
  }
  void say(const std::string& line) const {
    if (notice) notice(line);
  }
};

}  // namespace ptyfuse
