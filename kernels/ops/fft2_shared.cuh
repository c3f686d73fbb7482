#pragma once
// The Fourier transform of one square image in a block's shared memory, by fft2 and the fused physics step.
#include "kernels/device/opaque.cuh"
#include "kernels/ops/complex_math.cuh"

namespace ptyfuse::ops::cuda {

/// A quarter turn: times -i on the way forward, +i on the way back.
template <bool kInverse>
__device__ __forceinline__ float2 quarter_turn(float2 a) {
  return kInverse ? make_float2(-a.y, a.x) : make_float2(a.y, -a.x);
}
/// Times the complex number (re, im), conjugated on the way back.
template <bool kInverse>
__device__ __forceinline__ float2 turned(float2 a, float re, float im) {
  return multiply(a, make_float2(re, kInverse ? -im : im));
}

/// Unscaled transforms in place, natural order in and out.
template <bool kInverse>
__device__ __forceinline__ void transform4(float2& a0, float2& a1, float2& a2, float2& a3) {
  const float2 s0 = add(a0, a2), d0 = subtract(a0, a2), s1 = add(a1, a3);
  const float2 d1 = quarter_turn<kInverse>(subtract(a1, a3));
  a0 = add(s0, s1);
  a1 = add(d0, d1);
  a2 = subtract(s0, s1);
  a3 = subtract(d0, d1);
}
template <bool kInverse>
__device__ __forceinline__ void transform(float2 (&v)[8]) {
  constexpr float r = 0.707106781F;
  transform4<kInverse>(v[0], v[2], v[4], v[6]);
  transform4<kInverse>(v[1], v[3], v[5], v[7]);
  // Now v[0], v[2], v[4], v[6] are the even samples' frequencies 0 to 3, the others the odd ones'.
  const float2 even[4] = {v[0], v[2], v[4], v[6]};
  const float2 odd1 = scale(
      r, kInverse ? make_float2(v[3].x - v[3].y, v[3].x + v[3].y) : make_float2(v[3].x + v[3].y, v[3].y - v[3].x));
  const float2 odd3 = scale(
      r, kInverse ? make_float2(-v[7].x - v[7].y, v[7].x - v[7].y) : make_float2(v[7].y - v[7].x, -v[7].x - v[7].y));
  const float2 odd[4] = {v[1], odd1, quarter_turn<kInverse>(v[5]), odd3};
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    v[k] = add(even[k], odd[k]);
    v[k + 4] = subtract(even[k], odd[k]);
  }
}
template <bool kInverse>
__device__ __forceinline__ void transform(float2 (&v)[16]) {
  constexpr float c1 = 0.923879533F, s1 = 0.382683432F, r = 0.707106781F;
#pragma unroll
  for (int j = 0; j < 4; ++j) transform4<kInverse>(v[j], v[4 + j], v[8 + j], v[12 + j]);
  v[5] = turned<kInverse>(v[5], c1, -s1);
  v[6] = turned<kInverse>(v[6], r, -r);
  v[7] = turned<kInverse>(v[7], s1, -c1);
  v[9] = turned<kInverse>(v[9], r, -r);
  v[10] = quarter_turn<kInverse>(v[10]);
  v[11] = turned<kInverse>(v[11], -r, -r);
  v[13] = turned<kInverse>(v[13], s1, -c1);
  v[14] = turned<kInverse>(v[14], -r, -r);
  v[15] = turned<kInverse>(v[15], -c1, s1);
#pragma unroll
  for (int k = 0; k < 4; ++k) transform4<kInverse>(v[4 * k], v[4 * k + 1], v[4 * k + 2], v[4 * k + 3]);
    // v[4*k + m] is frequency k + 4*m.
#pragma unroll
  for (int k = 0; k < 4; ++k)
#pragma unroll
    for (int m = 0; m < k; ++m) {
      const float2 other = v[4 * k + m];
      v[4 * k + m] = v[4 * m + k];
      v[4 * m + k] = other;
    }
}

