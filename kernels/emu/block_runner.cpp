#include "kernels/emu/block_runner.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/emu/memory.h"
#include "kernels/emu/monitor.h"

namespace ptyfuse::emu {
namespace {

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr int64_t shared_guard_bytes = 1024, shared_alignment = 128;

FiberStacks& stacks_of_this_host_thread() {
  thread_local FiberStacks stacks;
  return stacks;
}

// SplitMix64: one well-mixed word for each counter value.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

template <class Range>
void shuffle_range(Range& range, uint64_t seed) {
  for (size_t i = range.size(); i > 1; --i) std::swap(range[i - 1], range[mix(seed + i) % i]);
}

bool same_place(const Where& a, const Where& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

// Whoever hands over gives the place where its own context is to be kept; null when it ended.
void keep_context(transfer_t from) {
  if (from.data != nullptr) *static_cast<void**>(from.data) = from.fctx;
}

}  // namespace

constinit thread_local BlockRunner* BlockRunner::active_ = nullptr;

BlockRunner::BlockRunner(const LaunchConfig& config, const KernelCall& kernel, const Mode& mode, Monitor* monitor)
    : config_(config), kernel_(kernel), mode_(mode), monitor_(monitor), stacks_(stacks_of_this_host_thread()) {
  const dim3 b = config.block;
  threads_.resize(size_t{b.x} * b.y * b.z);
  for (uint32_t i = 0; i < threads_count(); ++i) threads_[i].index = {i % b.x, i / b.x % b.y, i / b.x / b.y};
  warps_.resize((threads_.size() + 31) / 32);
  for (uint32_t w = 0; w < warps_.size(); ++w) {
    const uint32_t lanes = std::min<uint32_t>(32, threads_count() - w * 32);
    warps_[w].lanes = lanes == 32 ? 0xffffffffU : (1U << lanes) - 1;
  }
  warp_order_.resize(warps_.size());
  used_stack_.resize(threads_.size());
  shared_storage_.reset(new char[static_cast<size_t>(config.shared_bytes + 2 * shared_guard_bytes + shared_alignment)]);
  const auto base = reinterpret_cast<uintptr_t>(shared_storage_.get());
  const uintptr_t aligned = (base + shared_alignment - 1) / shared_alignment * shared_alignment;
  shared_ = reinterpret_cast<char*>(aligned) + shared_guard_bytes;
}

BlockRunner::~BlockRunner() = default;

bool BlockRunner::near_shared(uintptr_t address) const {
  return address - (reinterpret_cast<uintptr_t>(shared_) - shared_guard_bytes) <
         static_cast<uintptr_t>(config_.shared_bytes + 2 * shared_guard_bytes);
}

uint3 BlockRunner::index_of_block(uint64_t block) const {
  const dim3 g = config_.grid;
  return {static_cast<unsigned>(block % g.x), static_cast<unsigned>(block / g.x % g.y),
          static_cast<unsigned>(block / g.x / g.y)};
}

std::string BlockRunner::object_at(uintptr_t address) const {
  if (near_shared(address))
    return "shared memory at byte " +
           std::to_string(static_cast<int64_t>(address) - reinterpret_cast<int64_t>(shared_));
  if (stacks_.contains(address)) return "local memory";
  for (const Allocation& a : allocations())
    if (address - a.begin < static_cast<uintptr_t>(a.bytes))
      return "buffer '" + a.name + "' at byte " + std::to_string(address - a.begin);
  return "memory outside of every buffer";
}

bool BlockRunner::run(uint64_t block) {
  block_ = block;
  block_index_ = index_of_block(block);
  for (Thread& t : threads_) {
    t.state = State::fresh;
    t.copies.clear();
    t.committed = 0;
  }
  for (Warp& w : warps_) {
    w.ready = w.lanes;
    w.exchanges.clear();
  }
  free_stacks_.resize(threads_.size());
  std::iota(free_stacks_.rbegin(), free_stacks_.rend(), 0);
  phase_ = at_barrier_ = done_ = 0;
  predicates_ = 0;
  faulted_ = false;
  fill_poison(shared_ - shared_guard_bytes, config_.shared_bytes / 2 * 2 + 2 * shared_guard_bytes);
  if (monitor_ != nullptr) monitor_->begin_block(*this, block);
  choose_order();

  active_ = this;
  next_thread();
  jump_to(current_, &root_);
  watch(nullptr);
  active_ = nullptr;

  if (!faulted_) check_block_end();
  return !faulted_;
}

void BlockRunner::choose_order() {
  Order order = mode_.order;
  if (order == Order::mixed) {
    const uint64_t turn = (block_ + phase_) % 3;
    order = turn == 0 ? Order::forward : turn == 1 ? Order::reversed : Order::shuffled;
  }
  std::iota(warp_order_.begin(), warp_order_.end(), 0U);
  std::iota(lane_order_.begin(), lane_order_.end(), uint8_t{0});
  if (order == Order::reversed) {
    std::reverse(warp_order_.begin(), warp_order_.end());
    std::reverse(lane_order_.begin(), lane_order_.end());
  } else if (order == Order::shuffled) {
    const uint64_t seed = mix(mix(mode_.seed) + block_) + phase_ * uint64_t{0x10000};
    shuffle_range(warp_order_, seed);
    shuffle_range(lane_order_, seed + 0x8000);
  }
  warp_at_ = lane_at_ = 0;
}

// Makes the next thread that can run the current one; false when all have ended.
bool BlockRunner::next_thread() {
  for (;;) {
    const uint32_t w = warp_order_[warp_at_];
    Warp& warp = warps_[w];
    if (warp.ready != 0) {
      while ((warp.ready >> lane_order_[lane_at_] & 1U) == 0) lane_at_ = (lane_at_ + 1) % 32;
      current_ = w * 32 + lane_order_[lane_at_];
      return true;
    }
    if (!warp.exchanges.empty()) fault_stuck_exchange(w);
    if (monitor_ != nullptr) monitor_->end_stretch(w, false);
    lane_at_ = 0;
    if (++warp_at_ == warps_.size() && !next_phase()) return false;
  }
}

// All threads wait at a barrier or have ended.
bool BlockRunner::next_phase() {
  if (done_ == threads_count()) return false;
  if (at_barrier_ != threads_count()) fault_stuck_barrier();
  const Where& first = threads_[0].where;
  for (uint32_t i = 1; i < threads_count(); ++i)
    if (!same_place(first, threads_[i].where)) fault_stuck_barrier();
  for (Thread& t : threads_) t.state = State::ready;
  for (Warp& w : warps_) w.ready = w.lanes;
  predicates_of_last_ = predicates_;
  predicates_ = 0;
  at_barrier_ = 0;
  ++phase_;
  if (monitor_ != nullptr) monitor_->next_phase();
  choose_order();
  return true;
}

void BlockRunner::jump_to(uint32_t next, Context* save) {
  Thread& t = threads_[next];
  Context target = t.context;
  if (t.state == State::fresh) {
    t.stack = free_stacks_.back();
    free_stacks_.pop_back();
    if (!used_stack_[static_cast<size_t>(t.stack)]) {
      used_stack_[static_cast<size_t>(t.stack)] = 1;
      used_stacks_.push_back(t.stack);
      stacks_.renew(t.stack);
    }
    target = make_fcontext(stacks_.top(t.stack), stacks_.usable_bytes(t.stack), &BlockRunner::fiber);
  }
  keep_context(jump_fcontext(target, save));
}

void BlockRunner::fiber(transfer_t from) {
  keep_context(from);
  active_->run_threads();
}

// The life of a fiber: threads that have not begun, one after another, until one that waits is next.
void BlockRunner::run_threads() {
  for (;;) {
    const int stack = threads_[current_].stack;
    threads_[current_].state = State::ready;
    watch(monitor_);
    kernel_.call(kernel_.closure);
    watch(nullptr);
    finish_thread();
    if (!next_thread()) jump_fcontext(root_, nullptr);
    if (threads_[current_].state == State::fresh) {
      threads_[current_].stack = stack;
      continue;
    }
    free_stacks_.push_back(stack);
    jump_fcontext(threads_[current_].context, nullptr);
  }
}

void BlockRunner::finish_thread() {
  Thread& t = threads_[current_];
  if (!t.copies.empty()) {
    faults_.add(Fault(FindingKind::async_copy, witness(current_, t.copies.front().pc),
                      "ends without waiting for its " + std::to_string(t.copies.size()) + " asynchronous copies"));
    t.copies.clear();
  }
  t.state = State::done;
  warps_[current_ / 32].ready &= ~(1U << current_ % 32);
  ++done_;
}

// The current thread cannot go on.
void BlockRunner::hand_over() {
  const uint32_t self = current_;
  next_thread();  // false only when all have ended
  if (current_ != self) jump_to(current_, &threads_[self].context);
}

int BlockRunner::sync_block(bool predicate, const Where& where) {
  Thread& t = threads_[current_];
  t.state = State::at_barrier;
  t.where = where;
  warps_[current_ / 32].ready &= ~(1U << current_ % 32);
  ++at_barrier_;
  predicates_ += predicate;
  hand_over();
  return predicates_of_last_;
}

void BlockRunner::exchange(uint32_t mask, Complete complete, void* argument, bool orders_memory, const Where& where) {
  const uint32_t rank = current_, w = rank / 32, bit = 1U << rank % 32;
  Warp& warp = warps_[w];
  mask &= warp.lanes;
  if ((mask & bit) == 0)
    fault(Fault(FindingKind::divergent_collective, witness(rank, where), "is not in the mask that it names itself"));
  auto found = std::find_if(warp.exchanges.begin(), warp.exchanges.end(), [&](const Exchange& e) {
    return e.mask == mask && e.complete == complete && same_place(e.where, where) && (e.arrived & bit) == 0;
  });
  if (found == warp.exchanges.end()) {
    warp.exchanges.push_back({mask, 0, complete, where, {}});
    found = std::prev(warp.exchanges.end());
  }
  found->arguments[rank % 32] = argument;
  found->arrived |= bit;
  if (found->arrived != mask) {
    threads_[rank].state = State::at_exchange;
    threads_[rank].where = where;
    warp.ready &= ~bit;
    hand_over();
    return;
  }
  if (complete != nullptr) complete(found->arguments.data(), mask);
  if (found != std::prev(warp.exchanges.end())) *found = warp.exchanges.back();
  warp.exchanges.pop_back();
  for (uint32_t i = 0; i < 32; ++i)
    if ((mask >> i & 1U) != 0) threads_[w * 32 + i].state = State::ready;
  warp.ready |= mask;
  if (monitor_ != nullptr) {
    monitor_->count_collective();
    if (mask == warp.lanes) monitor_->end_stretch(w, orders_memory);
  }
}

void BlockRunner::begin_copy(const AsyncCopy& copy) {
  Thread& t = threads_[current_];
  t.copies.push_back(copy);
  t.copies.back().group = t.committed;
  fill_poison(copy.shared, copy.bytes);
}

void BlockRunner::wait_copies(int pending) {
  Thread& t = threads_[current_];
  const auto arrived = [&](const AsyncCopy& c) { return c.group < t.committed - pending; };
  for (const AsyncCopy& c : t.copies) {
    if (!arrived(c)) continue;
    auto* to = static_cast<char*>(c.shared);
    if (c.read_bytes > 0) std::memcpy(to, c.global, static_cast<size_t>(c.read_bytes));
    std::memset(to + c.read_bytes, 0, static_cast<size_t>(c.bytes - c.read_bytes));
    if (monitor_ != nullptr) monitor_->copy_arrived(current_, c);
  }
  t.copies.erase(std::remove_if(t.copies.begin(), t.copies.end(), arrived), t.copies.end());
}

Witness BlockRunner::witness(uint32_t rank, uintptr_t pc) const {
  Witness w(block_index_, threads_[rank].index);
  w.pc = pc;
  return w;
}
Witness BlockRunner::witness(uint32_t rank, const Where& where) const {
  Witness w(block_index_, threads_[rank].index);
  w.place = std::string(where.file_name()) + ":" + std::to_string(where.line());
  return w;
}

void BlockRunner::fault(Fault fault) {
  watch(nullptr);
  {
    const Fault kept = std::move(fault);  // nothing below is ever destroyed: this fiber does not return
    faults_.add(kept);
  }
  faulted_ = true;
  jump_fcontext(root_, nullptr);
  __builtin_unreachable();
}

// A thread where it waits; nowhere when it ended.
Witness BlockRunner::state_witness(uint32_t rank) const {
  const Thread& t = threads_[rank];
  return t.state == State::done ? witness(rank, 0) : witness(rank, t.where);
}

const char* BlockRunner::state_name(State state) {
  switch (state) {
    case State::done:
      return "has returned";
    case State::at_barrier:
      return "waits at another block barrier";
    default:
      return "waits at another warp collective";
  }
}

void BlockRunner::fault_stuck_exchange(uint32_t w) {
  const Exchange& e = warps_[w].exchanges.front();
  uint32_t waiting = 0, missing = 0;
  while ((e.arrived >> waiting & 1U) == 0) ++waiting;
  while (((e.mask & ~e.arrived) >> missing & 1U) == 0) ++missing;
  const Thread& absent = threads_[w * 32 + missing];
  Fault f(FindingKind::divergent_collective, witness(w * 32 + waiting, e.where),
          "waits at a warp collective whose mask names a lane that does not come");
  f.add_second(state_witness(w * 32 + missing), state_name(absent.state));
  fault(std::move(f));
}

void BlockRunner::fault_stuck_barrier() {
  const auto waits = [](const Thread& t) { return t.state == State::at_barrier; };
  const auto first = std::find_if(threads_.begin(), threads_.end(), waits);
  const auto other = std::find_if(threads_.begin(), threads_.end(),
                                  [&](const Thread& t) { return !waits(t) || !same_place(t.where, first->where); });
  Fault f(FindingKind::divergent_barrier, witness(static_cast<uint32_t>(first - threads_.begin()), first->where),
          "waits at a barrier that not all threads of the block reach");
  f.add_second(state_witness(static_cast<uint32_t>(other - threads_.begin())), state_name(other->state));
  fault(std::move(f));
}

void BlockRunner::check_block_end() {
  const int64_t even = config_.shared_bytes / 2 * 2, odd = config_.shared_bytes - even;
  const auto damaged = [](const char* begin, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 2) {
      uint16_t unit;
      std::memcpy(&unit, begin + i, 2);
      if (unit != poison) return i;
    }
    return int64_t{-1};
  };
  const int64_t front = damaged(shared_ - shared_guard_bytes, shared_guard_bytes);
  const int64_t back = damaged(shared_ + even + 2 * odd, shared_guard_bytes - 2 * odd);
  if (front >= 0 || back >= 0)
    faults_.add(Fault(FindingKind::stray_write, Witness(block_index_),
                      "wrote over shared memory's " + std::to_string(config_.shared_bytes) + " bytes at offset " +
                          std::to_string(front >= 0 ? front - shared_guard_bytes : even + 2 * odd + back),
                      Culprit::block));
}

void BlockRunner::check_stacks() {
  for (const int i : used_stacks_)
    if (!stacks_.intact(i))
      faults_.add(
          Fault(FindingKind::stack_overflow, Witness(), "used more local memory than a thread has", Culprit::launch));
}

}  // namespace ptyfuse::emu
