#include "io/file_kind.h"

#include <filesystem>

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
  return FileKind::scan_or_other;
}

}  // namespace ptyfuse::io