/// One image [kSide,kSide], 64 or 128, of a block of `threads` threads. An axis is transformed in two passes, of
/// radix = kSide/8 over samples 8 apart and of 8 over neighbours, each in place: a thread takes its samples from shared
/// memory to registers and puts them back where they were, so that one barrier parts two passes. Thus frequency
/// k1 + radix*k2 of an axis lies at 8*k1 + k2, and the way back begins with the second pass. Rows are an odd number of
/// samples apart, and the eight samples of each run of eight are exchanged from run to run (column()): every pass then
/// finds the 16 samples of each half warp in different banks, and in the second pass over columns the threads of a warp
/// hold neighbouring frequencies of one row.
template <int kSide>
class SharedFft2 {
  static_assert(kSide == 64 || kSide == 128);

 public:
  static constexpr int side = kSide, threads = 512, pitch = kSide + 1, radix = kSide / 8;
  static constexpr int samples = kSide * pitch, shared_bytes = (8 * (samples + 8) + 127) / 128 * 128;
  static constexpr int pixels = kSide * kSide;
  static constexpr int slots = pixels / threads;      ///< pixels, and frequencies, of a thread
  static constexpr int first_passes = slots / radix;  ///< of a thread in a pass of `radix`
  static constexpr int second_passes = slots / 8;     ///< and in one of 8
  static constexpr int lines = threads / kSide;       ///< rows or columns that the block takes at once

  /// `shared`: shared_bytes of shared memory. The block meets a barrier before it transforms.
  __device__ __forceinline__ explicit SharedFft2(unsigned char* shared)
      : wave_(reinterpret_cast<float2*>(shared)), thread_(static_cast<int>(threadIdx.x)) {
    if (thread_ < 8) wave_[samples + thread_] = root(thread_);
  }

  __device__ __forceinline__ int thread() const { return thread_; }
  /// Begins a phase: the compiler computes what follows from the thread's number anew. Addresses of several phases,
  /// kept in registers from one to the other, and over the groups of a block, would not fit.
  __device__ __forceinline__ void begin_phase() const { thread_ = opaque(thread_); }

  /// Where column x of the image lies in a row of shared memory before and after both transforms.
  static __device__ __forceinline__ int column(int x) { return x ^ (x >> (kSide == 64 ? 3 : 4) & 7); }
  /// Calls body(y, x, slot) for the thread's pixels, kUnroll at a time.
  template <int kUnroll, class Body>
  __device__ __forceinline__ void each_pixel(const Body& body) const {
    begin_phase();
#pragma unroll(kUnroll)
    for (int slot = 0; slot < slots; ++slot) body(first_row(slot / radix), slot % radix * 8 + thread_ % 8, slot);
  }
  /// Sample (y, x) in shared memory.
  __device__ __forceinline__ float2& at(int y, int x) const {
    return wave_[y * pitch + column(x)];
  }

  /// Forward up to the last pass. load(y, x, slot) gives the thread's pixels, those of each_pixel; at(y, x) is the
  /// thread's own to read then. A barrier at the end; shared memory must be free before.
  template <class Load>
  __device__ __forceinline__ void begin_forward(const Load& load) const {
    begin_phase();
#pragma unroll 1
    for (int p = 0; p < first_passes; ++p) {
      float2 v[radix];
      const int y = first_row(p), n2 = thread_ % 8;
#pragma unroll
      for (int i = 0; i < radix; ++i) v[i] = load(y, 8 * i + n2, p * radix + i);
      transform<false>(v);
      turn_by_powers<false>(v, roots()[n2]);
#pragma unroll
      for (int i = 0; i < radix; ++i) at(y, 8 * i + n2) = v[i];
    }
    __syncthreads();
    second_pass_of_rows<false>();
    __syncthreads();
    begin_phase();
#pragma unroll 1
    for (int p = 0; p < first_passes; ++p) {
      float2 v[radix];
      const int n2 = thread_ / kSide + p * lines;
      float2* const samples_of_column = wave_ + n2 * pitch + thread_ % kSide;
#pragma unroll
      for (int i = 0; i < radix; ++i) v[i] = samples_of_column[8 * i * pitch];
      transform<false>(v);
      turn_by_powers<false>(v, roots()[n2]);
#pragma unroll
      for (int i = 0; i < radix; ++i) samples_of_column[8 * i * pitch] = v[i];
    }
    __syncthreads();
  }

