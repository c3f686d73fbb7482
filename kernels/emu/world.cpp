#include "kernels/emu/world.h"

#include <atomic>
#include <bit>
#include <cstring>

#include "kernels/device/error.h"
#include "kernels/emu/block_runner.h"
#include "kernels/emu/monitor.h"

namespace ptyfuse::emu {
namespace {

/// The world's own work inside a kernel: nobody watches it.
class Inside {
 public:
  Inside() : runner_(BlockRunner::active()) {
    if (runner_ == nullptr) throw Error(ErrorKind::device, "a kernel's function was called outside of a kernel");
    watch(nullptr);
  }
  ~Inside() { watch(runner_->monitor()); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  BlockRunner* operator->() const { return runner_; }
  BlockRunner& operator*() const { return *runner_; }

  /// Tells the monitor of an access that a host body makes for the thread.
  void access(const void* address, int bytes, AccessKind kind, const void* pc) const {
    if (Monitor* monitor = runner_->monitor())
      monitor->access(reinterpret_cast<uintptr_t>(address), static_cast<uint32_t>(bytes), kind,
                      reinterpret_cast<uintptr_t>(pc));
  }
  void require_aligned(const void* address, int bytes, const void* pc) const {
    if (reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes) == 0) return;
    const auto at = reinterpret_cast<uintptr_t>(address);
    runner_->fault(Fault(FindingKind::unaligned, runner_->witness(runner_->rank(), reinterpret_cast<uintptr_t>(pc)),
                         "accesses " + std::to_string(bytes) + " bytes of " + runner_->object_at(at) +
                             ", which is not a multiple of their size"));
  }

