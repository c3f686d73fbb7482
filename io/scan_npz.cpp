// PtychoPINN's and Ptychodus' NPZ.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "io/frames.h"
#include "io/npz_archive.h"
#include "io/scan_parts.h"

namespace ptyfuse::io {

namespace {

/// The bytes of an array, decompressed once into a nameless temporary file and mapped: the system may drop its pages at
/// any time, so it takes disk, not memory.
class Spool {
 public:
  Spool(NpzStream& stream, const std::string& path) : bytes_(stream.header().data_bytes()) {
    std::error_code error;
    const std::string folder = std::filesystem::temp_directory_path(error).string();
    std::string name = (folder.empty() ? "/tmp" : folder) + "/ptyfuse-spool-XXXXXX";
    const int file = ::mkstemp(name.data());
    if (file < 0) fail(path, stream.key(), folder);
    ::unlink(name.c_str());
    try {
      copy(stream, file, path, folder);
    } catch (...) {
      ::close(file);
      throw;
    }
    void* map = ::mmap(nullptr, static_cast<size_t>(bytes_), PROT_READ, MAP_SHARED, file, 0);
    ::close(file);
    if (map == MAP_FAILED) fail(path, stream.key(), folder);
    data_ = static_cast<const char*>(map);
  }
  ~Spool() { ::munmap(const_cast<char*>(data_), static_cast<size_t>(bytes_)); }
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  const char* data() const { return data_; }

 private:
  [[noreturn]] static void fail(const std::string& path, const std::string& key, const std::string& folder) {
    const int reason = errno;
    throw FileError(path, key,
                    fmt::format("cannot be unpacked into a temporary file in '{}': {}; name a folder with room in "
                                "TMPDIR, or convert the file once with `ptyfuse convert`",
                                folder, std::strerror(reason)));
  }
  void copy(NpzStream& stream, int file, const std::string& path, const std::string& folder) const {
    std::vector<char> piece(4 << 20);
    stream.seek(0);
    for (int64_t done = 0; done < bytes_;) {
      const int64_t n = std::min<int64_t>(static_cast<int64_t>(piece.size()), bytes_ - done);
      stream.read(piece.data(), n);
      for (int64_t written = 0; written < n;) {
        const ssize_t w = ::write(file, piece.data() + written, static_cast<size_t>(n - written));
        if (w < 0 && errno != EINTR) fail(path, stream.key(), folder);
        written += std::max<ssize_t>(0, w);
      }
      done += n;
    }
  }

  int64_t bytes_;
  const char* data_ = nullptr;
};

/// Where element (frame, y, x) lies, in elements.
struct Layout {
  int64_t frames = 0, height = 0, width = 0;
  int64_t frame_stride = 0, y_stride = 0, x_stride = 0;
  bool frame_by_frame() const {
    return x_stride == 1 && y_stride == width && (frame_stride == height * width || frames == 1);
  }
};

/// Axes of PtychoPINN's diffraction array: [S,H,W], [S,H,W,1] or [H,W,S], in C or Fortran order.
Layout layout_of(const std::string& path, const NpzStream& stream, int64_t positions) {
  const NpyHeader& header = stream.header();
  std::vector<int64_t> shape = header.shape;
  if (shape.size() == 4 && shape[3] == 1) shape.pop_back();
  if (shape.size() != 3)
    throw FileError(path, stream.key(),
                    "has the shape " + header.shape_text() + "; [S,N,N], [S,N,N,1] or [N,N,S] was expected");
  int64_t stride[3] = {shape[1] * shape[2], shape[2], 1};
  if (header.fortran_order) {
    stride[0] = 1;
    stride[1] = shape[0];
    stride[2] = shape[0] * shape[1];
  }
  int frame = 0, y = 1, x = 2;
  if (shape[0] != positions) {
    if (shape[2] != positions)
      throw FileError(path, stream.key(),
                      fmt::format("has the shape {}, but there are {} positions; [{}, N, N] was expected",
                                  header.shape_text(), positions, positions));
    frame = 2, y = 0, x = 1;
  }
  Layout layout;
  layout.frames = shape[static_cast<size_t>(frame)];
  layout.height = shape[static_cast<size_t>(y)];
  layout.width = shape[static_cast<size_t>(x)];
  layout.frame_stride = stride[frame], layout.y_stride = stride[y], layout.x_stride = stride[x];
  if (layout.height != layout.width || layout.height == 0 || layout.frames == 0)
    throw FileError(path, stream.key(),
                    fmt::format("frames are {} x {}; square frames were expected", layout.height, layout.width));
  return layout;
}

FrameType frame_type_of(const std::string& path, const NpzStream& stream) {
  const NpyHeader& header = stream.header();
  const int64_t bytes = header.element_bytes;
  switch (header.kind) {
    case 'u':
      if (bytes == 1) return FrameType::u8;
      if (bytes == 2) return FrameType::u16;
      if (bytes == 4) return FrameType::u32;
      if (bytes == 8) return FrameType::u64;
      break;
    case 'i':
      if (bytes == 1) return FrameType::i8;
      if (bytes == 2) return FrameType::i16;
      if (bytes == 4) return FrameType::i32;
      if (bytes == 8) return FrameType::i64;
      break;
    case 'f':
      if (bytes == 4) return FrameType::f32;
      if (bytes == 8) return FrameType::f64;
      break;
    default:
      break;
  }
  throw FileError(path, stream.key(), "holds " + header.type_name() + "; integers, float32 or float64 were expected");
}

class NpzScan final : public ScanReader {
 public:
  NpzScan(ScanInfo info, std::unique_ptr<NpzArchive> archive, NpzStream frames, const Layout& layout, FrameType type)
      : info_(std::move(info)),
        archive_(std::move(archive)),
        frames_(std::move(frames)),
        layout_(layout),
        type_(type),
        converter_(info_.path, frames_.key(), type, info_.domain, info_.dc, info_.side_px, info_.mask) {}

