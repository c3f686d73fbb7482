#include "kernels/ops/rpie_cpu.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/ops/rpie_frames_cpu.h"

namespace ptyfuse::ops::cpu {
namespace {

// Pixels of one run through all modes: the sums stay in registers or the first cache.
constexpr int64_t run_px = 64;
using Run = std::array<float, run_px>;

// power[i] = sum_k |stack[k][i]|^2 of `count` pixels; modes lie `stride` apart.
void sum_power(const complex64* stack, int64_t modes, int64_t stride, int64_t count, float* power) {
  for (int64_t k = 0; k < modes; ++k) {
    const float* s = floats(stack + k * stride);
    for (int64_t i = 0; i < count; ++i) {
      const float p = s[2 * i] * s[2 * i] + s[2 * i + 1] * s[2 * i + 1];
      power[i] = k == 0 ? p : power[i] + p;
    }
  }
}

// in = (factor row) * in, for `count` pixels
void multiply(const complex64* factor, const complex64* in, int64_t count, complex64* out) {
  const float* a = floats(factor);
  const float* b = floats(in);
  float* o = floats(out);
  for (int64_t i = 0; i < count; ++i) {
    const float re = a[2 * i] * b[2 * i] - a[2 * i + 1] * b[2 * i + 1];
    const float im = a[2 * i] * b[2 * i + 1] + a[2 * i + 1] * b[2 * i];
    o[2 * i] = re;
    o[2 * i + 1] = im;
  }
}
void multiply_conjugate(const complex64* factor, const complex64* in, int64_t count, complex64* out) {
  const float* a = floats(factor);
  const float* b = floats(in);
  float* o = floats(out);
  for (int64_t i = 0; i < count; ++i) {
    const float re = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
    const float im = a[2 * i] * b[2 * i + 1] - a[2 * i + 1] * b[2 * i];
    o[2 * i] = re;
    o[2 * i + 1] = im;
  }
}

// A frame's part of the object's step: numerator += conj(probe) * difference, power += |probe|^2.
void add_terms(const complex64* probe, const complex64* difference, int64_t count, float* numerator, float* power) {
  const float* p = floats(probe);
  const float* d = floats(difference);
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    numerator[2 * i] += p[2 * i] * d[2 * i] + p[2 * i + 1] * d[2 * i + 1];
    numerator[2 * i + 1] += p[2 * i] * d[2 * i + 1] - p[2 * i + 1] * d[2 * i];
    power[i] += p[2 * i] * p[2 * i] + p[2 * i + 1] * p[2 * i + 1];
  }
}

// The object's step itself.
void move_object(const ObjectRule& rule, const float* numerator, const float* power, int64_t count, complex64* object) {
  const float beta = rule.beta, peak = rule.peak, length = rule.length;
  float* o = floats(object);
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    // With beta 0 nothing keeps the divisor from 0 where no probe reaches: there is no step to take there.
    const float sum = power[i], divisor = (1 - beta) * sum + beta * std::max(sum, peak);
    const float step = divisor > 0 ? length / divisor : 0.0F;
    o[2 * i] += numerator[2 * i] * step;
    o[2 * i + 1] += numerator[2 * i + 1] * step;
  }
}

// Calls body(n, first pixel, pixels) for runs of run_px pixels of each frame, frames spread over the threads.
template <class Body>
void for_runs(const Device& device, int64_t frames, int64_t pixels, const Body& body) {
  device.parallel_for(frames, 8192 / pixels + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = begin; n < end; ++n)
      for (int64_t at = 0; at < pixels; at += run_px) body(n, at, std::min(run_px, pixels - at));
  });
}

}  // namespace

