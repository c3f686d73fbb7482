#include "kernels/ops/split_fft2_cpu.h"

#include <cmath>
#include <numbers>

namespace ptyfuse::ops::cpu {
namespace {

// Eight numbers in one register; loads and stores need no alignment.
using Lanes = float __attribute__((vector_size(32), aligned(4)));
constexpr int64_t lanes = sizeof(Lanes) / sizeof(float);
constexpr int64_t largest_side = 512;

Lanes load(const float* p) {
  return *reinterpret_cast<const Lanes*>(p);
}
void store(float* p, const Lanes& v) {
  *reinterpret_cast<Lanes*>(p) = v;
}

struct Complex {
  Lanes re, im;
};
inline Complex operator+(const Complex& a, const Complex& b) {
  return {a.re + b.re, a.im + b.im};
}
inline Complex operator-(const Complex& a, const Complex& b) {
  return {a.re - b.re, a.im - b.im};
}
inline Complex minus_i(const Complex& a) {
  return {a.im, -a.re};
}

// Discrete Fourier transforms of 2, 4 and 8 numbers, in place.
inline void butterfly(Complex (&x)[2]) {
  const Complex a = x[0];
  x[0] = a + x[1];
  x[1] = a - x[1];
}
inline void butterfly(Complex (&x)[4]) {
  const Complex a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = minus_i(x[1] - x[3]);
  x[0] = a + c;
  x[1] = b + d;
  x[2] = a - c;
  x[3] = b - d;
}
inline void butterfly(Complex (&x)[8]) {
  constexpr float root_half = std::numbers::sqrt2_v<float> / 2;
  Complex even[4] = {x[0], x[2], x[4], x[6]}, odd[4] = {x[1], x[3], x[5], x[7]};
  butterfly(even);
  butterfly(odd);
  const Complex t1 = {root_half * (odd[1].re + odd[1].im), root_half * (odd[1].im - odd[1].re)};
  const Complex t2 = minus_i(odd[2]);
  const Complex t3 = {root_half * (odd[3].im - odd[3].re), -root_half * (odd[3].re + odd[3].im)};
  x[0] = even[0] + odd[0];
  x[4] = even[0] - odd[0];
  x[1] = even[1] + t1;
  x[5] = even[1] - t1;
  x[2] = even[2] + t2;
  x[6] = even[2] - t2;
  x[3] = even[3] + t3;
  x[7] = even[3] - t3;
}

// Where the numbers of eight transforms lie: number i of all eight is the vector at i*step.
struct Source {
  const float* re;
  const float* im;
  int64_t step;
};
struct Target {
  float* re;
  float* im;
  int64_t step;
};

// One pass of Stockham's transform of length n = radix*m with `stride` transforms interleaved: sorts as it goes.
// twiddles: (radix-1) pairs for each p in [0, m); pass 0 of each is 1.
template <int radix>
void pass(const Source& in, const Target& out, int64_t m, int64_t stride, const float* twiddles) {
  for (int64_t p = 0; p < m; ++p) {
    const float* w = twiddles + 2 * (radix - 1) * p;
    for (int64_t q = 0; q < stride; ++q) {
      Complex x[radix];
      for (int64_t k = 0; k < radix; ++k) {
        const int64_t at = (q + stride * (p + k * m)) * in.step;
        x[k] = {load(in.re + at), load(in.im + at)};
      }
      butterfly(x);
      const int64_t first = q + stride * radix * p;
      store(out.re + first * out.step, x[0].re);
      store(out.im + first * out.step, x[0].im);
      for (int64_t j = 1; j < radix; ++j) {
        const int64_t at = (first + stride * j) * out.step;
        if (p == 0) {
          store(out.re + at, x[j].re);
          store(out.im + at, x[j].im);
        } else {
          const float c = w[2 * j - 2], s = w[2 * j - 1];
          store(out.re + at, x[j].re * c - x[j].im * s);
          store(out.im + at, x[j].re * s + x[j].im * c);
        }
      }
    }
  }
}

// Eight transforms at once. `a` and `b` are work space for them; in and out may be the same memory, or a.
void transform(const std::vector<int>& radices, const float* twiddles, int64_t side, Source in, const Target& out,
               float* a, float* b) {
  int64_t n = side, stride = 1;
  for (size_t i = 0; i < radices.size(); ++i) {
    const int64_t radix = radices[i], m = n / radix;
    float* const work = i % 2 == 0 ? b : a;
    const Target to = i + 1 == radices.size() ? out : Target{work, work + side * lanes, lanes};
    switch (radix) {
      case 2:
        pass<2>(in, to, m, stride, twiddles);
        break;
      case 4:
        pass<4>(in, to, m, stride, twiddles);
        break;
      default:
        pass<8>(in, to, m, stride, twiddles);
    }
    in = {to.re, to.im, to.step};
    twiddles += 2 * (radix - 1) * m;
    stride *= radix;
    n = m;
  }
}

// out[j*out_step + i] = in[i*in_step + j] for an 8 x 8 block.
inline void transpose(const float* in, int64_t in_step, float* out, int64_t out_step) {
  Lanes r[8], s[8];
  for (int i = 0; i < 8; ++i) r[i] = load(in + i * in_step);
  for (int i = 0; i < 8; i += 2) {
    s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      r[i + j] = __builtin_shufflevector(s[i + j], s[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      r[i + j + 2] = __builtin_shufflevector(s[i + j], s[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int j = 0; j < 4; ++j) {
    store(out + j * out_step, __builtin_shufflevector(r[j], r[j + 4], 0, 1, 2, 3, 8, 9, 10, 11));
    store(out + (j + 4) * out_step, __builtin_shufflevector(r[j], r[j + 4], 4, 5, 6, 7, 12, 13, 14, 15));
  }
}

void transform_planes(const std::vector<int>& radices, const float* twiddles, int64_t side, int64_t pitch, float* re,
                      float* im) {
  alignas(64) float a[2 * largest_side * lanes], b[2 * largest_side * lanes];
  const int64_t im_work = side * lanes;
  // Along x: eight rows are turned so that each register holds one column of them.
  for (int64_t y = 0; y < side; y += lanes) {
    for (int64_t x = 0; x < side; x += lanes) {
      transpose(re + y * pitch + x, pitch, a + x * lanes, lanes);
      transpose(im + y * pitch + x, pitch, a + im_work + x * lanes, lanes);
    }
    transform(radices, twiddles, side, {a, a + im_work, lanes}, {a, a + im_work, lanes}, a, b);
    for (int64_t x = 0; x < side; x += lanes) {
      transpose(a + x * lanes, lanes, re + y * pitch + x, pitch);
      transpose(a + im_work + x * lanes, lanes, im + y * pitch + x, pitch);
    }
  }
  // Along y: eight columns lie in registers as they are.
  for (int64_t x = 0; x < side; x += lanes)
    transform(radices, twiddles, side, {re + x, im + x, pitch}, {re + x, im + x, pitch}, a, b);
}

}  // namespace

bool SplitFft2::has_own(int64_t side) {
  return side >= 16 && side <= largest_side && (side & (side - 1)) == 0;
}

SplitFft2::SplitFft2(int64_t side, int64_t pitch, int64_t plane) : side_(side), pitch_(pitch), plane_(plane) {
  if (!has_own(side)) {
    const FftwPlan::Layout planes{.step = 1, .row = pitch, .imaginary = plane};
    fftw_forward_ = std::make_unique<FftwPlan>(side, side, FftDirection::forward, planes);
    fftw_inverse_ = std::make_unique<FftwPlan>(side, side, FftDirection::inverse, planes);
    return;
  }
  // Each last pass writes where the first one reads, so there are at least two.
  for (int64_t n = side; n > 1;) {
    const int radix = n == 16 || n == 4 ? 4 : n >= 8 ? 8 : 2;
    const int64_t m = n / radix;
    for (int64_t p = 0; p < m; ++p)
      for (int64_t j = 1; j < radix; ++j) {
        const double angle_rad = -2 * std::numbers::pi * static_cast<double>(j * p) / static_cast<double>(n);
        twiddles_.push_back(static_cast<float>(std::cos(angle_rad)));
        twiddles_.push_back(static_cast<float>(std::sin(angle_rad)));
      }
    radices_.push_back(radix);
    n = m;
  }
}

void SplitFft2::forward(float* re) const {
  if (radices_.empty()) return fftw_forward_->run(re);
  transform_planes(radices_, twiddles_.data(), side_, pitch_, re, re + plane_);
}

void SplitFft2::inverse(float* re) const {
  if (radices_.empty()) return fftw_inverse_->run(re);
  // The inverse is the forward transform with real and imaginary parts exchanged.
  transform_planes(radices_, twiddles_.data(), side_, pitch_, re + plane_, re);
}

}  // namespace ptyfuse::ops::cpu
