#include "kernels/ops/physics_cpu.h"

#include <algorithm>
#include <cmath>

#include "kernels/ops/complex_patch_cpu.h"
#include "kernels/ops/merge.h"
#include "kernels/ops/physics_rows_cpu.h"
#include "kernels/ops/two_tap_cpu.h"

namespace ptyfuse::ops::cpu {
namespace {

constexpr int64_t aligned_floats(int64_t floats) {
  return (floats + 15) / 16 * 16;
}

}  // namespace

// What all groups of one call share.
struct Physics::Call {
  const PhysicsInputs& inputs;
  TensorView<float> grad_amplitude, grad_phase;
  bool merged = false;  // the region is a weighted mean of the members' patches, not one padded patch
  LossScales scales;
};

// The scratch of one thread, and the way of one group through it.
class Physics::Worker {
 public:
  static int64_t floats(const PhysicsSpec& s, int64_t plane, int64_t canvas_plane) {
    return (3 * s.heads + 2 + 2 * s.probe_modes) * plane + 5 * canvas_plane + tap_row(s) + 6 * image_row(s);
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
    data_row_ = take(image_row(spec_));
    intensity_row_ = take(image_row(spec_));
    loss_row_ = {take(image_row(spec_)), take(image_row(spec_)), take(image_row(spec_)), take(image_row(spec_))};
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
    if (call_.merged && !at_origin)
      multiply_row(grad_region_.re, grad_region_.im, inverse_denominator_, canvas_ * canvas_);
    for (int64_t h = 0; h < spec_.heads; ++h) {
      if (at_origin)
        multiply_row(patch_.re, patch_.im, physics_.gain_.data(), pixels_);
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
        load_row(&phase(b, h, y, int64_t{0}), phase.stride(3), data_row_, side_);
        sine_cosine_row(data_row_, sine_ + at, cosine_ + at, side_);
      }
  }

  void patch_by_gain() { polar_row(physics_.gain_.data(), amplitude_, cosine_, sine_, patch_.re, patch_.im, pixels_); }

  void make_region(int64_t b) {
    clear(region_, canvas_ * canvas_);
    if (!call_.merged) {
      for (int64_t y = 0; y < side_; ++y) {
        const int64_t from = y * side_, to = (y + pad_) * canvas_ + pad_;
        polar_row(nullptr, amplitude_ + from, cosine_ + from, sine_ + from, region_.re + to, region_.im + to, side_);
      }
      return;
    }
    std::fill_n(inverse_denominator_, canvas_ * canvas_, merge_epsilon);
    const float* weight = call_.inputs.weight.data();
    for (int64_t c = 0; c < spec_.members; ++c) {
      const int64_t at = c * plane_;
      polar_row(spec_.unmasked_numerator ? nullptr : weight, amplitude_ + at, cosine_ + at, sine_ + at, patch_.re,
                patch_.im, pixels_);
      const BilinearAxis y = merge_axis(offset_px(b, c)[0]), x = merge_axis(offset_px(b, c)[1]);
      add_moved(patch_, side_, y, x, region_, canvas_);
      add_translated<1>(weight, side_, y, x, inverse_denominator_, canvas_, tap_row_);
    }
    for (int64_t i = 0; i < canvas_ * canvas_; ++i) inverse_denominator_[i] = 1.0F / inverse_denominator_[i];
    multiply_row(region_.re, region_.im, inverse_denominator_, canvas_ * canvas_);
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
    if (!spec_.unmasked_numerator) multiply_row(patch_.re, patch_.im, call_.inputs.weight.data(), pixels_);
  }

  Planes mode(int64_t k) const { return {field_ + 2 * k * plane_, field_ + (2 * k + 1) * plane_}; }

  void diffract() {
    for (int64_t k = 0; k < spec_.probe_modes; ++k) {
      const Planes psi = mode(k);
      const float* probe_re = physics_.probe_.data() + 2 * k * plane_;
      const float* probe_im = probe_re + plane_;
      illuminate_row(probe_re, probe_im, patch_.re, patch_.im, psi.re, psi.im, pixels_);
      physics_.fft_.forward(psi.re);
    }
  }

  void return_to_patch() {
    for (int64_t k = 0; k < spec_.probe_modes; ++k) {
      const Planes g = mode(k);
      physics_.fft_.inverse(g.re);
      const float* probe_re = physics_.probe_.data() + 2 * k * plane_;
      const float* probe_im = probe_re + plane_;
      const auto add = k == 0 ? illuminate_adjoint_row<false> : illuminate_adjoint_row<true>;
      add(probe_re, probe_im, g.re, g.im, patch_.re, patch_.im, pixels_);
    }
  }

  // Adds the pattern's losses to the sums and turns the far field into the loss's gradient with respect to the unscaled
  // transform. Rows and columns of the transform start at the zero frequency, those of the data at the lowest one.
  void compare(int64_t b, int64_t c, GroupSums& sums) {
    const TensorView<const float>& measured = call_.inputs.measured;
    const int64_t half = side_ / 2, step = measured.stride(3);
    double nll = 0, mae = 0, slope = 0;
    for (int64_t y = 0; y < side_; ++y) {
      const float* row = &measured(b, c, (y + half) % side_, int64_t{0});
      load_row(row + half * step, step, data_row_, side_ - half);
      load_row(row, step, data_row_ + side_ - half, half);
      for (int64_t k = 0; k < spec_.probe_modes; ++k) {
        const auto add = k == 0 ? intensity_row<false> : intensity_row<true>;
        add(mode(k).re + y * side_, mode(k).im + y * side_, intensity_row_, side_);
      }
      loss_row(call_.scales, intensity_row_, data_row_, physics_.mask_.data() + y * side_, loss_row_, side_);
      nll += sum_row(loss_row_.nll, side_);
      mae += sum_row(loss_row_.mae, side_);
      slope += sum_row(loss_row_.log_slope, side_);
      if (!call_.grad_amplitude) continue;
      for (int64_t k = 0; k < spec_.probe_modes; ++k)
        multiply_row(mode(k).re + y * side_, mode(k).im + y * side_, loss_row_.field_factor, side_);
    }
    sums.nll += nll;
    sums.mae += mae;
    sums.slope += slope;
  }

  void store_gradients(int64_t b, int64_t h) {
    const TensorView<float>&amplitude = call_.grad_amplitude, &phase = call_.grad_phase;
    for (int64_t y = 0; y < side_; ++y) {
      const int64_t in_patch = y * side_, at = h * plane_ + in_patch;
      polar_gradient_row(amplitude_ + at, cosine_ + at, sine_ + at, patch_.re + in_patch, patch_.im + in_patch,
                         data_row_, intensity_row_, side_);
      store_row(data_row_, &amplitude(b, h, y, int64_t{0}), amplitude.stride(3), side_);
      store_row(intensity_row_, &phase(b, h, y, int64_t{0}), phase.stride(3), side_);
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
  float *tap_row_, *data_row_, *intensity_row_;
  LossRow loss_row_;
};

Physics::Physics(const Device& device, const PhysicsSpec& spec)
    : device_(device),
      spec_(spec),
      plane_(aligned_floats(spec.side * spec.side)),
      canvas_plane_(aligned_floats(spec.canvas * spec.canvas)),
      fft_(spec.side, plane_),
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
                  {static_cast<float>(scale), inputs.measured_scale, static_cast<float>(inputs.nll_weight * per_pixel),
                   static_cast<float>(inputs.mae_weight * per_pixel)}};
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
