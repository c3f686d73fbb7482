#pragma once
#include <memory>

#include "kernels/device/device.h"

namespace ptyfuse {

/// A point in a stream's work, for another stream or the host to wait for; copies mean the same event. Before it is
/// first recorded, nobody waits for it. On the CPU work has finished when its call returns, so nobody ever waits.
class Event {
 public:
  explicit Event(const Device& device);
  /// The event is from now on the point behind all work given to `stream` so far.
  void record(Stream& stream);
  /// Work given to `stream` from now on begins behind the point; the host goes on.
  void hold_back(Stream& stream) const;
  /// The host waits. Error(device): the work before the point failed.
  void synchronise() const;

 private:
  Device device_;
  std::shared_ptr<void> native_;
};

}  // namespace ptyfuse
