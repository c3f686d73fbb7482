#pragma once
// Small kernels that try the device-side headers and the emu world. Pointers are device memory.
#include <cstdint>

#include "kernels/device/device.h"

namespace ptyfuse::tests {

/// out[x,y] = in[y,x], side a multiple of 32. tile: through shared memory, whose rows are padded or not.
void transpose_naive(const Stream& stream, const float* in, float* out, int side);
void transpose_tile(const Stream& stream, const float* in, float* out, int side, bool padded);

/// sums[b] = sum of in[b, 0..length), one block of 256 threads a row.
void row_sums(const Stream& stream, const float* in, float* sums, int rows, int length);
/// total += sum of in by atomics.
void sum_atomically(const Stream& stream, const float* in, float* total, int length);
/// What each lane of a warp gets: out[lane + 32 * i] for the i-th of up, down, xor, index, up in segments of 8, ballot.
void shuffles(const Stream& stream, int* out);
/// out[i] = a vector sum through float4 and bfloat16 pairs: in [4n], out [n].
void sum_float4(const Stream& stream, const float* in, float* out, int n);

/// d[16,8] = a[16,k] * b[k,8] + 1 with one warp; a row-major, b column-major. bfloat16 inputs as their bits.
void product_bf16(const Stream& stream, const uint16_t* a, const uint16_t* b, float* d, int k);
/// The same product with fragments by ldmatrix, of b row-major transposed.
void product_ldmatrix(const Stream& stream, const uint16_t* a, const uint16_t* b, float* d, int k, bool b_row_major);
/// Registers of one warp after ldmatrix of four 8x8 matrices [4,8,8]: out[lane, matrix].
void load_matrices(const Stream& stream, const uint16_t* in, uint32_t* out, bool transposed);

/// out = 2 * in by blocks of 128 threads that copy `stages` tiles of 512 floats ahead; elements from `length` on are 0.
void doubled_through_pipeline(const Stream& stream, const float* in, float* out, int padded_length, int length);
/// out = in by a copy of 4 floats a thread, of which every third is not valid and gives zeros.
void copied_in_pieces(const Stream& stream, const float* in, float* out, int length);

/// out[thread in grid] = x | y << 4 | z << 8 of the thread, then of the block << 12, 16, 20; blocks 3 x blocks_y x 2 of
/// 4 x 3 x 5 threads.
void indices(const Stream& stream, uint32_t* out, uint32_t blocks_y);
/// Block and warp votes of 128 threads, added up with weights.
void votes(const Stream& stream, int* out);
/// max, min, or, compare-and-swap, add of 200 threads.
void atomics(const Stream& stream, int* words);
/// 8 functions of 32 numbers.
void mathematics(const Stream& stream, const float* in, float* out);
/// A launch of that size, right or wrong.
void launch_with(const Stream& stream, uint32_t* out, int grid_y, int threads, int64_t shared_bytes);

/// One planted fault each.
namespace planted {
void missing_barrier(const Stream& stream, const float* in, float* out, int length);
void missing_warp_barrier(const Stream& stream, float* out, bool with_barrier);
void race_in_device_memory(const Stream& stream, float* out);
void race_of_blocks(const Stream& stream, float* out, bool atomic, float* counter);
void write_beyond_buffer(const Stream& stream, float* out, int length, int64_t at);
void read_beyond_buffer(const Stream& stream, const float* in, float* out, int64_t at);
void write_beyond_shared(const Stream& stream, float* out, int at);
/// A thread's array of 4 floats, of which `length` are written.
void write_beyond_local_array(const Stream& stream, const float* in, float* out, int length);
void unaligned_vector(const Stream& stream, const float* in, float* out, int offset);
void unaligned_double(const Stream& stream, const float* in, float* out, int offset);
void divergent_barrier(const Stream& stream, float* out);
void return_before_barrier(const Stream& stream, float* out);
void two_barriers_in_branches(const Stream& stream, float* out);
void divergent_shuffle(const Stream& stream, float* out);
void return_before_shuffle(const Stream& stream, float* out);
void uninitialised_shared(const Stream& stream, float* out);
void copy_not_waited(const Stream& stream, const float* in, float* out);
void copy_without_barrier(const Stream& stream, const float* in, float* out);
void trap_if(const Stream& stream, int value);
void deep_stack(const Stream& stream, float* out);
}  // namespace planted

}  // namespace ptyfuse::tests
