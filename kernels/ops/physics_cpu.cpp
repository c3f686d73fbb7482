#include "kernels/ops/physics_cpu.h"

#include <algorithm>
#include <cmath>

#include "kernels/ops/complex_patch_cpu.h"
#include "kernels/ops/likelihood_cpu.h"
#include "kernels/ops/merge.h"
#include "kernels/ops/two_tap_cpu.h"

namespace ptyfuse::ops::cpu {
namespace {

// A complex image is a plane of real and a plane of imaginary parts: every loop runs along rows of floats.
struct Planes {
  float* re = nullptr;
  float* im = nullptr;
};

constexpr int64_t aligned_floats(int64_t floats) {
  return (floats + 15) / 16 * 16;
}

// A row of n floats `step` apart, from and to a row without gaps.
void load_row(const float* in, int64_t step, float* out, int64_t n) {
  if (step == 1) {
    std::copy_n(in, n, out);
    return;
  }
  for (int64_t i = 0; i < n; ++i) out[i] = in[i * step];
}
void store_row(const float* in, float* out, int64_t step, int64_t n) {
  if (step == 1) {
    std::copy_n(in, n, out);
    return;
  }
  for (int64_t i = 0; i < n; ++i) out[i * step] = in[i];
}

}  // namespace

// What all groups of one call share.
struct Physics::Call {
  const PhysicsInputs& inputs;
  TensorView<float> grad_amplitude, grad_phase;
  bool merged = false;                 // the region is a weighted mean of the members' patches, not one padded patch
  float intensity_scale = 1;           // expected counts per |unscaled Fourier transform|^2
  float nll_slope = 0, mae_slope = 0;  // of the loss, per used pixel
};

// The scratch of one thread, and the way of one group through it.
class Physics::Worker {
 public:
  static int64_t floats(const PhysicsSpec& s, int64_t plane, int64_t canvas_plane) {
    return (3 * s.heads + 2 + 2 * s.probe_modes) * plane + 5 * canvas_plane + tap_row(s) + 3 * image_row(s);
  }

  Worker(const Physics& physics, const Call& call, float* scratch)
      : physics_(physics),
        spec_(physics.spec_),
        call_(call),
        side_(spec_.side),
        canvas_(spec_.canvas),
        pad_((canvas_ - side_) / 2),
        pixels_(side_ * side_),
        plane_(physics.plane_) {
    const auto take = [&scratch](int64_t n) {
      float* const taken = scratch;
      scratch += n;
      return taken;
    };
    amplitude_ = take(spec_.heads * plane_);
    cosine_ = take(spec_.heads * plane_);
    sine_ = take(spec_.heads * plane_);
    patch_.re = take(plane_);
    patch_.im = take(plane_);
    field_ = take(2 * spec_.probe_modes * plane_);
    region_.re = take(physics.canvas_plane_);
    region_.im = take(physics.canvas_plane_);
    grad_region_.re = take(physics.canvas_plane_);
    grad_region_.im = take(physics.canvas_plane_);
    inverse_denominator_ = take(physics.canvas_plane_);
    tap_row_ = take(tap_row(spec_));
    measured_row_ = take(image_row(spec_));
    counts_row_ = take(image_row(spec_));
    slope_row_ = take(image_row(spec_));
  }

  GroupSums group(int64_t b) {
    GroupSums sums;
    const bool backward = static_cast<bool>(call_.grad_amplitude);
    const bool at_origin = alone_at_origin(b);
    load_patches(b);
    if (at_origin)
      patch_by_gain();
    else
      make_region(b);
    if (backward && !at_origin) clear(grad_region_, canvas_ * canvas_);
    for (int64_t c = 0; c < spec_.members; ++c) {
      if (!at_origin) extract(b, c);
      diffract();
      compare(b, c, sums);
      if (!backward) continue;
      return_to_patch();
      if (!at_origin) add_to_grad_region(b, c);
    }
    if (!backward) return sums;
    if (call_.merged && !at_origin) multiply(grad_region_, inverse_denominator_, canvas_ * canvas_);
    for (int64_t h = 0; h < spec_.heads; ++h) {
      if (at_origin)
        multiply(patch_, physics_.gain_.data(), pixels_);
      else
        patch_gradient(b, h);
      store_gradients(b, h);
    }
    return sums;
  }

 private:
  static int64_t tap_row(const PhysicsSpec& s) { return aligned_floats(translated_row_floats(s.canvas, 1)); }
  static int64_t image_row(const PhysicsSpec& s) { return aligned_floats(s.side); }