  const ScanInfo& info() const override { return info_; }

  void read_amplitude(int64_t first, int64_t count, std::span<float> out) override {
    check_frame_range(info_, frames_.key(), first, count, out.size());
    const int64_t pixels = info_.side_px * info_.side_px, frame_bytes = pixels * frame_type_bytes(type_);
    choose_source(first * frame_bytes);
    constexpr int64_t piece_bytes = 4 << 20;
    const int64_t piece = std::max<int64_t>(1, piece_bytes / frame_bytes);
    for (int64_t begin = 0; begin < count; begin += piece) {
      const int64_t n = std::min(piece, count - begin);
      converter_.convert(raw_frames(first + begin, n), first + begin, n,
                         out.subspan(static_cast<size_t>(begin * pixels)));
    }
  }

 private:
  /// Unpacks to disk where reading forward would not do: frames that do not lie one after the other, or going back so
  /// often that more than the whole array would have to be decompressed again.
  void choose_source(int64_t position) {
    if (spool_) return;
    if (position < frames_.position() && !frames_.seekable()) skipped_bytes_ += position;
    if (!layout_.frame_by_frame() || skipped_bytes_ > frames_.header().data_bytes())
      spool_ = std::make_unique<Spool>(frames_, info_.path);
  }

  const void* raw_frames(int64_t first, int64_t count) {
    const int64_t pixels = info_.side_px * info_.side_px, element = frame_type_bytes(type_);
    if (spool_ && layout_.frame_by_frame()) return spool_->data() + first * pixels * element;
    raw_.resize(static_cast<size_t>(count * pixels * element));
    if (spool_) {
      with_frame_type(type_, [&](auto zero) {
        using T = decltype(zero);
        gather(reinterpret_cast<const T*>(spool_->data()), first, count, reinterpret_cast<T*>(raw_.data()));
      });
    } else {
      frames_.seek(first * pixels * element);
      frames_.read(raw_.data(), static_cast<int64_t>(raw_.size()));
    }
    return raw_.data();
  }

  template <class T>
  void gather(const T* in, int64_t first, int64_t count, T* out) const {
    const int64_t side = info_.side_px;
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x) {
        const T* from = in + y * layout_.y_stride + x * layout_.x_stride + first * layout_.frame_stride;
        T* to = out + y * side + x;
        for (int64_t f = 0; f < count; ++f) to[f * side * side] = from[f * layout_.frame_stride];
      }
  }

