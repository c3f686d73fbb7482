#include "io/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io/file_error.h"

namespace ptyfuse::io {

FolderLock::FolderLock(const std::string& folder) {
  const int file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) throw FileError(folder, std::string("cannot be opened: ") + std::strerror(errno));
  held_ = std::shared_ptr<const int>(new int(file), [](const int* descriptor) {
    ::close(*descriptor);
    delete descriptor;
  });
  if (::flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    throw FileError(folder, "another run is at work in this folder; wait for it, or choose another folder");
}

}  // namespace ptyfuse::io
