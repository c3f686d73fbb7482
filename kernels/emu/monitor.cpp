#include "kernels/emu/monitor.h"

#include <link.h>

#include <algorithm>

#include "kernels/device/error.h"
#include "kernels/emu/block_runner.h"
#include "kernels/emu/traffic_cost.h"

namespace ptyfuse::emu {
namespace {

std::string verb(AccessKind kind) {
  return kind == AccessKind::read ? "reads " : kind == AccessKind::write ? "writes " : "atomically updates ";
}

}  // namespace

Monitor::Monitor(const LaunchConfig& config, const KernelCall& kernel)
    : config_(config),
      threads_(config.block.x * config.block.y * config.block.z),
      arguments_{reinterpret_cast<uintptr_t>(kernel.closure),
                 reinterpret_cast<uintptr_t>(kernel.closure) + kernel.closure_bytes},
      shared_(config.shared_bytes, true, threads_),
      warp_sync_((threads_ + 31) / 32),
      table_(1024) {
  for (Allocation& a : allocations()) buffers_.push_back({std::move(a), nullptr, {}});
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* list) {
        for (int i = 0; i < info->dlpi_phnum; ++i)
          if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            const uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            static_cast<std::vector<Range>*>(list)->push_back({begin, begin + info->dlpi_phdr[i].p_memsz});
          }
        return 0;
      },
      &modules_);
  const uint64_t all = uint64_t{config.grid.x} * config.grid.y * config.grid.z * threads_;
  if (all >= 0xffffffffULL) throw Error(ErrorKind::device, "the emulated device counts at most 4G threads in a launch");
}

void Monitor::begin_block(BlockRunner& runner, uint64_t block) {
  runner_ = &runner;
  block_ = block;
  phase_ = 0;
  std::fill(warp_sync_.begin(), warp_sync_.end(), uint16_t{0});
  ++counters_.blocks;
  counters_.threads += threads_;
}

void Monitor::next_phase() {
  ++phase_;
  std::fill(warp_sync_.begin(), warp_sync_.end(), uint16_t{0});
  ++counters_.block_barriers;
}

void Monitor::end_stretch(uint32_t warp, bool orders_memory) {
  for (const uint32_t p : open_) account(places_[p]);
  open_.clear();
  warp_sync_[warp] = static_cast<uint16_t>(warp_sync_[warp] + orders_memory);
}

Stamp Monitor::stamp(uint32_t rank, uint32_t place) const {
  return {static_cast<uint32_t>(block_ * threads_ + rank + 1), phase_, warp_sync_[rank / 32], place};
}

uint32_t& Monitor::slot_of(uintptr_t pc, bool shared, bool write) {
  const size_t mask = table_.size() - 1;
  for (size_t at = (pc * 0x9e3779b97f4a7c15ULL >> 40) + shared * 2U + write;; ++at) {
    uint32_t& slot = table_[at & mask];
    if (slot == 0) return slot;
    const Place& p = places_[slot - 1U];
    if (p.pc == pc && p.shared == shared && p.write == write) return slot;
  }
}

uint32_t Monitor::place_of(uintptr_t pc, bool shared, bool write) {
  uint32_t& slot = slot_of(pc, shared, write);
  if (slot != 0) return slot - 1;
  places_.emplace_back();
  places_.back().pc = pc;
  places_.back().shared = shared;
  places_.back().write = write;
  slot = static_cast<uint32_t>(places_.size());
  const uint32_t place = slot - 1;
  if (places_.size() * 2 > table_.size()) {
    table_.assign(table_.size() * 2, 0);
    for (size_t i = 0; i < places_.size(); ++i)
      slot_of(places_[i].pc, places_[i].shared, places_[i].write) = static_cast<uint32_t>(i + 1);
  }
  return place;
}

