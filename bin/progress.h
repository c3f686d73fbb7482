#pragma once
#include <chrono>
#include <string>

#include "engine/run_control.h"

namespace ptyfuse::cli {

/// Progress on stderr: a bar that redraws itself on a terminal; elsewhere each finished piece as a line, and a line
/// every ten seconds in between.
class ProgressMeter {
 public:
  ProgressMeter();
  ~ProgressMeter();
  ProgressMeter(const ProgressMeter&) = delete;
  ProgressMeter& operator=(const ProgressMeter&) = delete;
  void show(const ProgressEvent& event);
  void line(const std::string& text);

 private:
  void clear_bar();
  bool terminal_ = false, bar_shown_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace ptyfuse::cli
