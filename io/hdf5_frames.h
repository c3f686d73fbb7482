#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "io/frames.h"
#include "io/hdf5.h"
#include "io/hdf5_chunks.h"
#include "io/team.h"

namespace ptyfuse::io {

/// The frames of a scan file: one thread reads, this one, and several make amplitudes of what was read.
class Hdf5Frames {
 public:
  /// dataset: [S,N,N] of `type`. threads: the caller's included; 0: as many as this process may run on.
  Hdf5Frames(h5::Dataset dataset, FrameType type, FrameConverter converter, int threads);
  Hdf5Frames(const Hdf5Frames&) = delete;
  Hdf5Frames& operator=(const Hdf5Frames&) = delete;

  /// Frames of the dataset, in any order, to out [frames,N,N]. FileError: a read that fails, a value that is no count
  /// or amplitude; of several the first one's.
  void read(std::span<const int64_t> frames, std::span<float> out);

 private:
  // What a task works on: neighbouring entries of the list, their bytes, decoded band by band or as the library gives
  // them.
  struct Slot {
    h5::StoredBands stored;
    std::vector<int64_t> bands;
    std::vector<std::byte> raw;
  };
  size_t bytes_of(int64_t frames) const { return static_cast<size_t>(frames) * frame_bytes_; }
  int64_t band_of(int64_t frame) const { return frame / band_rows_; }
  std::vector<size_t> share_out(std::span<const int64_t> frames, size_t first) const;
  size_t take_kept(std::span<const int64_t> frames, std::span<float> out) const;
  void fetch(std::span<const int64_t> frames, Slot& slot) const;
  void convert(std::span<const int64_t> frames, Slot& slot, std::span<float> out) const;

  h5::Dataset dataset_;
  FrameType type_;
  FrameConverter converter_;
  size_t frame_bytes_, frame_pixels_;
  std::optional<h5::ChunkReader> chunks_;
  int64_t band_rows_ = 1;
  size_t held_bytes_;  // of a band, raw or stored
  Team team_;
  std::vector<Slot> slots_;
  // The last band of the call before, where bands hold several frames: the next call often begins in it.
  std::vector<std::byte> kept_;
  int64_t kept_band_ = -1;
  size_t kept_at_ = 0;
};

}  // namespace ptyfuse::io
