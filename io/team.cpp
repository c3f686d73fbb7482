#include "io/team.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace ptyfuse::io {

Team::Team(int threads)
    : threads_(std::max(threads, 1)), busy_(static_cast<size_t>(threads_ == 1 ? 1 : threads_ + 1), false) {}

Team::~Team() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  fetched_more_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Team::start_threads() {
  helpers_.reserve(static_cast<size_t>(threads_ - 1));
  try {
    while (static_cast<int>(helpers_.size()) + 1 < threads_) helpers_.emplace_back([this] { help(); });
  } catch (const std::system_error&) {
    threads_ = static_cast<int>(helpers_.size()) + 1;  // the system grants no more: those there are do it
  }
}

void Team::help() {
  std::unique_lock lock(mutex_);
  while (true) {
    fetched_more_.wait(lock, [this] { return closing_ || may_take(); });
    if (closing_) return;
    take_one(lock);
  }
}

void Team::keep_failure(int64_t task) {
  if (failed_ >= 0 && failed_ < task) return;
  failed_ = task;
  failure_ = std::current_exception();
}

void Team::take_one(std::unique_lock<std::mutex>& lock) {
  const int64_t task = taken_++;
  const auto slot = static_cast<int>(task % slots());
  lock.unlock();
  try {
    (*work_)(task, slot);
    lock.lock();
  } catch (...) {
    lock.lock();
    keep_failure(task);
  }
  busy_[static_cast<size_t>(slot)] = false;
  ++finished_;
  finished_more_.notify_one();
}

void Team::run(int64_t count, const Step& fetch, const Step& work) {
  if (count > 1 && static_cast<int>(helpers_.size()) + 1 < threads_) start_threads();
  std::unique_lock lock(mutex_);
  work_ = &work;
  fetched_ = taken_ = finished_ = 0;
  failed_ = -1;
  failure_ = nullptr;
  std::fill(busy_.begin(), busy_.end(), false);
  for (int64_t task = 0; task < count; ++task) {
    const auto slot = static_cast<int>(task % slots());
    while (busy_[static_cast<size_t>(slot)] && failed_ < 0)
      if (may_take())
        take_one(lock);
      else
        finished_more_.wait(lock);
    if (failed_ >= 0) break;
    busy_[static_cast<size_t>(slot)] = true;
    lock.unlock();
    try {
      fetch(task, slot);
      lock.lock();
    } catch (...) {
      lock.lock();
      keep_failure(task);
      break;
    }
    ++fetched_;
    fetched_more_.notify_one();
  }
  while (may_take()) take_one(lock);
  finished_more_.wait(lock, [this] { return finished_ == taken_; });
  fetched_ = taken_;  // what was fetched behind a failure is dropped
  work_ = nullptr;
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace ptyfuse::io