  static void clear(const Planes& planes, int64_t n) {
    std::fill_n(planes.re, n, 0.0F);
    std::fill_n(planes.im, n, 0.0F);
  }
  static void multiply(const Planes& planes, const float* by, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      planes.re[i] *= by[i];
      planes.im[i] *= by[i];
    }
  }
  void add_moved(const Planes& in, int64_t in_side, const BilinearAxis& y, const BilinearAxis& x, const Planes& out,
                 int64_t out_side) const {
    add_translated<1>(in.re, in_side, y, x, out.re, out_side, tap_row_);
    add_translated<1>(in.im, in_side, y, x, out.im, out_side, tap_row_);
  }

  const float* offset_px(int64_t b, int64_t c) const {
    return call_.inputs.offsets_px.data() + 2 * (b * spec_.members + c);
  }
  // One axis of T_{-o}, from a patch to the canvas round it, and of T_{+o}, from the canvas to the patch in its middle.
  BilinearAxis merge_axis(float px) const { return moved(translation_axis(-static_cast<double>(px)), -pad_); }
  BilinearAxis extract_axis(float px) const { return moved(translation_axis(px), pad_); }

  bool alone_at_origin(int64_t b) const {
    return spec_.members == 1 && offset_px(b, 0)[0] == 0.0F && offset_px(b, 0)[1] == 0.0F;
  }

  void load_patches(int64_t b) {
    const TensorView<const float>&amplitude = call_.inputs.amplitude, &phase = call_.inputs.phase;
    for (int64_t h = 0; h < spec_.heads; ++h)
      for (int64_t y = 0; y < side_; ++y) {
        const int64_t at = h * plane_ + y * side_;
        load_row(&amplitude(b, h, y, int64_t{0}), amplitude.stride(3), amplitude_ + at, side_);
        load_row(&phase(b, h, y, int64_t{0}), phase.stride(3), measured_row_, side_);
        sine_cosine_row(measured_row_, sine_ + at, cosine_ + at, side_);
      }
  }

  void patch_by_gain() {
    const float* gain = physics_.gain_.data();
    for (int64_t i = 0; i < pixels_; ++i) {
      patch_.re[i] = gain[i] * amplitude_[i] * cosine_[i];
      patch_.im[i] = gain[i] * amplitude_[i] * sine_[i];
    }
  }

  void make_region(int64_t b) {
    clear(region_, canvas_ * canvas_);
    if (!call_.merged) {
      for (int64_t y = 0; y < side_; ++y) {
        const int64_t from = y * side_, to = (y + pad_) * canvas_ + pad_;
        for (int64_t x = 0; x < side_; ++x) {
          region_.re[to + x] = amplitude_[from + x] * cosine_[from + x];
          region_.im[to + x] = amplitude_[from + x] * sine_[from + x];
        }
      }
      return;
    }
    std::fill_n(inverse_denominator_, canvas_ * canvas_, merge_epsilon);
    const float* weight = call_.inputs.weight.data();
    for (int64_t c = 0; c < spec_.members; ++c) {
      const float* a = amplitude_ + c * plane_;
      const float* cosine = cosine_ + c * plane_;
      const float* sine = sine_ + c * plane_;
      for (int64_t i = 0; i < pixels_; ++i) {
        const float w = spec_.unmasked_numerator ? a[i] : weight[i] * a[i];
        patch_.re[i] = w * cosine[i];
        patch_.im[i] = w * sine[i];
      }
      const BilinearAxis y = merge_axis(offset_px(b, c)[0]), x = merge_axis(offset_px(b, c)[1]);
      add_moved(patch_, side_, y, x, region_, canvas_);
      add_translated<1>(weight, side_, y, x, inverse_denominator_, canvas_, tap_row_);
    }
    for (int64_t i = 0; i < canvas_ * canvas_; ++i) inverse_denominator_[i] = 1.0F / inverse_denominator_[i];
    multiply(region_, inverse_denominator_, canvas_ * canvas_);
  }

  void extract(int64_t b, int64_t c) {
    clear(patch_, pixels_);
    add_moved(region_, canvas_, extract_axis(offset_px(b, c)[0]), extract_axis(offset_px(b, c)[1]), patch_, side_);
  }

  void add_to_grad_region(int64_t b, int64_t c) {
    add_moved(patch_, side_, transposed(extract_axis(offset_px(b, c)[0])), transposed(extract_axis(offset_px(b, c)[1])),
              grad_region_, canvas_);
  }

  void patch_gradient(int64_t b, int64_t h) {
    if (!call_.merged) {
      for (int64_t y = 0; y < side_; ++y) {
        const int64_t from = (y + pad_) * canvas_ + pad_;
        std::copy_n(grad_region_.re + from, side_, patch_.re + y * side_);
        std::copy_n(grad_region_.im + from, side_, patch_.im + y * side_);
      }
      return;
    }
    clear(patch_, pixels_);
    add_moved(grad_region_, canvas_, transposed(merge_axis(offset_px(b, h)[0])),
              transposed(merge_axis(offset_px(b, h)[1])), patch_, side_);
    if (!spec_.unmasked_numerator) multiply(patch_, call_.inputs.weight.data(), pixels_);
  }

