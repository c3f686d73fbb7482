#include "io/npz_archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "io/file_error.h"
#include "io/scan_parts.h"

namespace ptyfuse::io {

NpzStream::NpzStream(std::string path, std::string key, zip_t* archive, zip_uint64_t index)
    : path_(std::move(path)), key_(std::move(key)), archive_(archive), index_(index) {
  zip_stat_t stat;
  zip_stat_init(&stat);
  constexpr zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  if (zip_stat_index(archive_, index_, 0, &stat) != 0 || (stat.valid & needed) != needed)
    throw FileError(path_, key_, "its entry in the zip directory is damaged");
  seekable_ = stat.comp_method == ZIP_CM_STORE;
  reopen();

  std::error_code error;
  const auto file_bytes = std::filesystem::file_size(path_, error);
  // Deflate shrinks at most 1032-fold: a directory that claims more was made up.
  constexpr zip_uint64_t densest = 1100, free_bytes = 1 << 20;
  const bool possible =
      error || (stat.comp_size <= file_bytes && (stat.size <= free_bytes || stat.size / densest <= stat.comp_size));
  const auto expected = static_cast<zip_uint64_t>(header_.header_bytes) +
                        static_cast<zip_uint64_t>(header_.numeric() ? header_.data_bytes() : 0);
  if (!possible || (header_.numeric() && stat.size != expected))
    throw FileError(path_, key_,
                    fmt::format("its header claims {} bytes, the archive holds {} ({} compressed); the file is "
                                "truncated or damaged",
                                expected, stat.size, stat.comp_size));
}

void NpzStream::reopen() {
  entry_.reset(zip_fopen_index(archive_, index_, 0));
  if (!entry_) throw FileError(path_, key_, std::string("cannot be opened: ") + zip_strerror(archive_));
  header_ = read_npy_header(path_, key_, [this](void* to, int64_t bytes) { read_raw(to, bytes); });
  position_ = 0;
}

void NpzStream::read_raw(void* to, int64_t bytes) {
  auto* out = static_cast<char*>(to);
  while (bytes > 0) {
    const zip_int64_t got = zip_fread(entry_.get(), out, static_cast<zip_uint64_t>(bytes));
    if (got <= 0)
      throw FileError(path_, key_,
                      std::string("cannot be read to its end; the file is truncated or damaged: ") +
                          (got < 0 ? zip_file_strerror(entry_.get()) : "the entry ends too soon"));
    out += got;
    bytes -= got;
  }
}

void NpzStream::read(void* to, int64_t bytes) {
  if (position_ + bytes > header_.data_bytes()) throw FileError(path_, key_, "a read beyond its end");
  read_raw(to, bytes);
  position_ += bytes;
  if (position_ != header_.data_bytes() || bytes == 0 || !forward_only_so_far_) return;
  char beyond = 0;  // the library compares the checksum when it meets the end
  if (zip_fread(entry_.get(), &beyond, 1) < 0)
    throw FileError(path_, key_, std::string("is damaged: ") + zip_file_strerror(entry_.get()));
}

void NpzStream::seek(int64_t position) {
  if (position == position_) return;
  if (seekable_ && zip_fseek(entry_.get(), header_.header_bytes + position, SEEK_SET) == 0) {
    position_ = position;
    forward_only_so_far_ = false;
    return;
  }
  if (position < position_) reopen();
  std::vector<char> skipped(static_cast<size_t>(std::min<int64_t>(1 << 20, position - position_)));
  while (position_ < position)
    read(skipped.data(), std::min<int64_t>(static_cast<int64_t>(skipped.size()), position - position_));
}

NpzArchive::NpzArchive(const std::string& path) : path_(path) {
  int code = 0;
  archive_.reset(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (archive_) return;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  throw FileError(path, "cannot be read as an NPZ (a zip of numpy arrays); truncated or damaged? " + reason);
}

int64_t NpzArchive::index_of(const std::string& key) const {
  const zip_int64_t index = zip_name_locate(archive_.get(), (key + ".npy").c_str(), 0);
  return index >= 0 ? index : zip_name_locate(archive_.get(), key.c_str(), 0);
}

bool NpzArchive::has(const std::string& key) const {
  return index_of(key) >= 0;
}

std::string NpzArchive::keys() const {
  std::string text;
  const zip_int64_t entries = std::min<zip_int64_t>(24, zip_get_num_entries(archive_.get(), 0));
  for (zip_int64_t i = 0; i < entries; ++i) {
    const char* const stored = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
    if (stored == nullptr) continue;
    std::string name = stored;
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    text += (text.empty() ? "" : ", ") + name;
  }
  return text.empty() ? "nothing" : text;
}

NpzStream NpzArchive::stream(const std::string& key) const {
  const int64_t index = index_of(key);
  if (index < 0) throw FileError(path_, key, "is missing; the file holds " + keys());
  return NpzStream(path_, key, archive_.get(), static_cast<zip_uint64_t>(index));
}

namespace {

std::vector<char> whole(NpzStream& stream, const std::string& path) {
  if (!stream.header().numeric())
    throw FileError(path, stream.key(), "holds " + stream.header().type_name() + "; numbers were expected");
  std::vector<char> raw(static_cast<size_t>(stream.header().data_bytes()));
  stream.read(raw.data(), static_cast<int64_t>(raw.size()));
  return raw;
}

}  // namespace

std::vector<double> NpzArchive::reals(const std::string& key, std::vector<int64_t>& shape) const {
  NpzStream entry = stream(key);
  shape = entry.header().shape;
  const std::vector<char> raw = whole(entry, path_);
  return npy_to_double(path_, key, entry.header(), raw);
}

ComplexImage NpzArchive::image(const std::string& key) const {
  NpzStream entry = stream(key);
  std::vector<int64_t> shape = entry.header().shape;
  while (shape.size() > 2 && shape.back() == 1) shape.pop_back();
  if ((shape.size() != 2 && shape.size() != 3) || entry.header().elements() == 0)
    throw FileError(
        path_, key,
        "has the shape " + entry.header().shape_text() + "; an image [H,W] or a stack [n,H,W] was expected");
  ComplexImage out;
  out.depth = shape.size() == 3 ? shape[0] : 1;
  out.height = shape[shape.size() - 2];
  out.width = shape[shape.size() - 1];
  const std::vector<char> raw = whole(entry, path_);
  out.data = npy_to_complex(path_, key, entry.header(), raw);
  check_finite(path_, key, out);
  return out;
}

}  // namespace ptyfuse::io