 private:
  BlockRunner* runner_;
};

void complete_shuffle(void* const* lanes, uint32_t mask) {
  std::array<uint64_t, 32> value;
  for (uint32_t i = 0; i < 32; ++i) {
    value[i] = 0xffa5ffa5ffa5ffa5ULL;
    if ((mask >> i & 1U) != 0) value[i] = static_cast<const Shuffle*>(lanes[i])->value;
  }
  for (uint32_t i = 0; i < 32; ++i)
    if ((mask >> i & 1U) != 0) {
      auto* s = static_cast<Shuffle*>(lanes[i]);
      s->value = value[static_cast<size_t>(s->source & 31)];
    }
}

void complete_ballot(void* const* lanes, uint32_t mask) {
  uint32_t votes = 0;
  for (uint32_t i = 0; i < 32; ++i)
    if ((mask >> i & 1U) != 0) votes |= *static_cast<const uint32_t*>(lanes[i]) << i;
  for (uint32_t i = 0; i < 32; ++i)
    if ((mask >> i & 1U) != 0) *static_cast<uint32_t*>(lanes[i]) = votes;
}

}  // namespace

// These five only read what is constant for a block, and touch no library code: no need to leave the kernel.
uint3 thread_index() {
  return BlockRunner::active()->thread_index();
}
uint3 block_index() {
  return BlockRunner::active()->block_index();
}
dim3 block_extent() {
  return BlockRunner::active()->config().block;
}
dim3 grid_extent() {
  return BlockRunner::active()->config().grid;
}
int lane_index() {
  return BlockRunner::active()->lane();
}
void* shared_memory() {
  return BlockRunner::active()->shared_memory();
}

void fault_unaligned(const void* address, int bytes) {
  const Inside world;
  world.require_aligned(address, bytes, __builtin_return_address(0));
  __builtin_unreachable();
}

void sync_block(const Where& where) {
  const Inside world;
  world->sync_block(false, where);
}

int sync_block_count(bool predicate, const Where& where) {
  const Inside world;
  return world->sync_block(predicate, where);
}

void sync_warp(uint32_t mask, const Where& where) {
  const Inside world;
  world->exchange(mask, nullptr, nullptr, true, where);
}

void exchange(uint32_t mask, Complete complete, void* argument, const Where& where) {
  const Inside world;
  world->exchange(mask, complete, argument, false, where);
}

void shuffle(uint32_t mask, Shuffle* lane, const Where& where) {
  exchange(mask, complete_shuffle, lane, where);
}

uint32_t ballot(uint32_t mask, bool predicate, const Where& where) {
  uint32_t vote = predicate ? 1 : 0;
  exchange(mask, complete_ballot, &vote, where);
  return vote;
}

void async_copy(void* shared, const void* global, int bytes, int read_bytes) {
  const Inside world;
  const void* const pc = __builtin_return_address(0);
  world.require_aligned(shared, bytes, pc);
  if (read_bytes > 0) {
    world.require_aligned(global, bytes, pc);
    world.access(global, read_bytes, AccessKind::read, pc);
  }
  world.access(shared, bytes, AccessKind::write, pc);
  world->begin_copy({shared, global, bytes, read_bytes, reinterpret_cast<uintptr_t>(pc), 0});
}

void commit_async_copies() {
  const Inside world;
  world->commit_copies();
}

void wait_async_copies(int pending) {
  const Inside world;
  world->wait_copies(pending);
}

void trap(const Where& where) {
  const Inside world;
  world->fault(Fault(FindingKind::trap, world->witness(world->rank(), where), "calls __trap()"));
}

namespace {

template <class T, class Update>
T update_atomically(T* address, const void* pc, Update update) {
  const Inside world;
  world.require_aligned(address, sizeof(T), pc);
  world.access(address, sizeof(T), AccessKind::atomic, pc);
  std::atomic_ref<T> value(*address);
  T old = value.load();
  while (!value.compare_exchange_weak(old, update(old))) {
  }
  return old;
}

}  // namespace

template <class T>
T atomic_add(T* address, T value) {
  return update_atomically(address, __builtin_return_address(0), [&](T old) { return static_cast<T>(old + value); });
}
template <class T>
T atomic_max(T* address, T value) {
  return update_atomically(address, __builtin_return_address(0), [&](T old) { return old < value ? value : old; });
}
template <class T>
T atomic_min(T* address, T value) {
  return update_atomically(address, __builtin_return_address(0), [&](T old) { return value < old ? value : old; });
}
template <class T>
T atomic_or(T* address, T value) {
  return update_atomically(address, __builtin_return_address(0), [&](T old) { return static_cast<T>(old | value); });
}
template <class T>
T atomic_exchange(T* address, T value) {
  return update_atomically(address, __builtin_return_address(0), [&](T) { return value; });
}
template <class T>
T atomic_compare_exchange(T* address, T expected, T desired) {
  return update_atomically(address, __builtin_return_address(0),
                           [&](T old) { return old == expected ? desired : old; });
}

template int atomic_add(int*, int);
template unsigned atomic_add(unsigned*, unsigned);
template unsigned long long atomic_add(unsigned long long*, unsigned long long);
template float atomic_add(float*, float);
template double atomic_add(double*, double);
template int atomic_max(int*, int);
template unsigned atomic_max(unsigned*, unsigned);
template int atomic_min(int*, int);
template unsigned atomic_min(unsigned*, unsigned);
template int atomic_or(int*, int);
template unsigned atomic_or(unsigned*, unsigned);
template int atomic_exchange(int*, int);
template unsigned atomic_exchange(unsigned*, unsigned);
template float atomic_exchange(float*, float);
template int atomic_compare_exchange(int*, int, int);
template unsigned atomic_compare_exchange(unsigned*, unsigned, unsigned);
template unsigned long long atomic_compare_exchange(unsigned long long*, unsigned long long, unsigned long long);

namespace {

// What a lane gives to a matrix instruction, and where its results go.
struct MatrixLoad {
  MatrixRegisters* out;
  const void* row;
};

template <bool kTransposed>
void complete_load_matrix(void* const* lanes, uint32_t) {
  for (uint32_t m = 0; m < 4; ++m) {
    std::array<std::array<uint16_t, 8>, 8> matrix;
    for (uint32_t r = 0; r < 8; ++r)
      std::memcpy(matrix[r].data(), static_cast<const MatrixLoad*>(lanes[m * 8 + r])->row, 16);
    for (uint32_t lane = 0; lane < 32; ++lane) {
      const uint32_t row = lane / 4, column = lane % 4 * 2;
      const uint32_t low = kTransposed ? matrix[column][row] : matrix[row][column];
      const uint32_t high = kTransposed ? matrix[column + 1][row] : matrix[row][column + 1];
      static_cast<MatrixLoad*>(lanes[lane])->out->value[m] = low | high << 16;
    }
  }
}

float bfloat16_low(uint32_t pair) {
  return std::bit_cast<float>(pair << 16);
}
float bfloat16_high(uint32_t pair) {
  return std::bit_cast<float>(pair & 0xffff0000U);
}
// d[16][8] += a[16][16] * b[16][8] with d in the lanes' fragments: rows lane / 4 and + 8, columns 2 * (lane % 4) and
// + 1.
void multiply_add(void* const* lanes, const float (&a)[16][16], const float (&b)[16][8]) {
  float d[16][8];
  const auto element = [&](uint32_t lane, uint32_t i) -> float& {
    return d[lane / 4 + (i / 2) * 8][lane % 4 * 2 + i % 2];
  };
  for (uint32_t lane = 0; lane < 32; ++lane)
    for (uint32_t i = 0; i < 4; ++i) element(lane, i) = static_cast<const Fragments*>(lanes[lane])->d[i];
  for (int row = 0; row < 16; ++row)
    for (int k = 0; k < 16; ++k)
      for (int column = 0; column < 8; ++column) d[row][column] += a[row][k] * b[k][column];
  for (uint32_t lane = 0; lane < 32; ++lane)
    for (uint32_t i = 0; i < 4; ++i) static_cast<Fragments*>(lanes[lane])->d[i] = element(lane, i);
  if (Monitor* monitor = BlockRunner::active()->monitor()) monitor->count_mma(uint64_t{2} * 16 * 8 * 16);
}

// Fragments after the PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type".
void complete_mma_bf16(void* const* lanes, uint32_t) {
  float a[16][16], b[16][8];
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const auto& p = *static_cast<const Fragments*>(lanes[lane]);
    const uint32_t group = lane / 4, pair = lane % 4 * 2;
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t row = group + i % 2 * 8, column = pair + i / 2 * 8;
      a[row][column] = bfloat16_low(p.a[i]);
      a[row][column + 1] = bfloat16_high(p.a[i]);
    }
    for (uint32_t i = 0; i < 2; ++i) {
      b[pair + i * 8][group] = bfloat16_low(p.b[i]);
      b[pair + i * 8 + 1][group] = bfloat16_high(p.b[i]);
    }
  }
  multiply_add(lanes, a, b);
}

constexpr uint32_t whole_warp = 0xffffffffU;

// ldmatrix and mma are defined for 32 threads only.
void require_whole_warp(const Inside& world, const Where& where) {
  const dim3 b = world->config().block;
  if (world->rank() / 32 * 32 + 32 > b.x * b.y * b.z)
    world->fault(Fault(FindingKind::divergent_collective, world->witness(world->rank(), where),
                       "calls a matrix instruction in a warp of fewer than 32 threads"));
}

}  // namespace

void load_matrix(MatrixRegisters& out, bool transposed, const void* row, const Where& where) {
  const Inside world;
  require_whole_warp(world, where);
  const void* const pc = __builtin_return_address(0);
  world.require_aligned(row, 16, pc);
  world.access(row, 16, AccessKind::read, pc);
  MatrixLoad load{&out, row};
  const Complete complete = transposed ? complete_load_matrix<true> : complete_load_matrix<false>;
  world->exchange(whole_warp, complete, &load, false, where);
}

void mma_m16n8k16_bf16(Fragments& lane, const Where& where) {
  const Inside world;
  require_whole_warp(world, where);
  world->exchange(whole_warp, complete_mma_bf16, &lane, false, where);
}

}  // namespace ptyfuse::emu