  ScanInfo info_;
  std::unique_ptr<NpzArchive> archive_;
  NpzStream frames_;
  Layout layout_;
  FrameType type_;
  FrameConverter converter_;
  std::unique_ptr<Spool> spool_;
  int64_t skipped_bytes_ = 0;
  std::vector<char> raw_;
};

/// Integers are counts; of reals the user must say what they are.
Domain domain_of(const std::string& path, const NpzStream& frames, const ScanHints& hints) {
  if (frames.header().kind != 'f') {
    if (hints.domain == Domain::amplitude)
      throw FileError(path, frames.key(),
                      "holds " + frames.header().type_name() +
                          ", so counts, but --domain amplitude was given; leave the option out");
    return Domain::counts;
  }
  if (hints.domain) return *hints.domain;
  throw FileError(path, frames.key(),
                  "holds " + frames.header().type_name() +
                      ", which an NPZ may mean as amplitude (PtychoPINN) or as counts (Ptychodus); say --domain "
                      "amplitude or --domain counts");
}

std::vector<double> coordinates(const NpzArchive& archive, const std::string& key) {
  std::vector<int64_t> shape;
  std::vector<double> values = archive.reals(key, shape);
  int64_t axes = 0;
  for (int64_t e : shape) axes += e != 1;
  if (axes > 1)
    throw FileError(archive.path(), key, "holds more than one axis; one number for each frame was expected");
  return values;
}

void read_positions(const NpzArchive& archive, const ScanHints& hints, ScanInfo& info) {
  if (hints.order == AxisOrder::xy)
    throw FileError(
        info.path, "xcoords",
        "names its axis itself, so --order xy does not apply; leave the option out, and where the names are "
        "exchanged, exchange them in the file");
  const std::vector<double> x = coordinates(archive, "xcoords"), y = coordinates(archive, "ycoords");
  if (x.size() != y.size())
    throw FileError(info.path, "ycoords",
                    fmt::format("{} values, xcoords has {}; they must agree", y.size(), x.size()));
  info.positions_px.resize(x.size());
  for (size_t s = 0; s < x.size(); ++s) info.positions_px[s] = {y[s], x[s]};
}

/// Where index N/2 of a patch lies when a coordinate is given: PtychoPINN gives just that, Ptychodus the middle
/// (N-1)/2.
double to_centre(bool ptychodus, const ScanHints& hints, int64_t side_px) {
  if (hints.origin == Origin::corner) return static_cast<double>(side_px / 2);
  if (hints.origin == Origin::centre || !ptychodus) return 0;
  return static_cast<double>(side_px / 2) - static_cast<double>(side_px - 1) / 2;
}

void read_bad_pixels(const NpzArchive& archive, ScanInfo& info) {
  std::vector<int64_t> shape;
  const std::vector<double> bad = archive.reals("bad_pixels", shape);
  if (static_cast<int64_t>(bad.size()) != info.side_px * info.side_px)
    throw FileError(info.path, "bad_pixels", fmt::format("does not have the frames' shape [{0}, {0}]", info.side_px));
  info.mask.resize(bad.size());
  for (size_t i = 0; i < bad.size(); ++i) info.mask[i] = bad[i] == 0;
  if (info.dc == DcPlace::corner) info.mask = shift_to_centre(info.mask, info.side_px);
}

}  // namespace

std::unique_ptr<ScanReader> open_npz_scan(const std::string& path, const ScanHints& hints) {
  auto archive = std::make_unique<NpzArchive>(path);
  const char* key = archive->has("diff3d") ? "diff3d" : "diffraction";
  const PartNames names{key, "xcoords", "probeGuess", "bad_pixels", "objectGuess"};
  if (!archive->has(key))
    throw FileError(path, "diff3d", "is missing (also by the name diffraction); the file holds " + archive->keys());

  ScanInfo info;
  info.path = path;
  const bool ptychodus = archive->has("bad_pixels");
  info.format = ptychodus ? "ptychodus-npz" : "ptychopinn-npz";
  NpzStream frames = archive->stream(key);
  const FrameType type = frame_type_of(path, frames);
  info.frame_type = frames.header().type_name();
  info.domain = domain_of(path, frames, hints);
  info.dc = hints.dc.value_or(DcPlace::centre);
  read_positions(*archive, hints, info);
  const Layout layout = layout_of(path, frames, static_cast<int64_t>(info.positions_px.size()));
  info.frames = layout.frames;
  info.side_px = layout.width;
  for (auto& position : info.positions_px)
    for (double& p : position) p += to_centre(ptychodus, hints, info.side_px);
  if (ptychodus) read_bad_pixels(*archive, info);
  if (archive->has(names.probe)) info.probe = archive->image(names.probe);
  if (archive->has(names.object)) {
    ComplexImage object = archive->image(names.object);
    if (object.depth == 1) info.object = std::move(object);  // layers of one object are not images of several
  }
  info.pixel_size_m = settle_pixel_size(path, std::nullopt, hints.pixel_size_m);
  check_parts(info, names);
  return std::make_unique<NpzScan>(std::move(info), std::move(archive), std::move(frames), layout, type);
}

}  // namespace ptyfuse::io
