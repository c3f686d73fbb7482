#include "io/file_kind.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "io/hdf5.h"

namespace ptyfuse::io {

FileKind file_kind(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) throw FileError(path, "no such file");
  if (std::filesystem::is_directory(path, error)) return FileKind::folder;
  if (std::filesystem::is_fifo(path, error)) return FileKind::scan_or_other;  // opening it would wait for a writer
  std::string format;
  try {
    format = h5::File::open(path).text("format").value_or("");
  } catch (const FileError&) {
    return FileKind::scan_or_other;  // not HDF5: whoever opens it next says what is wrong
  }
  if (format == "ptyfuse-reconstruction") return FileKind::reconstruction;
  if (format == "ptyfuse-checkpoint") return FileKind::checkpoint;
  if (format == "ptyfuse-benchmark") return FileKind::named_arrays;
  return FileKind::scan_or_other;
}

std::string first_bytes(const std::string& path, const std::string& expected) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) throw FileError(path, "no such file");
  if (std::filesystem::is_directory(status)) {
    const bool run = std::filesystem::exists(std::filesystem::path(path) / "model.h5", error);
    throw FileError(path, std::string(run ? "is a run folder; " : "is a folder; ") + expected + " was expected");
  }
  if (std::filesystem::is_fifo(status)) throw FileError(path, "is a pipe; " + expected + " was expected");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw FileError(path, std::string("cannot be opened: ") + std::strerror(errno));
  std::string bytes(8, '\0');
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
  if (bytes.empty()) throw FileError(path, "is empty (0 bytes); " + expected + " was expected");
  return bytes;
}

std::string read_whole(const std::string& path, int64_t most_bytes) {
  // What it is, is asked of what was opened: the name may come to mean something else meanwhile.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(descriptor < 0 ? nullptr : ::fdopen(descriptor, "rb"),
                                                             std::fclose);
  if (!file) throw FileError(path, std::string("cannot be opened: ") + std::strerror(errno));
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode))
    throw FileError(path, "is no ordinary file (a folder, pipe or device); a file was expected");
  if (status.st_size > most_bytes)
    throw FileError(path, "has " + std::to_string(status.st_size) + " bytes; at most " + std::to_string(most_bytes) +
                              " were expected");
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
  if (std::ferror(file.get()) != 0) throw FileError(path, std::string("cannot be read: ") + std::strerror(errno));
  return bytes;
}

}  // namespace ptyfuse::io
