#pragma once
// The program as a child process: what it printed, how it ended.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace ptyfuse::tests {

struct CommandResult {
  int exit_code = -1;  ///< -1: ended by `signal`, or never started
  int signal = 0;
  std::string out, err;
};

/// How long a command may take: a sanitized one is ten times slower, and more on a busy machine.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::chrono::seconds default_limit{600};
#else
constexpr std::chrono::seconds default_limit{60};
#endif

/// A running command. It is killed when this object goes, or when it outlives its time limit.
class RunningCommand {
 public:
  /// Runs `arguments` (the program first) in `folder`. `out_path`: where standard output goes instead of being
  /// captured.
  RunningCommand(const std::vector<std::string>& arguments, const std::string& folder, const std::string& out_path = "")
      : out_(std::tmpfile()), err_(std::tmpfile()) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (out_path.empty())
      posix_spawn_file_actions_adddup2(&actions, fileno(out_.get()), STDOUT_FILENO);
    else
      posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out_path.c_str(), O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fileno(err_.get()), STDERR_FILENO);
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    if (posix_spawn(&process_, argv[0], &actions, nullptr, argv.data(), environ) != 0) process_ = 0;
    posix_spawn_file_actions_destroy(&actions);
    EXPECT_NE(process_, 0) << arguments[0] << " cannot be started";
  }
  ~RunningCommand() {
    if (!running()) return;
    send(SIGKILL);
    while (running()) nap();
  }
  RunningCommand(const RunningCommand&) = delete;
  RunningCommand& operator=(const RunningCommand&) = delete;

  bool running() {
    if (process_ == 0) return false;
    int status = 0;
    if (waitpid(process_, &status, WNOHANG) != process_) return true;
    process_ = 0;
    if (WIFEXITED(status)) result_.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
    return false;
  }
  void send(int signal) {
    if (running()) ::kill(process_, signal);
  }
  /// Waits until `condition` holds; false where the command ended or the time ran out before.
  template <class Condition>
  bool wait_until(Condition&& condition, std::chrono::seconds limit = default_limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (!running() || std::chrono::steady_clock::now() > end) return condition();
      nap();
    }
    return true;
  }
  bool wait_for_message(const std::string& text) {
    return wait_until([&] { return text_of(err_.get()).find(text) != std::string::npos; });
  }
  /// Waits for the end; a command that takes longer than the limit fails the test.
  CommandResult finish(std::chrono::seconds limit = default_limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (running()) {
      if (std::chrono::steady_clock::now() > end) {
        ADD_FAILURE() << "the command did not end within " << limit.count() << " s";
        send(SIGKILL);
        while (running()) nap();
      }
      nap();
    }
    result_.out = text_of(out_.get());
    result_.err = text_of(err_.get());
    return result_;
  }

 private:
  static void nap() { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }
  static std::string text_of(std::FILE* file) {
    std::string text;
    char piece[4096];
    for (ssize_t n = 0; (n = pread(fileno(file), piece, sizeof piece, static_cast<off_t>(text.size()))) > 0;)
      text.append(piece, static_cast<size_t>(n));
    return text;
  }
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  std::unique_ptr<std::FILE, Close> out_, err_;
  pid_t process_ = 0;
  CommandResult result_;
};

}  // namespace ptyfuse::tests