Monitor::Buffer* Monitor::buffer_of(uintptr_t address, uint32_t bytes) {
  auto next = std::upper_bound(buffers_.begin(), buffers_.end(), address,
                               [](uintptr_t a, const Buffer& b) { return a < b.allocation.begin; });
  if (next == buffers_.begin()) return nullptr;
  Buffer& b = *std::prev(next);
  if (address - b.allocation.begin + bytes > static_cast<uintptr_t>(b.allocation.bytes)) return nullptr;
  if (!b.shadow) {
    b.shadow = std::make_unique<Shadow>(b.allocation.bytes, false, threads_);
    b.sectors.resize(static_cast<size_t>(b.allocation.bytes / 32 + 1));
  }
  return &b;
}

void Monitor::access(uintptr_t address, uint32_t bytes, AccessKind kind, uintptr_t pc) {
  if (runner_->stacks().contains(address)) return;
  const bool write = kind != AccessKind::read, shared = runner_->near_shared(address);
  Buffer* buffer = nullptr;
  int64_t offset = 0;
  uint32_t place = 0;
  if (shared) {
    offset = static_cast<int64_t>(address) - reinterpret_cast<int64_t>(runner_->shared_memory());
    if (offset < 0 || offset + bytes > config_.shared_bytes) return fault_address(address, bytes, kind, pc, true);
    place = place_of(pc, true, write);
  } else {
    place = place_of(pc, false, write);
    buffer = places_[place].buffer;
    if (buffer == nullptr || address < buffer->allocation.begin ||
        address - buffer->allocation.begin + bytes > static_cast<uintptr_t>(buffer->allocation.bytes)) {
      buffer = buffer_of(address, bytes);
      if (buffer == nullptr) {
        const auto within = [&](const Range& r) { return address >= r.begin && address + bytes <= r.end; };
        if (!write && (within(arguments_) || std::any_of(modules_.begin(), modules_.end(), within))) return;
        return fault_address(address, bytes, kind, pc, false);
      }
      places_[place].buffer = buffer;
    }
    offset = static_cast<int64_t>(address - buffer->allocation.begin);
    for (int64_t s = offset / 32; s * 32 < offset + bytes; ++s)
      buffer->sectors[static_cast<size_t>(s)] |= static_cast<uint8_t>(write ? 2 : 1);
  }
  if (address % bytes != 0)
    runner_->fault(Fault(FindingKind::unaligned, runner_->witness(runner_->rank(), pc),
                         verb(kind) + std::to_string(bytes) + " bytes of " + runner_->object_at(address) +
                             ", which is not a multiple of their size"));
  counters_.atomics += kind == AccessKind::atomic;
  note_request(place, address, bytes);
  const Conflict conflict =
      (buffer ? *buffer->shadow : shared_).note(offset, bytes, kind, stamp(runner_->rank(), place));
  if (conflict.race || conflict.uninitialised) report_conflict(conflict, address, bytes, kind, pc);
}

void Monitor::copy_arrived(uint32_t rank, const AsyncCopy& copy) {
  const int64_t offset = static_cast<char*>(copy.shared) - static_cast<char*>(runner_->shared_memory());
  const uint32_t place = place_of(copy.pc, true, true);
  const auto bytes = static_cast<uint32_t>(copy.bytes);
  const Conflict conflict = shared_.note(offset, bytes, AccessKind::write, stamp(rank, place));
  if (conflict.race)
    report_conflict(conflict, reinterpret_cast<uintptr_t>(copy.shared), bytes, AccessKind::write, copy.pc);
}

