#pragma once
#include <stdexcept>
#include <string>

namespace ptyfuse::io {

/// A message as C strings hold it: what(), where it ends at the first NUL, which words out of a file may have.
inline std::string without_nul(std::string message) {
  for (size_t at = 0; (at = message.find('\0', at)) != std::string::npos;) message.replace(at, 1, "\\x00");
  return message;
}

/// A file that cannot be read, used or written: one message that names file and dataset, says what was wrong, what was
/// expected and how to mend it.
class FileError : public std::runtime_error {
 public:
  FileError(const std::string& path, const std::string& what)
      : std::runtime_error(without_nul(path + ": " + what)), path_(path) {}
  FileError(const std::string& path, const std::string& dataset, const std::string& what)
      : std::runtime_error(without_nul(path + ": " + dataset + ": " + what)), path_(path) {}
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace ptyfuse::io
