#include "kernels/device/thread_pool.h"

#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>

#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

// A worker waits this long in a loop before it sleeps: steps follow each other within microseconds.
constexpr auto spin_time = std::chrono::microseconds(50);

// The pools whose bodies this thread runs, innermost first, to refuse a run inside a run of the same pool, with or
// without other pools in between: it would wait for itself.
struct RunningPool {
  const ThreadPool* pool;
  const RunningPool* outer;
};
thread_local const RunningPool* running = nullptr;

bool runs_here(const ThreadPool* pool) {
  for (const RunningPool* r = running; r != nullptr; r = r->outer)
    if (r->pool == pool) return true;
  return false;
}

}  // namespace

ThreadPool::ThreadPool(int threads) : threads_(threads) {
  workers_.reserve(static_cast<size_t>(threads_ - 1));
  try {
    for (int t = 1; t < threads_; ++t) workers_.emplace_back([this, t] { work(t); });
  } catch (const std::system_error& e) {
    const size_t started = workers_.size();
    stop();
    throw Error(ErrorKind::device, "threads: the system starts no more than " + std::to_string(started + 1) + " of " +
                                       std::to_string(threads_) + " (" + e.what() + "); ask for fewer");
  }
}

ThreadPool::~ThreadPool() {
  stop();
}

void ThreadPool::stop() {
  {
    std::lock_guard lock(sleep_mutex_);
    stop_ = true;
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  for (std::thread& w : workers_) w.join();
}

void ThreadPool::part(int thread) noexcept {
  if (thread >= parts_) return;
  const int64_t begin = count_ * thread / parts_, end = count_ * (thread + 1) / parts_;
  const RunningPool here{this, running};
  running = &here;
  try {
    (*body_)(begin, end, thread);
  } catch (...) {
    std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
  }
  running = here.outer;
}

void ThreadPool::work(int thread) {
  omp_set_num_threads(1);  // libraries that a body calls stay on this thread
  uint64_t seen = 0;
  for (;;) {
    const auto deadline = std::chrono::steady_clock::now() + spin_time;
    int spins = 0;
    while (generation_.load(std::memory_order_acquire) == seen) {
      _mm_pause();
      if (++spins % 64 == 0 && std::chrono::steady_clock::now() > deadline) {
        std::unique_lock lock(sleep_mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
      }
    }
    seen = generation_.load(std::memory_order_acquire);
    {
      std::lock_guard lock(sleep_mutex_);
      if (stop_) return;
    }
    part(thread);
    unfinished_.fetch_sub(1, std::memory_order_acq_rel);
  }
}

void ThreadPool::run(int64_t count, int64_t grain, const Body& body) {
  if (count <= 0) return;
  if (runs_here(this)) throw Error(ErrorKind::device, "parallel_for: called from inside a parallel_for");
  std::lock_guard turn(run_mutex_);
  grain = std::max<int64_t>(1, grain);
  count_ = count;
  body_ = &body;
  error_ = nullptr;
  parts_ = static_cast<int>(std::clamp<int64_t>(count / grain, 1, threads_));
  if (parts_ > 1) {
    unfinished_.store(threads_ - 1, std::memory_order_relaxed);
    {
      std::lock_guard lock(sleep_mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
  }
  part(0);
  if (parts_ > 1) {
    int spins = 0;
    while (unfinished_.load(std::memory_order_acquire) != 0) {
      _mm_pause();
      if (++spins % 4096 == 0) std::this_thread::yield();
    }
  }
  if (error_) std::rethrow_exception(error_);
}

}  // namespace ptyfuse
