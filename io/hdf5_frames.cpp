#include "io/hdf5_frames.h"

#include <sched.h>

#include <algorithm>
#include <thread>

namespace ptyfuse::io {

namespace {

// A task's bytes: they stay in a core's cache from decoding to converting, and outlast by far what a task costs.
constexpr size_t task_bytes = 256 << 10;
// Of all tasks under way: raw, stored and half-decoded bytes.
constexpr size_t most_bytes = 256 << 20, copies = 4;

int usable_processors() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return CPU_COUNT(&allowed);
  return static_cast<int>(std::thread::hardware_concurrency());
}

/// A task ends with the band that fills it. A team of several has a task more under way than threads.
int team_size(int wanted, size_t bytes_of_a_band) {
  if (wanted <= 0) wanted = usable_processors();
  const size_t fit = most_bytes / (copies * (task_bytes + bytes_of_a_band));
  return std::clamp(wanted, 1, std::max(1, static_cast<int>(fit) - 1));
}

std::optional<h5::ChunkReader> chunk_reader(const h5::Dataset& dataset, FrameType type) {
  return with_frame_type(type, [&](auto zero) { return h5::ChunkReader::of<decltype(zero)>(dataset); });
}

}  // namespace

Hdf5Frames::Hdf5Frames(h5::Dataset dataset, FrameType type, FrameConverter converter, int threads)
    : dataset_(std::move(dataset)),
      type_(type),
      converter_(std::move(converter)),
      frame_bytes_(static_cast<size_t>(dataset_.elements() / dataset_.shape()[0] * frame_type_bytes(type))),
      frame_pixels_(frame_bytes_ / static_cast<size_t>(frame_type_bytes(type))),
      chunks_(chunk_reader(dataset_, type)),
      band_rows_(chunks_ ? chunks_->band_rows() : 1),
      held_bytes_(std::max(bytes_of(band_rows_), chunks_ ? chunks_->held_bytes() : 0)),
      team_(team_size(threads, held_bytes_)),
      slots_(static_cast<size_t>(team_.slots())) {}

/// Where each task ends: behind whole bands, so that none is decoded twice.
std::vector<size_t> Hdf5Frames::share_out(std::span<const int64_t> frames, size_t first) const {
  std::vector<size_t> ends;
  size_t bytes = 0;
  for (size_t i = first; i < frames.size(); ++i) {
    const bool same_band = i > first && band_of(frames[i]) == band_of(frames[i - 1]);
    if (!same_band) {
      if (bytes >= task_bytes) {
        ends.push_back(i);
        bytes = 0;
      }
      bytes += held_bytes_;
    }
  }
  if (first < frames.size()) ends.push_back(frames.size());
  return ends;
}

size_t Hdf5Frames::take_kept(std::span<const int64_t> frames, std::span<float> out) const {
  size_t i = 0;
  for (; i < frames.size() && band_of(frames[i]) == kept_band_; ++i)
    converter_.convert(kept_.data() + kept_at_ + bytes_of(frames[i] - kept_band_ * band_rows_), frames[i], 1,
                       out.subspan(i * frame_pixels_, frame_pixels_));
  return i;
}

void Hdf5Frames::fetch(std::span<const int64_t> frames, Slot& slot) const {
  if (chunks_) {
    slot.bands.clear();
    for (const int64_t frame : frames)
      if (slot.bands.empty() || slot.bands.back() != band_of(frame)) slot.bands.push_back(band_of(frame));
    chunks_->fetch(slot.bands, slot.stored);
    return;
  }
  slot.raw.resize(std::max(slot.raw.size(), frames.size() * frame_bytes_));
  for_each_run(frames, [&](size_t begin, size_t count) {
    with_frame_type(type_, [&](auto zero) {
      using T = decltype(zero);
      dataset_.read_rows(
          frames[begin], static_cast<int64_t>(count),
          std::span<T>(reinterpret_cast<T*>(slot.raw.data() + begin * frame_bytes_), count * frame_pixels_));
    });
  });
}

void Hdf5Frames::convert(std::span<const int64_t> frames, Slot& slot, std::span<float> out) const {
  if (chunks_) {
    slot.raw.resize(std::max(slot.raw.size(), slot.bands.size() * chunks_->band_bytes()));
    chunks_->decode(slot.stored, slot.raw.data());
  }
  size_t band = 0;
  for (size_t i = 0; i < frames.size(); ++i) {
    if (chunks_ && slot.bands[band] != band_of(frames[i])) ++band;
    const std::byte* raw =
        slot.raw.data() + (chunks_ ? band * chunks_->band_bytes() + bytes_of(frames[i] - slot.bands[band] * band_rows_)
                                   : i * frame_bytes_);
    converter_.convert(raw, frames[i], 1, out.subspan(i * frame_pixels_, frame_pixels_));
  }
}

void Hdf5Frames::read(std::span<const int64_t> frames, std::span<float> out) {
  const size_t first = take_kept(frames, out);
  const std::vector<size_t> ends = share_out(frames, first);
  if (ends.empty()) return;
  const auto task_frames = [&](int64_t task) {
    const size_t begin = task == 0 ? first : ends[static_cast<size_t>(task - 1)];
    return std::pair(begin, ends[static_cast<size_t>(task)] - begin);
  };
  team_.run(
      static_cast<int64_t>(ends.size()),
      [&](int64_t task, int slot) {
        const auto [begin, count] = task_frames(task);
        fetch(frames.subspan(begin, count), slots_[static_cast<size_t>(slot)]);
      },
      [&](int64_t task, int slot) {
        const auto [begin, count] = task_frames(task);
        convert(frames.subspan(begin, count), slots_[static_cast<size_t>(slot)],
                out.subspan(begin * frame_pixels_, count * frame_pixels_));
      });
  if (!chunks_ || band_rows_ == 1) return;
  Slot& last = slots_[(ends.size() - 1) % slots_.size()];
  kept_.swap(last.raw);
  kept_band_ = last.bands.back();
  kept_at_ = (last.bands.size() - 1) * chunks_->band_bytes();
}

}  // namespace ptyfuse::io
