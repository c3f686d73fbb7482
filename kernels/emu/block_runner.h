#pragma once
// Executes the threads of one block after another as fibers of one host thread; private to this room.
#include <array>
#include <boost/context/detail/fcontext.hpp>
#include <memory>
#include <vector>

#include "kernels/emu/fault.h"
#include "kernels/emu/fiber_stacks.h"
#include "kernels/emu/launch.h"
#include "kernels/emu/world.h"

namespace ptyfuse::emu {

class Monitor;

/// A copy that cp.async has begun.
struct AsyncCopy {
  void* shared;
  const void* global;
  int bytes, read_bytes;
  uintptr_t pc;
  int group;
};

/// A thread keeps a fiber from its first instruction to its end; a fiber whose thread ended goes on with the next one.
/// A thread that must wait hands over to the next one that can run, warp by warp, in the order that the mode asks for.
class BlockRunner {
 public:
  /// `monitor` may be null: accesses are not watched then.
  BlockRunner(const LaunchConfig& config, const KernelCall& kernel, const Mode& mode, Monitor* monitor);
  ~BlockRunner();
  BlockRunner(const BlockRunner&) = delete;
  BlockRunner& operator=(const BlockRunner&) = delete;

  /// False: the block ended by a fault, which faults() has.
  bool run(uint64_t block);
  /// Whether any thread outgrew its stack; after the last block.
  void check_stacks();
  FaultList& faults() { return faults_; }

  /// The one that runs on this host thread; null outside of a kernel.
  static BlockRunner* active() { return active_; }

  // For the world's functions, called by a thread of the block.
  uint3 thread_index() const { return threads_[current_].index; }
  uint3 block_index() const { return block_index_; }
  uint3 index_of_block(uint64_t block) const;
  const LaunchConfig& config() const { return config_; }
  uint32_t rank() const { return current_; }
  int lane() const { return static_cast<int>(current_ % 32); }
  void* shared_memory() const { return shared_; }
  Monitor* monitor() const { return monitor_; }
  int sync_block(bool predicate, const Where& where);
  /// `orders_memory`: a barrier for the memory accesses of the mask's lanes.
  void exchange(uint32_t mask, Complete complete, void* argument, bool orders_memory, const Where& where);
  void begin_copy(const AsyncCopy& copy);
  void commit_copies() { ++threads_[current_].committed; }
  void wait_copies(int pending);
  Witness witness(uint32_t rank, uintptr_t pc) const;
  Witness witness(uint32_t rank, const Where& where) const;
  /// Ends the block.
  [[noreturn]] void fault(Fault fault);

  const FiberStacks& stacks() const { return stacks_; }
  /// Where an address lies from the shared memory's beginning; guards count as shared memory.
  bool near_shared(uintptr_t address) const;
  /// "shared memory at byte 64", "buffer 'in' at byte 4"
  std::string object_at(uintptr_t address) const;

 private:
  using Context = boost::context::detail::fcontext_t;
  enum class State : uint8_t { fresh, ready, at_barrier, at_exchange, done };
  struct Thread {
    Context context = nullptr;
    uint3 index{};
    State state = State::fresh;
    int stack = -1;
    Where where;  // of the barrier or exchange it waits at
    std::vector<AsyncCopy> copies;
    int committed = 0;  // groups
  };
  struct Exchange {
    uint32_t mask, arrived;
    Complete complete;
    Where where;
    std::array<void*, 32> arguments;
  };
  struct Warp {
    uint32_t lanes = 0;  // that have a thread
    uint32_t ready = 0;
    std::vector<Exchange> exchanges;  // not complete
  };

  static void fiber(boost::context::detail::transfer_t from);
  void run_threads();
  void hand_over();
  void jump_to(uint32_t next, Context* save);
  bool next_thread();
  bool next_phase();
  void choose_order();
  void finish_thread();
  void check_block_end();
  Witness state_witness(uint32_t rank) const;
  static const char* state_name(State state);
  [[noreturn]] void fault_stuck_exchange(uint32_t warp);
  [[noreturn]] void fault_stuck_barrier();
  uint32_t threads_count() const { return static_cast<uint32_t>(threads_.size()); }

  static constinit thread_local BlockRunner* active_;

  const LaunchConfig config_;
  const KernelCall kernel_;
  const Mode mode_;
  Monitor* const monitor_;
  FiberStacks& stacks_;
  std::vector<int> free_stacks_;
  std::vector<uint8_t> used_stack_;  // since this runner began, so that it has a canary
  std::vector<int> used_stacks_;
  std::unique_ptr<char[]> shared_storage_;
  char* shared_ = nullptr;

  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  FaultList faults_;
  Context root_ = nullptr;

  // Of the block that runs
  uint64_t block_ = 0;
  uint3 block_index_{};
  uint32_t current_ = 0;
  uint32_t phase_ = 0, at_barrier_ = 0, done_ = 0;
  int predicates_ = 0, predicates_of_last_ = 0;
  bool faulted_ = false;

  // In which order warps, and lanes in every warp, run in this phase; where in it the block is.
  std::vector<uint32_t> warp_order_;
  std::array<uint8_t, 32> lane_order_{};
  uint32_t warp_at_ = 0, lane_at_ = 0;
};

}  // namespace ptyfuse::emu
