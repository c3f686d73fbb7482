#pragma once
#include <functional>
#include <memory>

#include "kernels/device/device.h"

namespace ptyfuse {

/// Work that is done again and again in the same way. On a GPU run() gives the work to the stream as it is the first
/// time, which loads its kernels, records it the second time (stream capture), and from then on launches the record as
/// a whole, as one CUDA graph. On the CPU run() calls the work.
///
/// What is recorded are kernels, copies and fills with their addresses and arguments. So the work reads all that
/// changes from time to time from the device's memory; it uses the given stream alone; and it does not allocate, wait
/// for the GPU, copy to or from plain host memory, or record events and wait for them: each is an Error(device) that
/// names it. Memory that the work uses, and what it refers to on the host, lives as long as the Graph and its launches.
class Graph {
 public:
  Graph() = default;
  Graph(const Device& device, std::function<void(Stream&)> work);

  /// In stream order; a stream of the Graph's device (Error(device)). What the work throws while it is recorded leaves
  /// the stream as it was; before that, what it had given to the stream is done.
  void run(Stream& stream);
  /// The work has been recorded: run() launches it as a whole.
  bool recorded() const { return native_ != nullptr; }

 private:
  std::function<void(Stream&)> work_;
  bool done_before_ = false;
  int index_ = 0;
  std::shared_ptr<void> native_;
};

}  // namespace ptyfuse
