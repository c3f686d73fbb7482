#include "kernels/ops/head_cpu.h"

#include <algorithm>
#include <numbers>

#include "kernels/ops/vector_math.h"

namespace ptyfuse::ops::cpu {
namespace {

constexpr int64_t block = 256;          // values worked on at once, in L1
constexpr int64_t grain_values = 4096;  // fewer values are not worth another thread
constexpr float pi = std::numbers::pi_v<float>;

void activate(HeadActivation kind, const float* in, float* out, int64_t n) {
  switch (kind) {
    case HeadActivation::sigmoid:
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) out[i] = logistic(in[i]);
      return;
    case HeadActivation::pi_tanh:
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) out[i] = pi * hyperbolic_tangent(in[i]);
      return;
    case HeadActivation::swish:
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) out[i] = in[i] * logistic(in[i]);
      return;
    case HeadActivation::softplus:
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) out[i] = log_one_plus_exponential(in[i]);
      return;
    case HeadActivation::relu:
      for (int64_t i = 0; i < n; ++i) out[i] = in[i] < 0 ? 0 : in[i];
      return;
  }
}

// grad[i] becomes the gradient with respect to in[i].
void activate_backward(HeadActivation kind, const float* in, float* grad, int64_t n) {
  switch (kind) {
    case HeadActivation::sigmoid:
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const float s = logistic(in[i]);
        grad[i] *= s * (1 - s);
      }
      return;
    case HeadActivation::pi_tanh:
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const float t = hyperbolic_tangent(in[i]);
        grad[i] *= pi * (1 - t * t);
      }
      return;
    case HeadActivation::swish:
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const float s = logistic(in[i]);
        grad[i] *= s * (1 + in[i] * (1 - s));
      }
      return;
    case HeadActivation::softplus:
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) grad[i] *= logistic(in[i]);
      return;
    case HeadActivation::relu:
      for (int64_t i = 0; i < n; ++i) grad[i] = in[i] > 0 ? grad[i] : 0;
      return;
  }
}

// Some pixels of a row and some of their channels, at most `block` values, in whatever strides a view has.
struct Run {
  int64_t b, y, x, pixels, c, channels;
  int64_t values() const { return pixels * channels; }
};
template <class T>
bool dense(const TensorView<T>& v, const Run& r) {
  return v.stride(3) == 1 && (r.pixels == 1 || (v.stride(2) == r.channels));
}
void load(const TensorView<const float>& in, const Run& r, float* out) {
  const float* p = &in(r.b, r.y, r.x, r.c);
  if (dense(in, r)) {
    std::copy_n(p, r.values(), out);
    return;
  }
  for (int64_t x = 0; x < r.pixels; ++x)
    for (int64_t c = 0; c < r.channels; ++c) out[x * r.channels + c] = p[x * in.stride(2) + c * in.stride(3)];
}
void store(const TensorView<float>& out, const Run& r, const float* in) {
  float* p = &out(r.b, r.y, r.x, r.c);
  if (dense(out, r)) {
    std::copy_n(in, r.values(), p);
    return;
  }
  for (int64_t x = 0; x < r.pixels; ++x)
    for (int64_t c = 0; c < r.channels; ++c) p[x * out.stride(2) + c * out.stride(3)] = in[x * r.channels + c];
}

// Which rows and columns of [N,N] the central head fills.
struct Square {
  Square(const Shape& centre, const Shape& out) : begin((out[1] - centre[1]) / 2), end(begin + centre[1]) {}
  Run inside(Run r) const {
    r.y -= begin;
    r.x -= begin;
    return r;
  }
  int64_t begin, end;
};

// Calls body(run, in_centre) for the runs of a row: border, centre, border; rows are shared out among the threads.
template <class Body>
void for_each_run(const Device& device, const Shape& out, const Square& square, const Body& body) {
  const int64_t side = out[1], channels = out[3];
  if (out.elements() == 0) return;
  const int64_t most = std::max<int64_t>(1, block / channels);
  const auto runs = [&](int64_t b, int64_t y, int64_t begin, int64_t end, bool in_centre) {
    for (int64_t x = begin; x < end; x += most)
      for (int64_t c = 0; c < channels; c += block)
        body(Run{b, y, x, std::min(most, end - x), c, std::min(block, channels - c)}, in_centre);
  };
  device.parallel_for(out[0] * side, grain_values / (side * channels) + 1, [&](int64_t first, int64_t last, int) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t b = row / side, y = row % side;
      if (y < square.begin || y >= square.end) {
        runs(b, y, 0, side, false);
        continue;
      }
      runs(b, y, 0, square.begin, false);
      runs(b, y, square.begin, square.end, true);
      runs(b, y, square.end, side, false);
    }
  });
}

}  // namespace

void head(const Device& device, const HeadSpec& spec, TensorView<const float> centre, TensorView<const float> border,
          TensorView<float> out) {
  const Square square(centre.shape(), out.shape());
  for_each_run(device, out.shape(), square, [&](const Run& r, bool in_centre) {
    float* to = &out(r.b, r.y, r.x, r.c);
    if (in_centre) {
      load(centre, square.inside(r), to);
      activate(spec.centre, to, to, r.values());
    } else if (border) {
      load(border, r, to);
      activate(spec.border, to, to, r.values());
    } else {
      std::fill_n(to, r.values(), 0.0F);
    }
  });
}

void head_backward(const Device& device, const HeadSpec& spec, TensorView<const float> centre,
                   TensorView<const float> border, TensorView<const float> grad_out, TensorView<float> grad_centre,
                   TensorView<float> grad_border) {
  const Square square(centre.shape(), grad_out.shape());
  for_each_run(device, grad_out.shape(), square, [&](const Run& r, bool in_centre) {
    float in[block], grad[block];
    if (in_centre) {
      load(centre, square.inside(r), in);
      load(grad_out, r, grad);
      activate_backward(spec.centre, in, grad, r.values());
      store(grad_centre, square.inside(r), grad);
      if (!border) return;
      std::fill_n(grad, r.values(), 0.0F);
      store(grad_border, r, grad);
    } else if (border) {
      load(border, r, in);
      load(grad_out, r, grad);
      activate_backward(spec.border, in, grad, r.values());
      store(grad_border, r, grad);
    }
  });
}

}  // namespace ptyfuse::ops::cpu
