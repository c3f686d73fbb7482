// Scan files of docs/file_formats.md.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "io/frames.h"
#include "io/hdf5_frames.h"
#include "io/scan_parts.h"

namespace ptyfuse::io {

namespace {

constexpr PartNames names;

FrameType frame_type_of(const h5::Dataset& frames) {
  const bool is_signed = frames.is_signed();
  if (frames.kind() == h5::Kind::integer) switch (frames.element_bytes()) {
      case 1:
        return is_signed ? FrameType::i8 : FrameType::u8;
      case 2:
        return is_signed ? FrameType::i16 : FrameType::u16;
      case 4:
        return is_signed ? FrameType::i32 : FrameType::u32;
      case 8:
        return is_signed ? FrameType::i64 : FrameType::u64;
    }
  if (frames.kind() == h5::Kind::real) return frames.element_bytes() <= 4 ? FrameType::f32 : FrameType::f64;
  throw FileError(frames.path(), frames.name(), "holds " + frames.type_name() + "; integers or reals were expected");
}

class Hdf5Scan final : public ScanReader {
 public:
  Hdf5Scan(ScanInfo info, h5::File file, h5::Dataset frames, FrameType type, int threads)
      : info_(std::move(info)),
        file_(std::move(file)),
        frames_(std::move(frames), type,
                FrameConverter(info_.path, names.frames, type, info_.domain, info_.dc, info_.side_px, info_.mask),
                threads) {}

  const ScanInfo& info() const override { return info_; }

  void read_amplitude(int64_t first, int64_t count, std::span<float> out) override {
    check_frame_range(info_, names.frames, first, count, out.size());
    std::vector<int64_t> run(static_cast<size_t>(count));
    std::iota(run.begin(), run.end(), first);
    frames_.read(run, out);
  }

  void read_frames(std::span<const int64_t> frames, std::span<float> out) override {
    const size_t room = frames.empty() ? 0 : out.size() / frames.size();
    for (const int64_t frame : frames) check_frame_range(info_, names.frames, frame, 1, room);
    frames_.read(frames, out);
  }

