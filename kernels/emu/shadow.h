#pragma once
// Who touched which bytes last: finds races and reads of memory never written. Private to this room.
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace ptyfuse::emu {

enum class AccessKind : uint8_t { read, write, atomic };

/// A thread at a point of its life. Two accesses of different threads are in order if a barrier of both lies between.
struct Stamp {
  uint32_t thread = 0;  ///< 1 + its number in the grid; 0: nobody
  uint16_t phase = 0;   ///< block barriers passed
  uint16_t sync = 0;    ///< full warp barriers passed in this phase
  uint32_t place = 0;   ///< which instruction, for reports
};

/// What is remembered of four bytes. Of accesses to different bytes of these only the last is kept, so that a race may
/// be missed where threads share a word, but none is invented.
struct Granule {
  Stamp writer, reader;
  uint8_t written_bytes = 0;  ///< by `writer`
  uint8_t read_bytes = 0;     ///< by `reader` and the others of `readers`
  uint8_t valid_bytes = 0;    ///< written at all since the writer's block began
  uint8_t flags = 0;          ///< below
};

/// A conflict that note() found: the other thread, and whether that one wrote.
struct Conflict {
  bool race = false, uninitialised = false, other_wrote = false;
  Stamp other;
};

class Shadow {
 public:
  /// Of `bytes` bytes. `shared`: another block's accesses mean nothing, and unwritten bytes must not be read.
  Shadow(int64_t bytes, bool shared, uint32_t threads_per_block);
  /// Records an access to [offset, offset + bytes) by `who`. Returns the first conflict.
  Conflict note(int64_t offset, uint32_t bytes, AccessKind kind, const Stamp& who);

 private:
  enum Flag : uint8_t {
    atomic_writer = 1,  // the writer's access was atomic
    more_lanes = 2,     // other lanes of the reader's warp read, too, since its last warp barrier
    more_warps = 4,     // other warps of the reader's block read, too, in this phase
    more_blocks = 8,    // other blocks read, too
  };
  struct Free {
    void operator()(Granule* p) const { std::free(p); }
  };
  uint32_t block_of(uint32_t thread) const { return (thread - 1) / threads_; }
  uint32_t warp_of(uint32_t thread) const { return (thread - 1) % threads_ / 32; }
  bool in_order(const Stamp& before, const Stamp& now) const;
  bool read_conflicts(const Granule& g, const Stamp& now) const;
  void note_read(Granule& g, uint8_t mask, const Stamp& who) const;

  const bool shared_;
  const uint32_t threads_;
  std::unique_ptr<Granule[], Free> granules_;  // zeroed, and untouched memory costs nothing
};

}  // namespace ptyfuse::emu
