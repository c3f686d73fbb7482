#include "kernels/ops/complex_patch_cpu.h"

#include <algorithm>

#include "kernels/ops/vector_math.h"

namespace ptyfuse::ops::cpu {
namespace {

constexpr int64_t block = 64;       // pixels worked on at once, in registers and L1
constexpr int64_t grain_px = 4096;  // fewer pixels are not worth another thread

// Calls body(b, c, y, x, n) for blocks of n pixels of a row, rows shared out among the threads.
template <class Body>
void for_each_block(const Device& device, const Shape& shape, const Body& body) {
  const int64_t channels = shape[1], height = shape[2], width = shape[3];
  if (shape.elements() == 0) return;
  device.parallel_for(shape[0] * channels * height, grain_px / width + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t y = row % height, c = row / height % channels, b = row / (height * channels);
      for (int64_t x = 0; x < width; x += block) body(b, c, y, x, std::min(block, width - x));
    }
  });
}

void load(const TensorView<const float>& in, int64_t b, int64_t c, int64_t y, int64_t x, int64_t n, float* out) {
  const float* p = &in(b, c, y, x);
  const int64_t step = in.stride(3);
  for (int64_t i = 0; i < n; ++i) out[i] = p[i * step];
}
void store(const TensorView<float>& out, int64_t b, int64_t c, int64_t y, int64_t x, int64_t n, const float* in) {
  float* p = &out(b, c, y, x);
  const int64_t step = out.stride(3);
  for (int64_t i = 0; i < n; ++i) p[i * step] = in[i];
}

}  // namespace

void sine_cosine_row(const float* phase_rad, float* sine, float* cosine, int64_t n) {
  float largest = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < n; ++i) {
    const SineCosine sc = sine_cosine(phase_rad[i]);
    sine[i] = sc.sine;
    cosine[i] = sc.cosine;
    largest = std::max(largest, std::fabs(phase_rad[i]));
  }
  if (largest <= sine_cosine_limit_rad) return;
  for (int64_t i = 0; i < n; ++i) {
    sine[i] = std::sin(phase_rad[i]);
    cosine[i] = std::cos(phase_rad[i]);
  }
}

void complex_patch(const Device& device, TensorView<const float> amplitude, TensorView<const float> phase,
                   TensorView<complex64> out) {
  for_each_block(device, out.shape(), [&](int64_t b, int64_t c, int64_t y, int64_t x, int64_t n) {
    float a[block], p[block], sine[block], cosine[block];
    load(amplitude, b, c, y, x, n, a);
    load(phase, b, c, y, x, n, p);
    sine_cosine_row(p, sine, cosine, n);
    float* o = reinterpret_cast<float*>(&out(b, c, y, x));
    for (int64_t i = 0; i < n; ++i) {
      o[2 * i] = a[i] * cosine[i];
      o[2 * i + 1] = a[i] * sine[i];
    }
  });
}

void complex_patch_backward(const Device& device, TensorView<const float> amplitude, TensorView<const float> phase,
                            TensorView<const complex64> grad_out, TensorView<float> grad_amplitude,
                            TensorView<float> grad_phase) {
  for_each_block(device, grad_out.shape(), [&](int64_t b, int64_t c, int64_t y, int64_t x, int64_t n) {
    float a[block], p[block], sine[block], cosine[block];
    load(amplitude, b, c, y, x, n, a);
    load(phase, b, c, y, x, n, p);
    sine_cosine_row(p, sine, cosine, n);
    const float* g = reinterpret_cast<const float*>(&grad_out(b, c, y, x));
    for (int64_t i = 0; i < n; ++i) {
      const float re = g[2 * i], im = g[2 * i + 1];
      p[i] = a[i] * (im * cosine[i] - re * sine[i]);
      a[i] = re * cosine[i] + im * sine[i];
    }
    store(grad_amplitude, b, c, y, x, n, a);
    store(grad_phase, b, c, y, x, n, p);
  });
}

}  // namespace ptyfuse::ops::cpu
