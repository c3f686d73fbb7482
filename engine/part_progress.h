#pragma once
#include <chrono>
#include <limits>
#include <string_view>

#include "engine/run_control.h"
#include "kernels/device/error.h"

namespace ptyfuse {

/// Error(cancelled): asked to stop while nothing of a simulation is written yet.
inline void end_if_stopped(const RunControl& control) {
  if (control.stop_requested()) throw Error(ErrorKind::cancelled, "simulate: stopped; nothing was written");
}

/// How far a part of a simulation is, in hundredths, and where it is asked to stop.
class PartProgress {
 public:
  /// `what` follows the hundredths ("% of the objects"); `steps` of about equal work make the whole.
  PartProgress(const RunControl& control, std::string_view what, double steps)
      : control_(control), what_(what), steps_(steps) {}

  /// So many more steps are done. Error(cancelled): asked to stop.
  void advance(double steps) {
    end_if_stopped(control_);
    done_ += steps;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    ProgressEvent event;
    event.task = "simulate";
    event.unit = what_;
    event.done = 100 * done_ / steps_;
    event.total = 100;
    event.seconds_left = done_ > 0 ? seconds / done_ * (steps_ - done_) : std::numeric_limits<double>::quiet_NaN();
    control_.report(event);
  }

 private:
  const RunControl& control_;
  std::string_view what_;
  double steps_, done_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace ptyfuse
