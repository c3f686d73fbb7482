#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ptyfuse {

/// Worker threads of one CPU device. The calling thread is thread 0 of every run. Contract: Device::parallel_for.
class ThreadPool {
 public:
  using Body = std::function<void(int64_t begin, int64_t end, int thread)>;
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }
  void run(int64_t count, int64_t grain, const Body& body);

 private:
  void stop();
  void work(int thread);
  void part(int thread) noexcept;

  const int threads_;
  std::vector<std::thread> workers_;
  std::mutex run_mutex_;  // one run at a time; callers on several host threads take turns

  std::atomic<uint64_t> generation_{0};
  std::atomic<int> unfinished_{0};
  std::mutex sleep_mutex_;
  std::condition_variable wake_;
  bool stop_ = false;

  const Body* body_ = nullptr;
  int64_t count_ = 0;
  int parts_ = 0;
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

}  // namespace ptyfuse
