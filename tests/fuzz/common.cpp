#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "engine/option_table.h"
#include "io/file_error.h"
#include "io/scan.h"
#include "kernels/device/error.h"
#include "tests/fuzz/targets.h"

namespace ptyfuse::fuzz {

MemoryFile::MemoryFile(Input bytes) : file_(::memfd_create("ptyfuse-fuzz", MFD_CLOEXEC)) {
  promise(file_ >= 0, "no file in memory could be made");
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t written = ::write(file_, bytes.data() + done, bytes.size() - done);
    promise(written > 0, "the file in memory could not be written");
    done += static_cast<size_t>(written);
  }
}
MemoryFile::~MemoryFile() {
  ::close(file_);
}
std::string MemoryFile::path() const {
  return "/proc/self/fd/" + std::to_string(file_);
}

bool accepts(const std::function<void()>& body) {
  try {
    body();
    return true;
  } catch (const io::FileError&) {
  } catch (const UsageError&) {
  } catch (const Error&) {
  }
  return false;
}

void promise(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

namespace {

bool finite(const io::ComplexImage& image) {
  return std::all_of(image.data.begin(), image.data.end(),
                     [](auto v) { return std::isfinite(v.real()) && std::isfinite(v.imag()); });
}

bool fills(const io::ComplexImage& image) {
  return static_cast<int64_t>(image.data.size()) == image.depth * image.height * image.width;
}

void check_promises(const io::ScanInfo& info) {
  promise(info.frames > 0 && info.side_px > 0, "a scan without frames");
  promise(static_cast<int64_t>(info.positions_px.size()) == info.frames, "positions and frames differ");
  for (const auto& p : info.positions_px)
    promise(std::abs(p[0]) <= 1e9 && std::abs(p[1]) <= 1e9, "a position out of reach");
  promise(fills(info.probe) && finite(info.probe), "a probe that is not filled with finite numbers");
  promise(fills(info.object) && finite(info.object), "an object that is not filled with finite numbers");
  promise(info.probe.empty() || (info.probe.height == info.side_px && info.probe.width == info.side_px),
          "a probe of another size");
  promise(info.mask.empty() || static_cast<int64_t>(info.mask.size()) == info.side_px * info.side_px,
          "a mask of another size");
  promise(info.object_index.empty() || static_cast<int64_t>(info.object_index.size()) == info.frames,
          "object_index of another length");
  for (const int32_t i : info.object_index)
    promise(i >= 0 && i < std::max<int64_t>(info.object.depth, info.frames), "an object_index out of range");
  for (const int64_t frame : info.groups) promise(frame >= 0 && frame < info.frames, "a group of frames that are not");
}

void read_frames(io::ScanReader& scan, int64_t first, int64_t count) {
  const int64_t pixels = scan.info().side_px * scan.info().side_px;
  std::vector<float> out(static_cast<size_t>(count * pixels));
  if (!accepts([&] { scan.read_amplitude(first, count, out); })) return;
  for (const float a : out) promise(a >= 0 && std::isfinite(a), "an amplitude that is none");
}

}  // namespace

void read_as_scan(const std::string& path) {
  const io::ScanHints all{.domain = io::Domain::amplitude,
                          .dc = io::DcPlace::corner,
                          .order = io::AxisOrder::yx,
                          .origin = io::Origin::corner,
                          .pixel_size_m = 1e-8};
  for (const io::ScanHints& hints : {io::ScanHints{}, {.domain = io::Domain::amplitude}, all}) {
    std::unique_ptr<io::ScanReader> scan;
    if (!accepts([&] { scan = io::open_scan(path, hints, 1); })) continue;
    check_promises(scan->info());
    const int64_t frames = scan->info().frames, few = std::min<int64_t>(frames, 4);
    read_frames(*scan, 0, few);
    read_frames(*scan, frames - few, few);
    read_frames(*scan, 0, 1);  // back again
  }
}

void read_as_image(const std::string& path) {
  for (const char* fallback : {"probe", "object"})
    accepts([&] {
      const io::ComplexImage image = io::read_complex_image(path, fallback);
      promise(!image.empty() && fills(image) && finite(image), "an image that is not filled with finite numbers");
    });
}

}  // namespace ptyfuse::fuzz