void shift_spectra(const Device& device, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                   TensorView<complex64> out) {
  const int64_t modes = spectra.extent(0), side = spectra.extent(1), pixels = side * side;
  device.parallel_for(out.extent(0), 8192 / pixels + 1, [&](int64_t begin, int64_t end, int) {
    std::vector<complex64> ramp_y, ramp_x, row(static_cast<size_t>(side));
    for (int64_t n = begin; n < end; ++n) {
      ramp(shift_px(n, 0), side, -1, ramp_y);
      ramp(shift_px(n, 1), side, -1, ramp_x);
      for (int64_t y = 0; y < side; ++y) {
        std::fill(row.begin(), row.end(), ramp_y[static_cast<size_t>(y)]);
        multiply(ramp_x.data(), row.data(), side, row.data());
        for (int64_t k = 0; k < modes; ++k)
          multiply(row.data(), spectra.data() + (k * side + y) * side, side,
                   out.data() + ((n * modes + k) * side + y) * side);
      }
    }
  });
}

void sum_shifted_back(const Device& device, TensorView<const complex64> spectra, TensorView<const float> shift_px,
                      TensorView<complex64> out) {
  const int64_t frames = spectra.extent(0), modes = spectra.extent(1), side = spectra.extent(2);
  std::vector<std::vector<complex64>> ramps_y(static_cast<size_t>(frames)), ramps_x(static_cast<size_t>(frames));
  for (int64_t n = 0; n < frames; ++n) {
    ramp(shift_px(n, 0), side, 1, ramps_y[static_cast<size_t>(n)]);
    ramp(shift_px(n, 1), side, 1, ramps_x[static_cast<size_t>(n)]);
  }
  device.parallel_for(side, 4096 / side + 1, [&](int64_t begin, int64_t end, int) {
    std::vector<complex64> row(static_cast<size_t>(side)), moved(static_cast<size_t>(side));
    for (int64_t y = begin; y < end; ++y) {
      for (int64_t k = 0; k < modes; ++k) std::fill_n(out.data() + (k * side + y) * side, side, complex64{});
      for (int64_t n = 0; n < frames; ++n) {
        std::fill(row.begin(), row.end(), ramps_y[static_cast<size_t>(n)][static_cast<size_t>(y)]);
        multiply(ramps_x[static_cast<size_t>(n)].data(), row.data(), side, row.data());
        for (int64_t k = 0; k < modes; ++k) {
          multiply(row.data(), spectra.data() + ((n * modes + k) * side + y) * side, side, moved.data());
          float* sum = floats(out.data() + (k * side + y) * side);
          const float* term = floats(moved.data());
          for (int64_t i = 0; i < 2 * side; ++i) sum[i] += term[i];
        }
      }
    }
  });
}

void exit_waves(const Device& device, TensorView<const complex64> object, const RpieBatch& batch,
                TensorView<const complex64> probes, TensorView<complex64> waves) {
  const int64_t modes = waves.extent(1), side = waves.extent(2), width = object.extent(1);
  device.parallel_for(waves.extent(0), 8192 / (side * side) + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = begin; n < end; ++n) {
      const Window w = window_of("exit_waves", batch, n, object.shape(), side);
      const complex64* probe = probe_of("exit_waves", batch, n, probes);
      complex64* out = waves.data() + n * waves.stride(0);
      for (int64_t r = 0; r < modes * side; ++r)
        multiply(object.data() + (w.y + r % side) * width + w.x, probe + r * side, side, out + r * side);
    }
  });
}

void modulus_difference(const Device& device, TensorView<const float> amplitude, TensorView<const uint8_t> mask,
                        TensorView<complex64> spectra) {
  const int64_t modes = spectra.extent(1), pixels = spectra.extent(2) * spectra.extent(3);
  for_runs(device, spectra.extent(0), pixels, [&](int64_t n, int64_t at, int64_t count) {
    complex64* stack = spectra.data() + n * modes * pixels + at;
    const float* measured = amplitude.data() + n * pixels + at;
    Run factor;
    sum_power(stack, modes, pixels, count, factor.data());
    for (int64_t i = 0; i < count; ++i) factor[i] = measured[i] / (std::sqrt(factor[i]) + modulus_floor) - 1;
    if (mask)
      for (int64_t i = 0; i < count; ++i) factor[i] = mask.data()[at + i] ? factor[i] : 0.0F;
    for (int64_t k = 0; k < modes; ++k) {
      float* s = floats(stack + k * pixels);
      for (int64_t i = 0; i < count; ++i) {
        s[2 * i] *= factor[i];
        s[2 * i + 1] *= factor[i];
      }
    }
  });
}

