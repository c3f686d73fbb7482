#pragma once
#include <string>
#include <string_view>

namespace ptyfuse::io {

/// An output under a temporary name in its final folder: commit() syncs file and folder and renames; without commit the
/// temporary file is removed. A file appears whole or not at all.
class AtomicFile {
 public:
  /// FileError: `path` exists and !force, is a folder, device or pipe, or its folder does not exist or cannot be
  /// written.
  AtomicFile(const std::string& path, bool force);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  /// Where to write.
  const std::string& temporary_path() const { return temporary_; }
  /// FileError: the disk is full or fails, `path` has appeared meanwhile and !force.
  void commit();

 private:
  std::string path_, temporary_;
  bool force_ = false, committed_ = false;
};

/// Writes a file of these bytes through AtomicFile.
void write_whole_file(const std::string& path, std::string_view bytes, bool force);

/// FileError when `path` exists and !force, is no ordinary file, or its folder is missing: to be asked before long work
/// starts.
void check_output_path(const std::string& path, bool force);

}  // namespace ptyfuse::io
