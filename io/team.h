#pragma once
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ptyfuse::io {

/// The calling thread, which fetches work in order, and threads of its own that help it to do the work. One thread at a
/// time calls run().
class Team {
 public:
  using Step = std::function<void(int64_t task, int slot)>;

  /// threads: with the caller's own, at least 1. They start when a run() first has use for them.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// Tasks that are under way at most.
  int slots() const { return static_cast<int>(busy_.size()); }

  /// For task = 0, 1, ..., count-1: fetch(task, slot) in this order on the calling thread, and behind it work(task,
  /// slot) on any. A slot in [0, slots()) belongs to one task from its fetch() to the end of its work(). Returns when
  /// all is done. After an exception nothing new begins, and that of the first task which met one is rethrown.
  void run(int64_t count, const Step& fetch, const Step& work);

 private:
  void start_threads();
  void help();
  bool may_take() const { return taken_ < fetched_ && (failed_ < 0 || taken_ < failed_); }
  void take_one(std::unique_lock<std::mutex>& lock);
  void keep_failure(int64_t task);

  int threads_;
  std::mutex mutex_;
  std::condition_variable fetched_more_, finished_more_;
  bool closing_ = false;
  const Step* work_ = nullptr;
  int64_t fetched_ = 0, taken_ = 0, finished_ = 0;
  std::vector<bool> busy_;
  int64_t failed_ = -1;  // the first task that threw
  std::exception_ptr failure_;
  std::vector<std::thread> helpers_;
};

}  // namespace ptyfuse::io
