#pragma once
// Small scans in memory.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <vector>

#include "engine/probe.h"
#include "engine/random.h"
#include "io/scan.h"

namespace ptyfuse::tests {

/// Frames of counts that fall off from the centre, on a raster of `step_px`; the ideal probe.
inline std::unique_ptr<io::ScanReader> small_scan(int64_t frames, int64_t side_px, uint64_t seed, double step_px = 3) {
  io::ScanInfo info;
  info.path = "memory";
  info.format = "memory";
  info.frames = frames;
  info.side_px = side_px;
  info.domain = io::Domain::counts;
  info.probe = default_probe(side_px);
  const auto columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(frames))));
  Random random(seed);
  std::vector<float> amplitude;
  for (int64_t f = 0; f < frames; ++f) {
    info.positions_px.push_back({static_cast<double>(side_px) + step_px * static_cast<double>(f / columns),
                                 static_cast<double>(side_px) + step_px * static_cast<double>(f % columns)});
    for (int64_t y = 0; y < side_px; ++y)
      for (int64_t x = 0; x < side_px; ++x) {
        const double r = std::hypot(static_cast<double>(y - side_px / 2), static_cast<double>(x - side_px / 2));
        amplitude.push_back(static_cast<float>(std::sqrt(random.poisson(1000 * std::exp(-r / 6)))));
      }
  }
  return io::scan_from_memory(std::move(info), std::move(amplitude));
}

/// A sound scan one of whose frames holds `value` throughout for as long as `spoilt` says so: what a file that changes
/// under a run, or a failing memory, gives. The flag may outlive it.
class SpoiltScan : public io::ScanReader {
 public:
  SpoiltScan(std::unique_ptr<io::ScanReader> sound, int64_t frame, float value,
             std::shared_ptr<const std::atomic<bool>> spoilt)
      : sound_(std::move(sound)), frame_(frame), value_(value), spoilt_(std::move(spoilt)) {}
  const io::ScanInfo& info() const override { return sound_->info(); }
  void read_amplitude(int64_t first, int64_t count, std::span<float> out) override {
    sound_->read_amplitude(first, count, out);
    if (!*spoilt_ || frame_ < first || frame_ >= first + count) return;
    const int64_t pixels = info().side_px * info().side_px;
    std::fill_n(out.begin() + (frame_ - first) * pixels, pixels, value_);
  }

 private:
  std::unique_ptr<io::ScanReader> sound_;
  int64_t frame_;
  float value_;
  std::shared_ptr<const std::atomic<bool>> spoilt_;
};

}  // namespace ptyfuse::tests
