// A library to preload into a program under test: makes a call of the C library fail, or kills the program there.
//
//   PTYFUSE_FAULT=CALL:PATH:NTH:WHAT[:TIMES]
//     CALL   open, read, write, sync or rename
//     PATH   a part of the file's path; of `rename`, of the new name
//     NTH    which of these calls, from 1
//     WHAT   ENOSPC, EIO, EROFS, EACCES, or KILL: the process is killed at the call, before it does anything
//     TIMES  how many calls fail from there on; without it all
//   PTYFUSE_FAULT_LOG=FILE  gets a line for each call on such a path: CALL, and the path
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct Fault {
  char call[16] = "", path[256] = "", what[16] = "";
  long nth = 0, times = LONG_MAX;
};

const Fault& fault() {
  static const Fault wanted = [] {
    Fault f;
    if (const char* text = std::getenv("PTYFUSE_FAULT"))
      if (std::sscanf(text, "%15[^:]:%255[^:]:%ld:%15[^:]:%ld", f.call, f.path, &f.nth, f.what, &f.times) < 4) {
        std::fprintf(stderr, "PTYFUSE_FAULT='%s': CALL:PATH:NTH:WHAT[:TIMES] was expected\n", text);
        std::abort();
      }
    return f;
  }();
  return wanted;
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

int errno_of(const char* name) {
  if (std::strcmp(name, "ENOSPC") == 0) return ENOSPC;
  if (std::strcmp(name, "EIO") == 0) return EIO;
  if (std::strcmp(name, "EROFS") == 0) return EROFS;
  if (std::strcmp(name, "EACCES") == 0) return EACCES;
  std::fprintf(stderr, "PTYFUSE_FAULT: '%s' is not one of ENOSPC, EIO, EROFS, EACCES, KILL\n", name);
  std::abort();
}

void log(const char* call, const char* path) {
  static const char* const file = std::getenv("PTYFUSE_FAULT_LOG");
  if (file == nullptr) return;
  char line[PATH_MAX + 32];
  const int length = std::snprintf(line, sizeof line, "%s %s\n", call, path);
  static const auto real_open = next<int (*)(const char*, int, ...)>("open");
  static const auto real_write = next<ssize_t (*)(int, const void*, size_t)>("write");
  const int out = real_open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (out < 0) return;
  (void)!real_write(out, line, static_cast<size_t>(length));
  ::close(out);
}

/// Whether this call is to fail; errno is set then.
bool fails(const char* call, const char* path) {
  static std::atomic<long> met{0};
  const Fault& f = fault();
  if (f.path[0] == '\0' || std::strstr(path, f.path) == nullptr) return false;
  log(call, path);
  if (std::strcmp(call, f.call) != 0) return false;
  const long number = ++met;
  if (number < f.nth || number - f.nth >= f.times) return false;
  if (std::strcmp(f.what, "KILL") == 0) ::kill(::getpid(), SIGKILL);
  errno = errno_of(f.what);
  return true;
}

bool fails(const char* call, int file) {
  if (fault().path[0] == '\0') return false;
  const int before = errno;
  char link[64], path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = ::readlink(link, path, sizeof path - 1);
  errno = before;
  if (length < 0) return false;
  path[length] = '\0';
  return fails(call, path);
}

bool makes_files(int flags) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

}  // namespace

extern "C" {

#define PTYFUSE_OPEN(NAME)                                                   \
  int NAME(const char* path, int flags, ...) {                               \
    mode_t mode = 0;                                                         \
    if (makes_files(flags)) {                                                \
      va_list rest;                                                          \
      va_start(rest, flags);                                                 \
      mode = va_arg(rest, mode_t);                                           \
      va_end(rest);                                                          \
    }                                                                        \
    if (fails("open", path)) return -1;                                      \
    static const auto real = next<int (*)(const char*, int, mode_t)>(#NAME); \
    return real(path, flags, mode);                                          \
  }
PTYFUSE_OPEN(open)
PTYFUSE_OPEN(open64)

ssize_t read(int file, void* data, size_t bytes) {
  if (fails("read", file)) return -1;
  static const auto real = next<ssize_t (*)(int, void*, size_t)>("read");
  return real(file, data, bytes);
}
ssize_t pread(int file, void* data, size_t bytes, off_t at) {
  if (fails("read", file)) return -1;
  static const auto real = next<ssize_t (*)(int, void*, size_t, off_t)>("pread");
  return real(file, data, bytes, at);
}
ssize_t pread64(int file, void* data, size_t bytes, off64_t at) {
  if (fails("read", file)) return -1;
  static const auto real = next<ssize_t (*)(int, void*, size_t, off64_t)>("pread64");
  return real(file, data, bytes, at);
}
ssize_t write(int file, const void* data, size_t bytes) {
  if (fails("write", file)) return -1;
  static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
  return real(file, data, bytes);
}
ssize_t pwrite(int file, const void* data, size_t bytes, off_t at) {
  if (fails("write", file)) return -1;
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return real(file, data, bytes, at);
}
ssize_t pwrite64(int file, const void* data, size_t bytes, off64_t at) {
  if (fails("write", file)) return -1;
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  return real(file, data, bytes, at);
}
// libzip writes through a stream.
size_t fwrite(const void* data, size_t size, size_t count, FILE* stream) {
  if (stream != stdout && stream != stderr && fails("write", fileno(stream))) return 0;
  static const auto real = next<size_t (*)(const void*, size_t, size_t, FILE*)>("fwrite");
  return real(data, size, count, stream);
}
int fsync(int file) {
  if (fails("sync", file)) return -1;
  static const auto real = next<int (*)(int)>("fsync");
  return real(file);
}
int rename(const char* from, const char* to) {
  if (fails("rename", to)) return -1;
  static const auto real = next<int (*)(const char*, const char*)>("rename");
  return real(from, to);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  if (fails("rename", to)) return -1;
  static const auto real = next<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
  return real(from_folder, from, to_folder, to, flags);
}
}