  Planes mode(int64_t k) const { return {field_ + 2 * k * plane_, field_ + (2 * k + 1) * plane_}; }

  void diffract() {
    for (int64_t k = 0; k < spec_.probe_modes; ++k) {
      const Planes psi = mode(k);
      const float* probe_re = physics_.probe_.data() + 2 * k * plane_;
      const float* probe_im = probe_re + plane_;
      for (int64_t i = 0; i < pixels_; ++i) {
        psi.re[i] = probe_re[i] * patch_.re[i] - probe_im[i] * patch_.im[i];
        psi.im[i] = probe_re[i] * patch_.im[i] + probe_im[i] * patch_.re[i];
      }
      physics_.forward_.run(psi.re);
    }
  }

  void return_to_patch() {
    for (int64_t k = 0; k < spec_.probe_modes; ++k) {
      const Planes g = mode(k);
      physics_.inverse_.run(g.re);
      const float* probe_re = physics_.probe_.data() + 2 * k * plane_;
      const float* probe_im = probe_re + plane_;
      if (k == 0) clear(patch_, pixels_);
      for (int64_t i = 0; i < pixels_; ++i) {
        patch_.re[i] += probe_re[i] * g.re[i] + probe_im[i] * g.im[i];
        patch_.im[i] += probe_re[i] * g.im[i] - probe_im[i] * g.re[i];
      }
    }
  }

  // Adds the pattern's losses to the sums and turns the far field into the loss's gradient with respect to the unscaled
  // transform. Rows and columns of the transform start at the zero frequency, those of the data at the lowest one.
  void compare(int64_t b, int64_t c, GroupSums& sums) {
    const TensorView<const float>& measured = call_.inputs.measured;
    const int64_t half = side_ / 2, step = measured.stride(3);
    const float scale = call_.intensity_scale, to_counts = call_.inputs.measured_scale;
    const float nll_slope = call_.nll_slope, mae_slope = call_.mae_slope;
    double nll = 0, mae = 0, slope_sum = 0;
    for (int64_t y = 0; y < side_; ++y) {
      const float* row = &measured(b, c, (y + half) % side_, int64_t{0});
      load_row(row + half * step, step, measured_row_, side_ - half);
      load_row(row, step, measured_row_ + side_ - half, half);
      const float* mask = physics_.mask_.data() + y * side_;
      std::fill_n(counts_row_, side_, 0.0F);
      for (int64_t k = 0; k < spec_.probe_modes; ++k) {
        const float* re = mode(k).re + y * side_;
        const float* im = mode(k).im + y * side_;
        for (int64_t x = 0; x < side_; ++x) counts_row_[x] += re[x] * re[x] + im[x] * im[x];
      }
#pragma omp simd reduction(+ : nll, mae, slope_sum)
      for (int64_t x = 0; x < side_; ++x) {
        const float predicted = scale * counts_row_[x], amplitude = std::fabs(to_counts * measured_row_[x]);
        const PixelLoss poisson = poisson_pixel(predicted, amplitude * amplitude);
        const PixelLoss absolute = amplitude_pixel(predicted, amplitude);
        const float slope = nll_slope * poisson.slope + mae_slope * absolute.slope;
        const bool used = mask[x] != 0.0F;
        nll += static_cast<double>(used ? poisson.value : 0.0F);
        mae += static_cast<double>(used ? absolute.value : 0.0F);
        slope_sum += static_cast<double>(used ? predicted * slope : 0.0F);
        slope_row_[x] = used ? 2.0F * scale * slope : 0.0F;
      }
      if (!call_.grad_amplitude) continue;
      for (int64_t k = 0; k < spec_.probe_modes; ++k) {
        float* re = mode(k).re + y * side_;
        float* im = mode(k).im + y * side_;
        for (int64_t x = 0; x < side_; ++x) {
          re[x] *= slope_row_[x];
          im[x] *= slope_row_[x];
        }
      }
    }
    sums.nll += nll;
    sums.mae += mae;
    sums.slope += slope_sum;
  }

  void store_gradients(int64_t b, int64_t h) {
    const TensorView<float>&amplitude = call_.grad_amplitude, &phase = call_.grad_phase;
    for (int64_t y = 0; y < side_; ++y) {
      const float* re = patch_.re + y * side_;
      const float* im = patch_.im + y * side_;
      const float* a = amplitude_ + h * plane_ + y * side_;
      const float* cosine = cosine_ + h * plane_ + y * side_;
      const float* sine = sine_ + h * plane_ + y * side_;
      for (int64_t x = 0; x < side_; ++x) {
        counts_row_[x] = re[x] * cosine[x] + im[x] * sine[x];
        slope_row_[x] = a[x] * (im[x] * cosine[x] - re[x] * sine[x]);
      }
      store_row(counts_row_, &amplitude(b, h, y, int64_t{0}), amplitude.stride(3), side_);
      store_row(slope_row_, &phase(b, h, y, int64_t{0}), phase.stride(3), side_);
    }
  }