void modulus_residual(const Device& device, TensorView<const complex64> spectra, TensorView<const float> amplitude,
                      TensorView<const uint8_t> mask, TensorView<double> sums) {
  const int64_t modes = spectra.extent(1), pixels = spectra.extent(2) * spectra.extent(3);
  device.parallel_for(spectra.extent(0), 8192 / pixels + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = begin; n < end; ++n) {
      const complex64* stack = spectra.data() + n * modes * pixels;
      const float* measured = amplitude.data() + n * pixels;
      double apart = 0, total = 0;
      for (int64_t at = 0; at < pixels; at += run_px) {
        const int64_t count = std::min(run_px, pixels - at);
        Run power;
        sum_power(stack + at, modes, pixels, count, power.data());
        float run_apart = 0, run_total = 0;
#pragma omp simd reduction(+ : run_apart, run_total)
        for (int64_t i = 0; i < count; ++i) {
          const bool used = !mask || mask.data()[at + i];
          run_apart += used ? std::abs(std::sqrt(power[i]) - measured[at + i]) : 0.0F;
          run_total += used ? measured[at + i] : 0.0F;
        }
        apart += run_apart;
        total += run_total;
      }
      sums(n, 0) = apart;
      sums(n, 1) = total;
    }
  });
}

void update_object(const Device& device, TensorView<const complex64> differences, const RpieBatch& batch,
                   TensorView<const complex64> probes, const ObjectRule& rule, TensorView<complex64> object) {
  const int64_t frames = differences.extent(0), modes = differences.extent(1), side = differences.extent(2);
  const int64_t width = object.extent(1);
  if (frames == 0) return;
  std::vector<Window> windows;
  std::vector<const complex64*> probe;
  Window low{object.extent(0), width}, high;
  for (int64_t n = 0; n < frames; ++n) {
    const Window w = window_of("update_object", batch, n, object.shape(), side);
    windows.push_back(w);
    probe.push_back(probe_of("update_object", batch, n, probes));
    low = {std::min(low.y, w.y), std::min(low.x, w.x)};
    high = {std::max(high.y, w.y + side), std::max(high.x, w.x + side)};
  }
  const int64_t span = high.x - low.x;
  device.parallel_for(high.y - low.y, 4096 / span + 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> numerator(static_cast<size_t>(2 * span)), power(static_cast<size_t>(span));
    for (int64_t y = low.y + begin; y < low.y + end; ++y) {
      int64_t first = high.x, last = low.x;  // columns that some frame covers in this row
      for (int64_t n = 0; n < frames; ++n) {
        const Window& w = windows[static_cast<size_t>(n)];
        if (y < w.y || y >= w.y + side) continue;
        if (last <= first) {
          std::fill(numerator.begin(), numerator.end(), 0.0F);
          std::fill(power.begin(), power.end(), 0.0F);
        }
        first = std::min(first, w.x);
        last = std::max(last, w.x + side);
        float* num = numerator.data() + 2 * (w.x - low.x);
        float* pow = power.data() + (w.x - low.x);
        for (int64_t k = 0; k < modes; ++k) {
          const int64_t row = (k * side + y - w.y) * side;
          add_terms(probe[static_cast<size_t>(n)] + row, differences.data() + n * modes * side * side + row, side, num,
                    pow);
        }
      }
      if (first < last)
        move_object(rule, numerator.data() + 2 * (first - low.x), power.data() + (first - low.x), last - first,
                    object.data() + y * width + first);
    }
  });
}

