#include "io/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>

#include "io/file_error.h"

namespace ptyfuse::io {

namespace {

namespace fs = std::filesystem;

// With the temporary name's dots, process and random number no file system of ours takes more.
constexpr size_t longest_name = 255 - 26;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string folder_of(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  const int reason = errno;
  throw FileError(path, what + ": " + std::strerror(reason));
}

void sync(const std::string& path, const std::string& what, int flags) {
  const Descriptor file(::open(path.c_str(), flags | O_CLOEXEC));
  // Some file systems cannot sync a folder and say EINVAL; the rename is then as safe as they make it.
  if (file.get() < 0 || (::fsync(file.get()) != 0 && errno != EINVAL)) fail(what, "cannot be written to disk");
}

/// Renames; without `force` only where nothing of that name has appeared meanwhile.
int rename_to(const std::string& from, const std::string& to, bool force) {
  if (force) return ::rename(from.c_str(), to.c_str());
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  struct stat status {};
  if (::lstat(to.c_str(), &status) == 0) {
    errno = EEXIST;
    return -1;
  }
  return ::rename(from.c_str(), to.c_str());
}

}  // namespace

void check_output_path(const std::string& path, bool force) {
  if (path.empty()) throw FileError("-o", "an output path is needed");
  std::error_code error;
  if (fs::is_directory(path, error)) throw FileError(path, "is a folder; a file name was expected");
  // A rename would put an ordinary file in the place of the device, for every program of the machine.
  if (fs::is_other(fs::status(path, error)))
    throw FileError(path, "is a device, pipe or socket; the name of an ordinary file was expected");
  if (!force && fs::exists(fs::symlink_status(path, error)))
    throw FileError(path, "exists already; pass --force to replace it, or choose another name");
  if (fs::path(path).filename().string().size() > longest_name)
    throw FileError(path, fmt::format("the name is longer than {} bytes; choose a shorter one", longest_name));
  const std::string folder = folder_of(path);
  if (!fs::is_directory(folder, error))
    throw FileError(path, "its folder '" + folder + "' does not exist; make it first");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) fail(path, "cannot write into the folder '" + folder + "'");
}

AtomicFile::AtomicFile(const std::string& path, bool force) : path_(path), force_(force) {
  check_output_path(path, force);
  std::random_device random;
  const fs::path name = fs::path(path).filename();
  for (int attempt = 0; attempt < 100; ++attempt) {
    temporary_ = fmt::format("{}/.{}.{}-{:08x}.tmp", folder_of(path), name.string(), ::getpid(), random());
    const Descriptor file(::open(temporary_.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666));
    if (file.get() >= 0) return;
    if (errno != EEXIST) fail(path, "a temporary file beside it cannot be created");
  }
  fail(path, "a temporary file beside it cannot be created");
}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::commit() {
  sync(temporary_, path_, O_RDWR);
  if (rename_to(temporary_, path_, force_) != 0) {
    if (errno == EEXIST) throw FileError(path_, "appeared while it was being written; pass --force to replace it");
    fail(path_, "cannot be put in place");
  }
  committed_ = true;
  sync(folder_of(path_), path_, O_RDONLY | O_DIRECTORY);
}

void write_whole_file(const std::string& path, std::string_view bytes, bool force) {
  AtomicFile file(path, force);
  {
    const Descriptor out(::open(file.temporary_path().c_str(), O_WRONLY | O_CLOEXEC));
    if (out.get() < 0) fail(path, "cannot be written");
    while (!bytes.empty()) {
      const ssize_t written = ::write(out.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail(path, "cannot be written");
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  file.commit();
}

}  // namespace ptyfuse::io