  /// The last pass forward: v[k] is frequency (row_frequency(p, k), column_frequency()), unscaled, p < second_passes.
  __device__ __forceinline__ void load_spectrum(int p, float2 (&v)[8]) const {
    begin_phase();
    const float2* const from = spectrum(p);
#pragma unroll
    for (int k = 0; k < 8; ++k) v[k] = from[k * pitch];
    transform<false>(v);
  }
  __device__ __forceinline__ int row_frequency(int p, int k) const {
    return thread_ / kSide + p * lines + radix * k;
  }
  __device__ __forceinline__ int column_frequency() const {
    return thread_ % kSide;
  }

  /// The first pass back, of the frequencies that load_spectrum gave to this thread.
  __device__ __forceinline__ void store_spectrum(int p, float2 (&v)[8]) const {
    float2* const to = spectrum(p);
    transform<true>(v);
#pragma unroll
    for (int k = 0; k < 8; ++k) to[k * pitch] = v[k];
  }

  /// The passes back behind store_spectrum, unscaled. store(y, x, slot, value) takes the thread's pixels, those of
  /// each_pixel; at(y, x) is the thread's own to write then. A barrier at the beginning, none at the end.
  template <class Store>
  __device__ __forceinline__ void end_backward(const Store& store) const {
    __syncthreads();
    begin_phase();
#pragma unroll 1
    for (int p = 0; p < first_passes; ++p) {
      float2 v[radix];
      const int n2 = thread_ / kSide + p * lines;
      float2* const samples_of_column = wave_ + n2 * pitch + thread_ % kSide;
#pragma unroll
      for (int i = 0; i < radix; ++i) v[i] = samples_of_column[8 * i * pitch];
      turn_by_powers<true>(v, roots()[n2]);
      transform<true>(v);
#pragma unroll
      for (int i = 0; i < radix; ++i) samples_of_column[8 * i * pitch] = v[i];
    }
    __syncthreads();
    second_pass_of_rows<true>();
    __syncthreads();
    begin_phase();
#pragma unroll 1
    for (int p = 0; p < first_passes; ++p) {
      float2 v[radix];
      const int y = first_row(p), n2 = thread_ % 8;
#pragma unroll
      for (int i = 0; i < radix; ++i) v[i] = at(y, 8 * i + n2);
      turn_by_powers<true>(v, roots()[n2]);
      transform<true>(v);
#pragma unroll
      for (int i = 0; i < radix; ++i) store(y, 8 * i + n2, p * radix + i, v[i]);
    }
  }

 private:
  /// exp(-2*pi*i * n/kSide)
  static __device__ __forceinline__ float2 root(int n) {
    float sine, cosine;
    sincospif(static_cast<float>(-2 * n) / static_cast<float>(kSide), &sine, &cosine);
    return make_float2(cosine, sine);
  }
  /// v[i] times turn^i, by products of two smaller powers each.
  template <bool kInverse>
  static __device__ __forceinline__ void turn_by_powers(float2 (&v)[radix], float2 turn) {
    float2 power[radix];
    power[1] = turn;
#pragma unroll
    for (int i = 1; i < radix; ++i) {
      if (i > 1) power[i] = multiply(power[i / 2], power[i - i / 2]);
      v[i] = kInverse ? multiply_conjugate(power[i], v[i]) : multiply(power[i], v[i]);
    }
  }
  // Eight neighbouring threads take a row; the rows of a half warp are 8 apart.
  __device__ __forceinline__ int first_row(int p) const {
    const int q = thread_ / 8;
    return q % 8 * 8 + q / 8 + p * 64;
  }
  template <bool kInverse>
  __device__ __forceinline__ void second_pass_of_rows() const {
    begin_phase();
#pragma unroll 1
    for (int p = 0; p < second_passes; ++p) {
      float2 v[8];
      const int y = thread_ % kSide, run = thread_ / kSide + p * lines;
#pragma unroll
      for (int i = 0; i < 8; ++i) v[i] = at(y, 8 * run + i);
      transform<kInverse>(v);
#pragma unroll
      for (int i = 0; i < 8; ++i) at(y, 8 * run + i) = v[i];
    }
  }
  __device__ __forceinline__ float2* spectrum(int p) const {
    const int frequency = thread_ % kSide;
    return &at(8 * (thread_ / kSide + p * lines), 8 * (frequency % radix) + frequency / radix);
  }

  // exp(-2*pi*i * n/kSide), n < 8, behind the image.
  __device__ __forceinline__ const float2* roots() const {
    return wave_ + samples;
  }

  float2* wave_;
  mutable int thread_;
};

}  // namespace ptyfuse::ops::cuda