void add_to_step(const Device& device, TensorView<const complex64> differences, const RpieBatch& batch,
                 TensorView<const complex64> probes, const ObjectStep& step) {
  const int64_t frames = differences.extent(0), modes = differences.extent(1), side = differences.extent(2);
  const int64_t height = step.power.extent(0), width = step.power.extent(1);
  std::vector<Window> windows;
  std::vector<const complex64*> probe;
  for (int64_t n = 0; n < frames; ++n) {
    windows.push_back(window_of("add_to_step", batch, n, step.power.shape(), side));
    probe.push_back(probe_of("add_to_step", batch, n, probes));
  }
  device.parallel_for(height, 4096 / width + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = 0; n < frames; ++n) {
      const Window& w = windows[static_cast<size_t>(n)];
      for (int64_t y = std::max(begin, w.y); y < std::min(end, w.y + side); ++y) {
        float* num = floats(step.numerator.data() + y * width + w.x);
        float* pow = step.power.data() + y * width + w.x;
        for (int64_t k = 0; k < modes; ++k) {
          const int64_t row = (k * side + y - w.y) * side;
          add_terms(probe[static_cast<size_t>(n)] + row, differences.data() + n * modes * side * side + row, side, num,
                    pow);
        }
      }
    }
  });
}

void apply_step(const Device& device, const ObjectStep& step, const ObjectRule& rule, TensorView<complex64> object) {
  device.parallel_for(object.elements(), 8192, [&](int64_t begin, int64_t end, int) {
    move_object(rule, floats(step.numerator.data() + begin), step.power.data() + begin, end - begin,
                object.data() + begin);
  });
}

void weigh_by_object(const Device& device, TensorView<const complex64> object, const RpieBatch& batch,
                     TensorView<const complex64> differences, TensorView<complex64> out) {
  const int64_t modes = differences.extent(1), side = differences.extent(2), width = object.extent(1);
  device.parallel_for(differences.extent(0), 8192 / (side * side) + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = begin; n < end; ++n) {
      const Window w = window_of("weigh_by_object", batch, n, object.shape(), side);
      const int64_t frame = n * modes * side * side;
      for (int64_t r = 0; r < modes * side; ++r)
        multiply_conjugate(object.data() + (w.y + r % side) * width + w.x, differences.data() + frame + r * side, side,
                           out.data() + frame + r * side);
    }
  });
}

void add_scaled(const Device& device, TensorView<const complex64> in, float factor, TensorView<complex64> sum) {
  device.parallel_for(2 * in.elements(), 16384, [&](int64_t begin, int64_t end, int) {
    const float* term = floats(in.data());
    float* out = floats(sum.data());
    for (int64_t i = begin; i < end; ++i) out[i] += factor * term[i];
  });
}

float peak_power(const Device&, TensorView<const complex64> probe) {
  const int64_t pixels = probe.extent(1) * probe.extent(2);
  float peak = 0;
  for (int64_t at = 0; at < pixels; at += run_px) {
    const int64_t count = std::min(run_px, pixels - at);
    Run power;
    sum_power(probe.data() + at, probe.extent(0), pixels, count, power.data());
    peak = std::max(peak, *std::max_element(power.begin(), power.begin() + count));
  }
  return peak;
}

float peak_window_power(const Device& device, TensorView<const complex64> object, const RpieBatch& batch,
                        int64_t side_px) {
  std::vector<Window> windows;
  for (int64_t n = 0; n < batch.count(); ++n)
    windows.push_back(window_of("peak_window_power", batch, n, object.shape(), side_px));
  const int64_t width = object.extent(1);
  std::vector<float> peaks(static_cast<size_t>(device.threads()), 0.0F);
  device.parallel_for(side_px, 4096 / side_px + 1, [&](int64_t begin, int64_t end, int thread) {
    std::vector<float> power(static_cast<size_t>(side_px));
    for (int64_t y = begin; y < end; ++y) {
      std::fill(power.begin(), power.end(), 0.0F);
      for (const Window& w : windows) {
        const float* o = floats(object.data() + (w.y + y) * width + w.x);
        for (int64_t i = 0; i < side_px; ++i) power[i] += o[2 * i] * o[2 * i] + o[2 * i + 1] * o[2 * i + 1];
      }
      float& peak = peaks[static_cast<size_t>(thread)];
      peak = std::max(peak, *std::max_element(power.begin(), power.end()));
    }
  });
  return *std::max_element(peaks.begin(), peaks.end());
}

}  // namespace ptyfuse::ops::cpu
