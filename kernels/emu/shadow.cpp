#include "kernels/emu/shadow.h"

#include <algorithm>
#include <new>

namespace ptyfuse::emu {

Shadow::Shadow(int64_t bytes, bool shared, uint32_t threads_per_block) : shared_(shared), threads_(threads_per_block) {
  const auto count = static_cast<size_t>((bytes + 3) / 4 + 1);
  granules_.reset(static_cast<Granule*>(std::calloc(count, sizeof(Granule))));
  if (!granules_) throw std::bad_alloc();
}

bool Shadow::in_order(const Stamp& before, const Stamp& now) const {
  if (before.thread == 0 || before.thread == now.thread) return true;
  if (block_of(before.thread) != block_of(now.thread)) return shared_;
  if (before.phase != now.phase) return true;
  return warp_of(before.thread) == warp_of(now.thread) && before.sync < now.sync;
}

// A write by `now` against everyone who read.
bool Shadow::read_conflicts(const Granule& g, const Stamp& now) const {
  const Stamp& r = g.reader;
  if (r.thread == 0) return false;
  const bool same_block = block_of(r.thread) == block_of(now.thread);
  if (!shared_ && (!same_block || (g.flags & more_blocks) != 0)) return true;
  if (!same_block || r.phase != now.phase) return false;
  if ((g.flags & more_warps) != 0 || warp_of(r.thread) != warp_of(now.thread)) return true;
  if (r.sync < now.sync) return false;
  return (g.flags & more_lanes) != 0 || r.thread != now.thread;
}

void Shadow::note_read(Granule& g, uint8_t mask, const Stamp& who) const {
  const Stamp& r = g.reader;
  uint8_t readers = 0;
  if (r.thread != 0 && r.thread != who.thread && (g.read_bytes & mask) != 0) {
    const bool same_block = block_of(r.thread) == block_of(who.thread);
    if (!same_block && !shared_) {
      readers = more_blocks;
    } else if (same_block && r.phase == who.phase) {
      if (warp_of(r.thread) != warp_of(who.thread))
        readers = (g.flags & more_blocks) | more_warps;
      else if (r.sync < who.sync)
        readers = g.flags & (more_blocks | more_warps);
      else
        readers = (g.flags & (more_blocks | more_warps)) | more_lanes;
    } else {
      readers = g.flags & more_blocks;
    }
  } else if (r.thread == who.thread && (g.read_bytes & mask) != 0) {
    readers = g.flags & more_blocks;
    if (r.phase == who.phase) readers |= g.flags & (r.sync == who.sync ? more_warps | more_lanes : more_warps);
  }
  g.read_bytes = readers != 0 ? g.read_bytes & mask : mask;
  g.flags = (g.flags & atomic_writer) | readers;
  g.reader = who;
}

Conflict Shadow::note(int64_t offset, uint32_t bytes, AccessKind kind, const Stamp& who) {
  Conflict found;
  const int64_t end = offset + bytes;
  for (int64_t word = offset / 4; word * 4 < end; ++word) {
    Granule& g = granules_[static_cast<size_t>(word)];
    const auto first = static_cast<unsigned>(std::max<int64_t>(offset - word * 4, 0)),
               last = static_cast<unsigned>(std::min<int64_t>(end - word * 4, 4));
    const auto mask = static_cast<uint8_t>((1U << last) - (1U << first));
    const bool new_block = g.writer.thread == 0 || block_of(g.writer.thread) != block_of(who.thread);
    const bool both_atomic = kind == AccessKind::atomic && (g.flags & atomic_writer) != 0;
    if (!both_atomic && (g.written_bytes & mask) != 0 && !in_order(g.writer, who) && !found.race) {
      found.race = found.other_wrote = true;
      found.other = g.writer;
    }
    if (shared_ && kind != AccessKind::write && ((new_block ? 0 : g.valid_bytes) & mask) != mask)
      found.uninitialised = true;
    if (kind == AccessKind::read) {
      note_read(g, mask, who);
      continue;
    }
    if ((g.read_bytes & mask) != 0 && read_conflicts(g, who) && !found.race) {
      found.race = true;
      found.other = g.reader;
    }
    const bool same = g.writer.thread == who.thread && g.writer.phase == who.phase && g.writer.sync == who.sync &&
                      ((g.flags & atomic_writer) != 0) == (kind == AccessKind::atomic);
    g.written_bytes = same ? g.written_bytes | mask : mask;
    g.valid_bytes = (new_block ? 0 : g.valid_bytes) | mask;
    g.writer = who;
    g.flags = static_cast<uint8_t>((g.flags & ~atomic_writer) | (kind == AccessKind::atomic ? atomic_writer : 0));
  }
  return found;
}

}  // namespace ptyfuse::emu
