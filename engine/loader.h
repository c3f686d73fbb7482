#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/scan.h"

namespace ptyfuse {

/// Serves amplitude frames of a scan by index within a memory bound, reading ahead on a thread of its own.
/// When all the chosen frames fit in half of host_memory_bytes they are read once and kept (still in pieces);
/// otherwise each epoch's order is walked in blocks of frames: the block that comes next is read while this one
/// computes.
class Loader {
 public:
  struct Settings {
    int64_t host_memory_bytes = int64_t{4} << 30;  ///< 0: no limit
    bool read_ahead = true;
  };
  /// frames: the scan's frames that will be asked for, ascending. The reader is used by the loader alone from here on.
  /// Frames that stay in memory are read here. Error(shape): frames outside the scan or not ascending.
  Loader(std::unique_ptr<io::ScanReader> reader, std::vector<int64_t> frames, const Settings& settings);
  ~Loader();

  const io::ScanInfo& info() const;
  const std::vector<int64_t>& frames() const;
  /// True when everything is kept in memory.
  bool resident() const;
  /// Most bytes of frames held at any time.
  int64_t held_bytes() const;

  /// Starts an ordered walk: the sequence of batches (each a list of frame numbers of the scan, repeats allowed) that
  /// next() will serve, in this order. A walk may be started anew at any time (the former is abandoned).
  /// Error(shape): a frame that is not among frames(); Error(memory): a batch that host_memory_bytes cannot hold twice.
  void start(std::vector<std::vector<int64_t>> batches);
  /// The next batch's frames [count,N,N] amplitude (sqrt counts, DC centred) in the order asked for; valid until the
  /// next call. Rethrows what the reading thread met (FileError). Error(shape): the walk is at its end.
  std::span<const float> next();

  /// Sum over the given frames (repeats count) of sum x^2 in double, and their mean amplitude image [N*N]; frames that
  /// are zero throughout are counted once each. One pass in pieces; ends a walk that is under way unless resident().
  struct Statistics {
    double sum_of_squares = 0;
    std::vector<double> mean_amplitude;
    int64_t all_zero_frames = 0;
  };
  Statistics statistics(std::span<const int64_t> frames);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ptyfuse
