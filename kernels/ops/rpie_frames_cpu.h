#pragma once
// Where a frame of an rPIE batch takes its object window and its probe from, and what its steps on the CPU share.
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "kernels/ops/rpie.h"

namespace ptyfuse::ops::cpu {

// Complex arithmetic is spelled out on (re, im) pairs of floats: std::complex products look for infinities.
inline const float* floats(const complex64* p) {
  return reinterpret_cast<const float*>(p);
}
inline float* floats(complex64* p) {
  return reinterpret_cast<float*>(p);
}

struct Window {
  int64_t y = 0, x = 0;
};

inline Window window_of(const char* operation, const RpieBatch& batch, int64_t n, const Shape& object, int64_t side) {
  const Window w{batch.corner(n, 0), batch.corner(n, 1)};
  if (w.y < 0 || w.x < 0 || w.y + side > object[0] || w.x + side > object[1])
    throw_shape_error(operation, "frame " + std::to_string(n) + " of the batch has its window of " +
                                     std::to_string(side) + " at [" + std::to_string(w.y) + ", " + std::to_string(w.x) +
                                     "], outside the object of " + object.str());
  return w;
}

inline const complex64* probe_of(const char* operation, const RpieBatch& batch, int64_t n,
                                 TensorView<const complex64> probes) {
  const int64_t at = batch.probe_index(n);
  if (at < 0 || at >= probes.extent(0))
    throw_shape_error(operation, "frame " + std::to_string(n) + " of the batch asks for probe " + std::to_string(at) +
                                     " of " + std::to_string(probes.extent(0)));
  return probes.data() + at * probes.stride(0);
}

// exp(sign * 2*pi*i * shift * (i - N/2) / N)
inline void ramp(double shift_px, int64_t side, double sign, std::vector<complex64>& out) {
  out.resize(static_cast<size_t>(side));
  const double step = sign * 2 * std::numbers::pi * shift_px / static_cast<double>(side);
  const int64_t zero = side / 2;
  for (int64_t i = 0; i < side; ++i) {
    const double phase = step * static_cast<double>(i - zero);
    out[static_cast<size_t>(i)] = {static_cast<float>(std::cos(phase)), static_cast<float>(std::sin(phase))};
  }
}

}  // namespace ptyfuse::ops::cpu