  const Physics& physics_;
  const PhysicsSpec& spec_;
  const Call& call_;
  const int64_t side_, canvas_, pad_, pixels_, plane_;
  float *amplitude_, *cosine_, *sine_;  // [heads, plane] of the network's patches
  Planes patch_;                        // of the member at work, then its gradient
  float* field_;                        // [modes, 2, plane]: exit wave, far field, and the way back
  Planes region_, grad_region_;
  float* inverse_denominator_;
  float *tap_row_, *measured_row_, *counts_row_, *slope_row_;
};

Physics::Physics(const Device& device, const PhysicsSpec& spec)
    : device_(device),
      spec_(spec),
      plane_(aligned_floats(spec.side * spec.side)),
      canvas_plane_(aligned_floats(spec.canvas * spec.canvas)),
      forward_(spec.side, spec.side, FftDirection::forward, {.step = 1, .imaginary = plane_}),
      inverse_(spec.side, spec.side, FftDirection::inverse, {.step = 1, .imaginary = plane_}),
      scratch_(device, {device.threads(), aligned_floats(Worker::floats(spec, plane_, canvas_plane_))},
               "physics scratch"),
      probe_(device, {spec.probe_modes, 2, plane_}, "physics probe"),
      mask_(device, {spec.side, spec.side}, "physics mask"),
      gain_(device, {spec.side, spec.side}, "physics gain"),
      sums_(static_cast<size_t>(spec.batch)) {}

void Physics::prepare(const PhysicsInputs& inputs) {
  const int64_t side = spec_.side, pixels = side * side, half = side / 2;
  for (int64_t k = 0; k < spec_.probe_modes; ++k)
    for (int64_t i = 0; i < pixels; ++i) {
      probe_.data()[2 * k * plane_ + i] = inputs.probe.data()[k * pixels + i].real();
      probe_.data()[(2 * k + 1) * plane_ + i] = inputs.probe.data()[k * pixels + i].imag();
    }
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x)
      mask_.data()[y * side + x] =
          inputs.mask ? inputs.mask.data()[(y + half) % side * side + (x + half) % side] : 1.0F;
  for (int64_t i = 0; i < pixels; ++i) {
    const float weight = inputs.weight ? inputs.weight.data()[i] : 1.0F;
    gain_.data()[i] = inputs.weight ? (spec_.unmasked_numerator ? 1.0F : weight) / (weight + merge_epsilon) : 1.0F;
  }
}

PhysicsResult Physics::run(const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                           TensorView<float> grad_phase) {
  const int64_t batch = inputs.amplitude.extent(0);
  prepare(inputs);
  double used = 0;
  for (int64_t i = 0; i < spec_.side * spec_.side; ++i) used += mask_.data()[i] != 0.0F ? 1 : 0;
  used *= static_cast<double>(batch * spec_.members);
  const double scale =
      std::exp(2.0 * static_cast<double>(inputs.log_scale)) / static_cast<double>(spec_.side * spec_.side);
  const double per_pixel = used == 0 ? 0 : 1 / used;
  const Call call{inputs,
                  grad_amplitude,
                  grad_phase,
                  spec_.heads == spec_.members && inputs.weight,
                  static_cast<float>(scale),
                  static_cast<float>(inputs.nll_weight * per_pixel),
                  static_cast<float>(inputs.mae_weight * per_pixel)};
  device_.parallel_for(batch, 1, [&](int64_t begin, int64_t end, int thread) {
    Worker worker(*this, call, scratch_.data() + thread * scratch_.shape()[1]);
    for (int64_t b = begin; b < end; ++b) sums_[static_cast<size_t>(b)] = worker.group(b);
  });
  GroupSums total;
  for (int64_t b = 0; b < batch; ++b) {
    total.nll += sums_[static_cast<size_t>(b)].nll;
    total.mae += sums_[static_cast<size_t>(b)].mae;
    total.slope += sums_[static_cast<size_t>(b)].slope;
  }
  PhysicsResult result;
  result.nll = total.nll * per_pixel;
  result.mae = total.mae * per_pixel;
  result.loss = inputs.nll_weight * result.nll + inputs.mae_weight * result.mae;
  result.grad_log_scale = 2 * total.slope;
  return result;
}

}  // namespace ptyfuse::ops::cpu
