#pragma once
// Watches every access of a launch: what it costs, whether it is allowed, whether it races. Private to this room.
#include <array>
#include <memory>
#include <vector>

#include "kernels/emu/fault.h"
#include "kernels/emu/launch.h"
#include "kernels/emu/memory.h"
#include "kernels/emu/recorder.h"
#include "kernels/emu/shadow.h"

namespace ptyfuse::emu {

class BlockRunner;
class Monitor;
struct AsyncCopy;

/// From now on the accesses of this host thread's instrumented code go to `monitor`; null: nowhere.
void watch(Monitor* monitor);

/// The traffic of one instruction.
struct PlaceTraffic {
  uintptr_t pc;
  bool shared, write;
  Traffic traffic;
};

class Monitor {
 public:
  Monitor(const LaunchConfig& config, const KernelCall& kernel);

  // By the runner
  void begin_block(BlockRunner& runner, uint64_t block);
  void next_phase();
  /// Lanes of a warp are at one point together: what they did since the last time makes requests.
  void end_stretch(uint32_t warp, bool orders_memory);
  void count_collective() { ++counters_.warp_collectives; }
  void copy_arrived(uint32_t rank, const AsyncCopy& copy);

  /// An access of the running thread; faults of addresses end the block.
  void access(uintptr_t address, uint32_t bytes, AccessKind kind, uintptr_t pc);
  void count_mma(uint64_t flop) { counters_.mma_flop += flop; }

  /// Of all blocks so far.
  Counters counters() const;
  std::vector<PlaceTraffic> places() const;

 private:
  struct Buffer {
    Allocation allocation;
    std::unique_ptr<Shadow> shadow;
    std::vector<uint8_t> sectors;  // bit 0: read, bit 1: written
  };
  /// The k-th execution of an instruction by a warp's lanes since the warp's last common point.
  struct Request {
    uint32_t lanes = 0;
    uint32_t bytes = 0;  // of each lane
    std::array<uintptr_t, 32> address;
  };
  struct Place {
    uintptr_t pc = 0;
    bool shared = false, write = false;
    bool open = false;
    std::array<uint32_t, 32> executed{};
    std::vector<Request> requests;
    size_t used_requests = 0;
    Traffic traffic;
    Buffer* buffer = nullptr;  // the one that it accessed last
  };
  struct Range {
    uintptr_t begin, end;
  };

  uint32_t& slot_of(uintptr_t pc, bool shared, bool write);
  uint32_t place_of(uintptr_t pc, bool shared, bool write);
  Buffer* buffer_of(uintptr_t address, uint32_t bytes);
  void note_request(uint32_t place, uintptr_t address, uint32_t bytes);
  void account(Place& place);
  void report_conflict(const Conflict& conflict, uintptr_t address, uint32_t bytes, AccessKind kind, uintptr_t pc);
  void fault_address(uintptr_t address, uint32_t bytes, AccessKind kind, uintptr_t pc, bool shared);
  Stamp stamp(uint32_t rank, uint32_t place) const;

  const LaunchConfig config_;
  const uint32_t threads_;
  const Range arguments_;
  std::vector<Range> modules_;  // constants live in the program and its libraries
  std::vector<Buffer> buffers_;
  Shadow shared_;
  BlockRunner* runner_ = nullptr;
  uint64_t block_ = 0;
  uint16_t phase_ = 0;
  std::vector<uint16_t> warp_sync_;
  std::vector<Place> places_;
  std::vector<uint32_t> table_;  // hash of pc and kind -> 1 + index of places_
  std::vector<uint32_t> open_;
  Counters counters_;
};

}  // namespace ptyfuse::emu
