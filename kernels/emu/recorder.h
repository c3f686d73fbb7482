#pragma once
// What a test installs to choose how kernels run in the emu world, and to read what they did.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ptyfuse::emu {

class Symbols;

/// In which order the threads of a block run between two barriers.
enum class Order {
  mixed,     ///< one of the three below, by block and barrier phase
  forward,   ///< 0, 1, 2, ...
  reversed,  ///< last to first
  shuffled,  ///< by `seed`, block and phase
};

struct Mode {
  Order order = Order::mixed;
  uint64_t seed = 1;
  /// Watch every access: counters, races, addresses. Slower by 10 to 100 times, blocks one after another.
  bool counted = true;
  /// A launch with findings throws Error(device) that lists them; false: they are recorded alone, for tests of the
  /// world.
  bool throw_on_finding = true;
};

/// One kind of access to one kind of memory. A request is what a warp asks for by one instruction at one time.
struct Traffic {
  uint64_t requests = 0;
  uint64_t bytes = 0;  ///< asked for by all lanes
  uint64_t cost = 0;   ///< global memory: 32-byte sectors moved; shared memory: cycles that the banks take
  uint64_t ideal = 0;  ///< the least cost for as many different bytes
  void add(const Traffic& o);
  /// Sectors (or bank cycles) for each request.
  double cost_per_request() const {
    return requests == 0 ? 0 : static_cast<double>(cost) / static_cast<double>(requests);
  }
  /// 1: perfectly coalesced, or without bank conflicts.
  double cost_over_ideal() const { return ideal == 0 ? 1 : static_cast<double>(cost) / static_cast<double>(ideal); }
};

struct Counters {
  uint64_t launches = 0, blocks = 0, threads = 0;
  uint64_t block_barriers = 0;    ///< passed by a block
  uint64_t warp_collectives = 0;  ///< warp barriers, shuffles, ballots, ldmatrix, mma: executed by a warp
  uint64_t mma_flop = 0;          ///< of mma.sync: 2 * m * n * k
  uint64_t atomics = 0;           ///< by lanes
  Traffic global_read, global_write, shared_read, shared_write;
  /// Sectors of 32 bytes that a launch touched at all, in bytes: what device memory must move if caches keep
  /// everything.
  uint64_t footprint_read_bytes = 0, footprint_write_bytes = 0;
  void add(const Counters& o);
};

enum class FindingKind {
  race,                  ///< two threads, the same bytes, no barrier between, at least one writes
  out_of_bounds,         ///< outside of every buffer, of the shared memory asked for, or of an array of known length
  unaligned,             ///< a vector access at an address that is not a multiple of its width
  divergent_barrier,     ///< a barrier that a thread of the block does not reach
  divergent_collective,  ///< a warp collective that a lane of its mask does not reach
  uninitialised_shared,  ///< a read of shared memory that this block never wrote
  stray_write,           ///< guard bytes of a buffer, or of shared memory, were overwritten
  async_copy,            ///< a thread that ends with cp.async not waited for
  trap,                  ///< __trap()
  stack_overflow,        ///< more local memory than a thread has (56 KiB)
};

struct Finding {
  FindingKind kind;
  std::string message;  ///< kernel, block, thread, place in the source, buffer
  uint64_t count = 1;   ///< how often, of this place in the source
};

/// One access in a kernel's source.
struct Instruction {
  std::string where;  ///< "file.cu:12", or an address where the binary has no line table
  bool shared = false, write = false;
  Traffic traffic;
};

struct LaunchReport {
  std::string kernel;  ///< with template arguments
  uint32_t grid[3] = {}, block[3] = {};
  int64_t shared_bytes = 0;
  Counters counters;                      ///< where Mode::counted
  std::vector<Instruction> instructions;  ///< where Mode::counted; costliest first
  std::vector<Finding> findings;
  /// For people, several lines.
  std::string text() const;
};

/// Sets the mode for all launches of this host thread while it lives, and keeps their reports. Without one, launches
/// run in mixed order, uncounted (but for what PTYFUSE_EMU_WATCHED_THREADS asks: docs/emu_world.md), and throw on
/// findings. The innermost one counts.
class Recorder {
 public:
  explicit Recorder(const Mode& mode = {});
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// Null where none is installed on this thread.
  static Recorder* current();

  const Mode& mode() const { return mode_; }
  void add(LaunchReport report) { launches_.push_back(std::move(report)); }
  const std::vector<LaunchReport>& launches() const { return launches_; }
  /// Counters of all launches of kernels whose name begins with `kernel`. Error(device): `kernel` is given and none was
  /// launched: a limit held to nothing would hold.
  Counters total(const std::string& kernel = "") const;
  /// How many findings of this kind all launches had, in places.
  int findings(FindingKind kind) const;
  std::string text() const;

  /// Names of code that were looked up for the reports; for the world.
  Symbols& symbols() { return *symbols_; }

 private:
  Mode mode_;
  Recorder* outer_;
  std::unique_ptr<Symbols> symbols_;
  std::vector<LaunchReport> launches_;
};

}  // namespace ptyfuse::emu
