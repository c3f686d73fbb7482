#pragma once
#include <memory>
#include <string>

namespace ptyfuse::io {

/// Keeps other processes (and other locks of this one) out of a folder for as long as it lives; the system releases it
/// when the process dies, however it dies. Advisory: it holds back those who ask for it. Copies share one lock.
class FolderLock {
 public:
  FolderLock() = default;
  /// FileError: the folder is locked already. A file system without locks grants every one.
  explicit FolderLock(const std::string& folder);
  bool held() const { return held_ != nullptr; }

 private:
  std::shared_ptr<const int> held_;
};

}  // namespace ptyfuse::io
