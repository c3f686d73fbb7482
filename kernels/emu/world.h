#pragma once
// What the host bodies of device-side functions (cuda_shim.h, kernels/device/*.cuh) ask of the emu world. Callable from
// a kernel only. `where` is the place in the kernel's source: it names the call in a report, and tells two barriers or
// two shuffles of one kernel apart, however the compiler moved or duplicated the call.
#include <cstdint>
#include <source_location>

#include "kernels/emu/vector_types.h"

namespace ptyfuse::emu {

using Where = std::source_location;

// Constant for one thread, hence gnu::const: the compiler asks once.
[[gnu::const]] uint3 thread_index();
[[gnu::const]] uint3 block_index();
[[gnu::const]] dim3 block_extent();
[[gnu::const]] dim3 grid_extent();
[[gnu::const]] int lane_index();
/// The block's dynamic shared memory, aligned to 128 bytes.
[[gnu::const]] void* shared_memory();

/// Block barrier. The second returns how many threads gave true.
void sync_block(const Where& where);
int sync_block_count(bool predicate, const Where& where);
/// Warp barrier of the lanes in `mask`; orders their memory accesses.
void sync_warp(uint32_t mask, const Where& where);

/// Computes what a collective call gives to each lane of `mask`, when the last one has arrived: lanes[i] is what lane i
/// gave to exchange().
using Complete = void (*)(void* const* lanes, uint32_t mask);
/// Waits for all lanes of `mask` to give their argument to the same call; lanes without a thread in the block are not
/// waited for.
void exchange(uint32_t mask, Complete complete, void* argument, const Where& where);

/// What one lane gives to a shuffle, and gets: its `source` lane's value, or a poison value where that lane is not in
/// the mask.
struct Shuffle {
  uint64_t value;
  int source;
};
void shuffle(uint32_t mask, Shuffle* lane, const Where& where);
/// Bit i: lane i of the mask gave true.
uint32_t ballot(uint32_t mask, bool predicate, const Where& where);

/// ldmatrix: four 8x8 matrices of 16-bit elements; lane 8*i + r gives the address of row r of matrix i.
struct MatrixRegisters {
  uint32_t value[4];
};
void load_matrix(MatrixRegisters& out, bool transposed, const void* row, const Where& where);

/// d += a * b by the fragments of PTX's mma.sync, bfloat16 inputs.
struct Fragments {
  float d[4];
  uint32_t a[4], b[2];
};
void mma_m16n8k16_bf16(Fragments& lane, const Where& where);

/// cp.async: the destination holds poison until wait_async_copies of this thread; the first `read_bytes` of `bytes`
/// come from the source, the others are zero.
void async_copy(void* shared, const void* global, int bytes, int read_bytes);
void commit_async_copies();
/// All groups but the newest `pending` of this thread have arrived.
void wait_async_copies(int pending);

// Atomic on the host, too: blocks run on several threads. Each returns the old value.
template <class T>
T atomic_add(T* address, T value);
template <class T>
T atomic_max(T* address, T value);
template <class T>
T atomic_min(T* address, T value);
template <class T>
T atomic_or(T* address, T value);
template <class T>
T atomic_exchange(T* address, T value);
template <class T>
T atomic_compare_exchange(T* address, T expected, T desired);

[[noreturn]] void trap(const Where& where);

}  // namespace ptyfuse::emu
