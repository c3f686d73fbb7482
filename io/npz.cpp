#include "io/npz.h"

#include <zip.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <functional>

#include "io/atomic_file.h"
#include "io/npy.h"
#include "io/scan_parts.h"

namespace ptyfuse::io {

namespace {

/// Bytes of one .npy entry, produced while the archive is written.
class Entry {
 public:
  /// fill(offset, to, bytes) writes the array's bytes [offset, offset+bytes).
  using Fill = std::function<void(int64_t offset, char* to, int64_t bytes)>;
  Entry(std::string name, const std::string& descr, const std::vector<int64_t>& shape, int64_t element_bytes, Fill fill)
      : name_(std::move(name) + ".npy"), header_(npy_header_text(descr, shape)), fill_(std::move(fill)) {
    data_bytes_ = element_bytes;
    for (int64_t e : shape) data_bytes_ *= e;
  }
  const std::string& name() const { return name_; }
  const std::exception_ptr& failure() const { return failure_; }

  /// libzip's source protocol: the library calls back for every step of reading this entry.
  static zip_int64_t serve(void* self, void* data, zip_uint64_t bytes, zip_source_cmd_t command) {
    return static_cast<Entry*>(self)->step(data, bytes, command);
  }

 private:
  int64_t size() const { return static_cast<int64_t>(header_.size()) + data_bytes_; }

  zip_int64_t step(void* data, zip_uint64_t bytes, zip_source_cmd_t command) {
    switch (command) {
      case ZIP_SOURCE_OPEN:
        at_ = 0;
        return 0;
      case ZIP_SOURCE_READ:
        return read(static_cast<char*>(data), static_cast<int64_t>(bytes));
      case ZIP_SOURCE_STAT: {
        auto* stat = static_cast<zip_stat_t*>(data);
        zip_stat_init(stat);
        stat->size = static_cast<zip_uint64_t>(size());
        stat->valid = ZIP_STAT_SIZE;
        return sizeof(zip_stat_t);
      }
      case ZIP_SOURCE_ERROR: {
        const int error[2] = {failure_ ? ZIP_ER_READ : ZIP_ER_OK, 0};
        std::memcpy(data, error, sizeof error);
        return sizeof error;
      }
      case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                              ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
      default:
        return 0;
    }
  }

  /// An exception must not fly through the C library: it is kept, and rethrown when the library has given up.
  zip_int64_t read(char* to, int64_t bytes) {
    try {
      const int64_t total = std::min(bytes, size() - at_);
      const int64_t head = std::clamp<int64_t>(static_cast<int64_t>(header_.size()) - at_, 0, total);
      if (head > 0) std::memcpy(to, header_.data() + at_, static_cast<size_t>(head));
      if (total > head) fill_(at_ + head - static_cast<int64_t>(header_.size()), to + head, total - head);
      at_ += total;
      return total;
    } catch (...) {
      failure_ = std::current_exception();
      return -1;
    }
  }

  std::string name_, header_;
  Fill fill_;
  int64_t data_bytes_ = 0, at_ = 0;
  std::exception_ptr failure_;
};

/// Serves the bytes of frames in the small pieces that the library asks for, reading several frames at a time.
class FrameBytes {
 public:
  explicit FrameBytes(ScanReader& scan) : scan_(scan) {}
  void operator()(int64_t offset, char* to, int64_t bytes) {
    const ScanInfo& info = scan_.info();
    const int64_t frame_bytes = info.side_px * info.side_px * static_cast<int64_t>(sizeof(float));
    while (bytes > 0) {
      if (offset < begin_ || offset >= begin_ + static_cast<int64_t>(frames_.size() * sizeof(float))) {
        constexpr int64_t piece_bytes = 4 << 20;
        const int64_t first = offset / frame_bytes;
        const int64_t count = std::clamp<int64_t>(piece_bytes / frame_bytes, 1, info.frames - first);
        frames_.resize(static_cast<size_t>(count * frame_bytes) / sizeof(float));
        scan_.read_amplitude(first, count, frames_);
        begin_ = first * frame_bytes;
      }
      const int64_t here = offset - begin_;
      const int64_t n = std::min(bytes, static_cast<int64_t>(frames_.size() * sizeof(float)) - here);
      std::memcpy(to, reinterpret_cast<const char*>(frames_.data()) + here, static_cast<size_t>(n));
      to += n, offset += n, bytes -= n;
    }
  }