 private:
  ScanInfo info_;
  h5::File file_;
  Hdf5Frames frames_;
};

void read_frames_header(const h5::Dataset& frames, const ScanHints& hints, ScanInfo& info) {
  const auto& shape = frames.shape();
  if (shape.size() != 3 || shape[1] != shape[2] || frames.elements() == 0)
    throw FileError(info.path, names.frames,
                    "has the shape " + frames.shape_text() + "; square frames [S,N,N] were expected");
  info.frames = shape[0];
  info.side_px = shape[1];
  info.frame_type = frames.type_name();
  info.domain = domain_choice(info.path, names.frames).settle(frames.text("domain"), hints.domain);
  info.dc = dc_choice(info.path, names.frames).settle(frames.text("dc"), hints.dc);
}

void read_positions(const h5::Dataset& positions, const ScanHints& hints, ScanInfo& info) {
  const auto& shape = positions.shape();
  if (shape.size() != 2 || shape[1] != 2 || shape[0] != info.frames)
    throw FileError(info.path, names.positions,
                    fmt::format("has the shape {}; [{}, 2] was expected, one [y,x] for each frame",
                                positions.shape_text(), info.frames));
  const std::vector<double> values = positions.read_all<double>();
  const Origin origin = origin_choice(info.path, names.positions).settle(positions.text("origin"), hints.origin);

  // [y,x] is the format's order where neither the file nor the user says another.
  std::optional<std::string> stated = positions.text("order");
  if (stated == "y,x" || (!stated && !hints.order)) stated = "yx";
  if (stated == "x,y") stated = "xy";
  const AxisOrder order = order_choice(info.path, names.positions).settle(stated, hints.order);

  const double to_centre = origin == Origin::corner ? static_cast<double>(info.side_px / 2) : 0.0;
  info.positions_px.resize(static_cast<size_t>(info.frames));
  for (size_t s = 0; s < info.positions_px.size(); ++s)
    for (size_t a = 0; a < 2; ++a)
      info.positions_px[s][a] = values[2 * s + (order == AxisOrder::yx ? a : 1 - a)] + to_centre;
}

void read_mask(const h5::Dataset& mask, ScanInfo& info) {
  if (mask.shape() != std::vector<int64_t>{info.side_px, info.side_px})
    throw FileError(info.path, names.mask,
                    fmt::format("has the shape {}; the frames' [{}, {}] was expected", mask.shape_text(), info.side_px,
                                info.side_px));
  const std::vector<double> values = mask.read_all<double>();  // so that a half is not taken for a whole number
  const auto odd = std::find_if(values.begin(), values.end(), [](double m) { return m != 0 && m != 1; });
  if (odd != values.end())
    throw FileError(info.path, names.mask, fmt::format("holds {}; 1 (use) or 0 (leave out) was expected", *odd));
  info.mask.assign(values.begin(), values.end());
  if (info.dc == DcPlace::corner) info.mask = shift_to_centre(info.mask, info.side_px);
}

/// The rest is checked with the other parts; the number of entries before memory is taken for them.
std::vector<int32_t> read_object_index(const h5::Dataset& index, const ScanInfo& info) {
  if (index.elements() != info.frames)
    throw FileError(info.path, index.name(),
                    fmt::format("{} entries for {} frames; each frame needs one", index.elements(), info.frames));
  return index.read_all<int32_t>();
}

/// A positive number, or nullopt where the file does not know it (absent or NaN).
std::optional<double> positive(const h5::File& file, const char* attribute) {
  const std::optional<double> value = file.number(attribute);
  if (!value || std::isnan(*value)) return std::nullopt;
  if (!(*value > 0) || std::isinf(*value))
    throw FileError(file.path(),
                    fmt::format("attribute '{}' is {}; a positive number was expected", attribute, *value));
  return value;
}

void check_format(const h5::File& file) {
  const std::optional<std::string> format = file.text("format");
  if (!format) return;
  if (*format != "ptyfuse-scan")
    throw FileError(file.path(),
                    fmt::format("attribute 'format' is '{}'; a scan file ('ptyfuse-scan') was expected", *format));
  const std::optional<double> version = file.number("version");
  if (version && *version != 1)
    throw FileError(file.path(), fmt::format("scan file of version {}; this program reads version 1", *version));
}

h5::Dataset open_frames(const h5::File& file) {
  std::string found;
  for (const std::string& name : file.names(8)) found += (found.empty() ? "" : ", ") + name;
  return file.dataset(names.frames, "a scan file holds its frames there, [S,N,N]; this file holds " +
                                        (found.empty() ? "nothing" : found) +
                                        ". `ptyfuse convert` makes scan files of other formats");
}

}  // namespace

std::unique_ptr<ScanReader> open_hdf5_scan(const std::string& path, const ScanHints& hints, int threads) {
  h5::File file = h5::File::open(path);
  check_format(file);
  ScanInfo info;
  info.path = path;
  info.format = "ptyfuse-scan";

  h5::Dataset frames = open_frames(file);
  const FrameType type = frame_type_of(frames);
  read_frames_header(frames, hints, info);
  read_positions(file.dataset(names.positions, "a scan file holds each frame's position there, [S,2]"), hints, info);
  if (file.has(names.mask)) read_mask(file.dataset(names.mask), info);
  if (file.has(names.probe)) info.probe = read_hdf5_image(file.dataset(names.probe));
  if (file.has(names.object)) {
    const h5::Dataset object = file.dataset(names.object);
    info.object = read_hdf5_image(object);
    info.object_kind = object.text("kind").value_or("");
  }
  if (file.has("object_index")) info.object_index = read_object_index(file.dataset("object_index"), info);
  if (file.has("groups")) {
    const h5::Dataset groups = file.dataset("groups");
    if (groups.rank() != 2 || groups.elements() == 0)
      throw FileError(path, "groups", "has the shape " + groups.shape_text() + "; [groups, members] was expected");
    info.groups = groups.read_all<int64_t>();
    info.group_members = groups.shape()[1];
  }
  info.energy_ev = positive(file, "energy_eV");
  info.detector_distance_m = positive(file, "detector_distance_m");
  info.detector_pixel_m = positive(file, "detector_pixel_m");
  info.photons_per_pattern = positive(file, "photons_per_pattern");
  info.pixel_size_m = settle_pixel_size(path, positive(file, "pixel_size_m"), hints.pixel_size_m);
  check_parts(info, names);
  return std::make_unique<Hdf5Scan>(std::move(info), std::move(file), std::move(frames), type, threads);
}

}  // namespace ptyfuse::io
