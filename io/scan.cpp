#include "io/scan.h"

#include <algorithm>
#include <cmath>

#include "io/file_kind.h"
#include "io/frames.h"
#include "io/scan_parts.h"

namespace ptyfuse::io {

namespace {

bool is_hdf5(const std::string& path) {
  h5::Lock lock;
  return H5Fis_hdf5(path.c_str()) > 0;
}

class MemoryScan final : public ScanReader {
 public:
  MemoryScan(ScanInfo info, std::vector<float> amplitude) : info_(std::move(info)), amplitude_(std::move(amplitude)) {}
  const ScanInfo& info() const override { return info_; }
  void read_amplitude(int64_t first, int64_t count, std::span<float> out) override {
    check_frame_range(info_, "amplitude", first, count, out.size());
    const auto begin = amplitude_.begin() + static_cast<std::ptrdiff_t>(first * info_.side_px * info_.side_px);
    std::copy_n(begin, out.size(), out.begin());
  }

 private:
  ScanInfo info_;
  std::vector<float> amplitude_;
};

}  // namespace

void ScanReader::read_frames(std::span<const int64_t> frames, std::span<float> out) {
  const auto pixels = static_cast<size_t>(info().side_px * info().side_px);
  for_each_run(frames, [&](size_t begin, size_t count) {
    read_amplitude(frames[begin], static_cast<int64_t>(count), out.subspan(begin * pixels, count * pixels));
  });
}

std::unique_ptr<ScanReader> open_scan(const std::string& path, const ScanHints& hints, int threads) {
  const std::string bytes = first_bytes(path, "a scan file (HDF5) or NPZ");
  if (bytes.starts_with("PK")) return open_npz_scan(path, hints);
  if (is_hdf5(path) || bytes.starts_with("\x89HDF")) return open_hdf5_scan(path, hints, threads);
  if (bytes.starts_with("\x93NUMPY"))
    throw FileError(path, "is a single numpy array; a PtychoPINN NPZ (several arrays, numpy.savez) was expected");
  if (bytes.starts_with("\x89PNG")) throw FileError(path, "is a picture; a scan file (HDF5) or NPZ was expected");
  throw FileError(path, "is neither an HDF5 scan file nor an NPZ");
}

std::unique_ptr<ScanReader> scan_from_memory(ScanInfo info, std::vector<float> amplitude) {
  if (info.path.empty()) info.path = "(scan in memory)";
  check_parts(info, {});
  if (static_cast<int64_t>(amplitude.size()) != info.frames * info.side_px * info.side_px)
    throw FileError(
        info.path, "amplitude",
        fmt::format("{} values for {} frames of {} x {}", amplitude.size(), info.frames, info.side_px, info.side_px));
  for (size_t i = 0; i < amplitude.size(); ++i)
    if (!(amplitude[i] >= 0 && std::isfinite(amplitude[i])))
      throw FileError(info.path, "amplitude",
                      fmt::format("frame {} holds {}; amplitude must be finite and not negative",
                                  static_cast<int64_t>(i) / (info.side_px * info.side_px), amplitude[i]));
  if (!info.mask.empty())
    for (size_t i = 0; i < amplitude.size(); ++i)
      if (!info.mask[i % info.mask.size()]) amplitude[i] = 0;
  info.dc = DcPlace::centre;
  if (info.format.empty()) info.format = "memory";
  if (info.frame_type.empty()) info.frame_type = "float32";
  return std::make_unique<MemoryScan>(std::move(info), std::move(amplitude));
}

}  // namespace ptyfuse::io