void Monitor::fault_address(uintptr_t address, uint32_t bytes, AccessKind kind, uintptr_t pc, bool shared) {
  std::string where;
  if (shared) {
    where = runner_->object_at(address) + ", which has " + std::to_string(config_.shared_bytes) + " bytes";
  } else {
    // The buffer that the address is nearest to is the likely culprit.
    const Allocation* nearest = nullptr;
    int64_t distance = int64_t{1} << 20, at = 0;
    for (const Buffer& b : buffers_) {
      const auto offset = static_cast<int64_t>(address) - static_cast<int64_t>(b.allocation.begin);
      const int64_t away = offset < 0 ? -offset : std::max<int64_t>(offset - b.allocation.bytes, 0);
      if (away >= distance) continue;
      distance = away;
      nearest = &b.allocation;
      at = offset;
    }
    where = nearest ? std::string("outside of every buffer; nearest is byte ") + std::to_string(at) + " of buffer '" +
                          nearest->name + "', which has " + std::to_string(nearest->bytes) + " bytes"
                    : std::string("outside of every buffer, near none: memory of the host?");
  }
  runner_->fault(Fault(FindingKind::out_of_bounds, runner_->witness(runner_->rank(), pc),
                       verb(kind) + std::to_string(bytes) + " bytes " + (shared ? "of " : "") + where));
}

void Monitor::report_conflict(const Conflict& conflict, uintptr_t address, uint32_t bytes, AccessKind kind,
                              uintptr_t pc) {
  FaultList& faults = runner_->faults();
  const auto what = [&] { return verb(kind) + std::to_string(bytes) + " bytes of " + runner_->object_at(address); };
  const Witness self = runner_->witness(runner_->rank(), pc);
  if (conflict.uninitialised && !faults.count_again(FindingKind::uninitialised_shared, pc, 0))
    faults.add(Fault(FindingKind::uninitialised_shared, self, what() + ", which this block never wrote"));
  if (!conflict.race) return;
  const uintptr_t other_pc = places_[conflict.other.place].pc;
  if (faults.count_again(FindingKind::race, pc, other_pc)) return;
  const uint64_t block = (conflict.other.thread - 1) / threads_;
  Witness other = runner_->witness((conflict.other.thread - 1) % threads_, other_pc);
  other.block = runner_->index_of_block(block);
  const std::string order = block == block_
                                ? " them with no barrier between (barrier phase " + std::to_string(phase_) + ")"
                                : " them, too: blocks have no order";
  Fault fault(FindingKind::race, self, what());
  fault.add_second(std::move(other), (conflict.other_wrote ? "wrote" : "read") + order);
  faults.add(fault);
}

void Monitor::note_request(uint32_t index, uintptr_t address, uint32_t bytes) {
  Place& place = places_[index];
  if (!place.open) {
    place.open = true;
    open_.push_back(index);
  }
  const auto lane = static_cast<uint32_t>(runner_->lane());
  const size_t k = place.executed[lane]++;
  if (k >= place.requests.size()) place.requests.resize(k + 1);
  for (; place.used_requests <= k; ++place.used_requests) place.requests[place.used_requests].lanes = 0;
  Request& request = place.requests[k];
  request.lanes |= 1U << lane;
  request.bytes = bytes;
  request.address[lane] = address;
}

void Monitor::account(Place& place) {
  for (size_t k = 0; k < place.used_requests; ++k) {
    const Request& request = place.requests[k];
    place.traffic.add(place.shared ? shared_traffic(request.address, request.lanes, request.bytes)
                                   : global_traffic(request.address, request.lanes, request.bytes));
  }
  place.used_requests = 0;
  place.executed.fill(0);
  place.open = false;
}

Counters Monitor::counters() const {
  Counters out = counters_;
  for (const Place& p : places_)
    (p.shared ? (p.write ? out.shared_write : out.shared_read) : (p.write ? out.global_write : out.global_read))
        .add(p.traffic);
  for (const Buffer& b : buffers_)
    for (const uint8_t sector : b.sectors) {
      out.footprint_read_bytes += sector & 1 ? 32 : 0;
      out.footprint_write_bytes += sector & 2 ? 32 : 0;
    }
  return out;
}

std::vector<PlaceTraffic> Monitor::places() const {
  std::vector<PlaceTraffic> out;
  for (const Place& p : places_) out.push_back({p.pc, p.shared, p.write, p.traffic});
  return out;
}

}  // namespace ptyfuse::emu
