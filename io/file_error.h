#pragma once
#include <stdexcept>
#include <string>

namespace ptyfuse::io {

/// A file that cannot be read, used or written: one message that names file and dataset, says what was wrong, what was
/// expected and how to mend it.
class FileError : public std::runtime_error {
 public:
  FileError(const std::string& path, const std::string& what) : std::runtime_error(path + ": " + what), path_(path) {}
  FileError(const std::string& path, const std::string& dataset, const std::string& what)
      : std::runtime_error(path + ": " + dataset + ": " + what), path_(path) {}
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace ptyfuse::io