 private:
  ScanReader& scan_;
  std::vector<float> frames_;
  int64_t begin_ = 0;
};

Entry::Fill from_memory(const void* data) {
  return [data](int64_t offset, char* to, int64_t bytes) {
    std::memcpy(to, static_cast<const char*>(data) + offset, static_cast<size_t>(bytes));
  };
}

std::vector<int64_t> image_shape(const ComplexImage& image) {
  if (image.depth == 1) return {image.height, image.width};
  return {image.depth, image.height, image.width};
}

/// Zip dates start in 1980; a fixed one makes equal scans equal files.
constexpr zip_uint16_t first_dos_date = 1 << 5 | 1;

void write_archive(const std::string& temporary, const std::string& path, std::vector<Entry>& entries) {
  int code = 0;
  zip_t* archive = zip_open(temporary.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (!archive) throw FileError(path, fmt::format("cannot be created as a zip (libzip error {})", code));
  const auto give_up = [&](const std::string& what) {
    const std::string reason = zip_strerror(archive);
    zip_discard(archive);
    for (const Entry& entry : entries)
      if (entry.failure()) std::rethrow_exception(entry.failure());
    throw FileError(path, what + ": " + reason);
  };
  for (Entry& entry : entries) {
    zip_source_t* source = zip_source_function(archive, Entry::serve, &entry);
    const zip_int64_t index = source ? zip_file_add(archive, entry.name().c_str(), source, ZIP_FL_ENC_UTF_8) : -1;
    if (index < 0) {
      zip_source_free(source);
      give_up("an entry cannot be added");
    }
    constexpr zip_uint32_t fastest = 1;
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_DEFLATE, fastest);
    zip_file_set_dostime(archive, static_cast<zip_uint64_t>(index), 0, first_dos_date, 0);
  }
  if (zip_close(archive) != 0) give_up("cannot be written");
}

}  // namespace

void write_ptychopinn_npz(const std::string& path, ScanReader& scan, bool force) {
  const ScanInfo& info = scan.info();
  if (info.object.depth > 1)
    throw FileError(info.path, "object",
                    fmt::format("holds {} images; PtychoPINN's NPZ holds one object, so convert to a scan file instead",
                                info.object.depth));
  AtomicFile output(path, force);
  std::vector<double> x, y;
  for (const auto& p : info.positions_px) {
    y.push_back(p[0]);
    x.push_back(p[1]);
  }
  std::vector<Entry> entries;
  entries.emplace_back("diff3d", "<f4", std::vector<int64_t>{info.frames, info.side_px, info.side_px},
                       static_cast<int64_t>(sizeof(float)), FrameBytes(scan));
  entries.emplace_back("xcoords", "<f8", std::vector<int64_t>{info.frames}, 8, from_memory(x.data()));
  entries.emplace_back("ycoords", "<f8", std::vector<int64_t>{info.frames}, 8, from_memory(y.data()));
  if (!info.probe.empty())
    entries.emplace_back("probeGuess", "<c8", image_shape(info.probe), 8, from_memory(info.probe.data.data()));
  if (!info.object.empty())
    entries.emplace_back("objectGuess", "<c8", image_shape(info.object), 8, from_memory(info.object.data.data()));
  write_archive(output.temporary_path(), path, entries);
  output.commit();
}

void write_npz(const std::string& path, std::span<const NpzArray> arrays, bool force) {
  AtomicFile output(path, force);
  std::vector<Entry> entries;
  for (const NpzArray& array : arrays) {
    size_t elements = 1;
    for (const int64_t extent : array.shape) elements *= static_cast<size_t>(extent);
    std::visit(
        [&]<class T>(const std::vector<T>& data) {
          if (data.size() != elements)
            throw FileError(path, array.key, fmt::format("{} values for a shape of {}", data.size(), elements));
          constexpr bool real = std::is_same_v<T, float>;
          entries.emplace_back(array.key, real ? "<f4" : "<c8", array.shape, static_cast<int64_t>(sizeof(T)),
                               from_memory(data.data()));
        },
        array.data);
  }
  write_archive(output.temporary_path(), path, entries);
  output.commit();
}

}  // namespace ptyfuse::io
