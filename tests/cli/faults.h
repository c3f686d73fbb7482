#pragma once
// The program with calls of the C library that fail, by tests/support/fault_shim.cpp.
#include <fmt/format.h>

#include "tests/cli/cli_test.h"

namespace ptyfuse::tests {

/// A call that fails. `path`: a part of the file's path, of a rename its new one; `times` 0: from the nth on all of
/// them.
struct Fault {
  std::string call;  ///< open, read, write, sync, rename
  std::string path;
  int64_t nth = 1;
  std::string what;  ///< ENOSPC, EIO, EROFS, EACCES, or KILL: the program is killed there
  int64_t times = 0;
};

inline std::ostream& operator<<(std::ostream& out, const Fault& f) {
  return out << f.call << " number " << f.nth << " of " << f.path << ": " << f.what << (f.times == 1 ? " once" : "");
}

class FaultTest : public CliTest {
 protected:
  /// Starts a program with the fault; `log` gets a line for each call on such a path.
  static Arguments with(const Fault& f, const std::string& log = "") {
    Arguments starter{"/usr/bin/env", "LD_PRELOAD=" PTYFUSE_FAULT_SHIM,
                      fmt::format("PTYFUSE_FAULT={}:{}:{}:{}", f.call, f.path, f.nth, f.what) +
                          (f.times > 0 ? fmt::format(":{}", f.times) : "")};
    if (!log.empty()) starter.push_back("PTYFUSE_FAULT_LOG=" + log);
#if defined(__SANITIZE_ADDRESS__)
    starter.push_back("ASAN_OPTIONS=verify_asan_link_order=0");  // the shim comes before the sanitizer's library
#endif
    return starter;
  }
  /// The calls on such paths that a run without any fault makes, "CALL PATH" each.
  std::vector<std::string> calls_on(const std::string& path, const Arguments& arguments) const {
    const std::string log = folder.file("calls");
    const CommandResult result = run_under(with({"open", path, int64_t{1} << 40, "EIO"}, log), arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::vector<std::string> calls;
    std::ifstream file(log);
    for (std::string line; std::getline(file, line);) calls.push_back(line);
    std::filesystem::remove(log);
    return calls;
  }
  static int64_t count(const std::vector<std::string>& calls, const std::string& call) {
    int64_t n = 0;
    for (const std::string& line : calls) n += line.starts_with(call + " ") ? 1 : 0;
    return n;
  }
  bool holds_temporary_file() const {
    for (const std::string& name : everything())
      if (name.ends_with(".tmp")) return true;
    return false;
  }
};

}  // namespace ptyfuse::tests
