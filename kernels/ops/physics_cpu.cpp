#include "kernels/ops/physics_cpu.h"

#include <algorithm>
#include <cmath>

#include "kernels/ops/complex_patch_cpu.h"
#include "kernels/ops/merge.h"
#include "kernels/ops/two_tap_cpu.h"

namespace ptyfuse::ops::cpu {
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
  static int64_t floats(const PhysicsSpec& s, const PlaneShape& patch, const PlaneShape& canvas) {
    return (3 * s.heads + 2 + 2 * s.probe_modes) * patch.stride() + 5 * canvas.stride() + canvas.pitch +
           6 * patch.pitch + 2 * PlaneShape::lead;
  }

  // `scratch` holds zeros between the rows of its planes, from the start or from the worker before.
  Worker(const Physics& physics, const Call& call, float* scratch)
      : physics_(physics),
        spec_(physics.spec_),
        call_(call),
        patch_shape_(physics.patch_),
        canvas_shape_(physics.canvas_),
        side_(spec_.side),
        pad_((spec_.canvas - spec_.side) / 2) {
    float* next = scratch + PlaneShape::lead;
    const auto take = [&next](int64_t n) {
      float* const taken = next;
      next += n;
      return taken;
    };
    const int64_t plane = patch_shape_.stride(), canvas = canvas_shape_.stride();
    amplitude_ = take(spec_.heads * plane);
    cosine_ = take(spec_.heads * plane);
    sine_ = take(spec_.heads * plane);
    patch_.re = take(plane);
    patch_.im = take(plane);
    field_ = take(2 * spec_.probe_modes * plane);
    region_.re = take(canvas);
    region_.im = take(canvas);
    grad_region_.re = take(canvas);
    grad_region_.im = take(canvas);
    inverse_denominator_ = take(canvas);
    zero_row_ = take(canvas_shape_.pitch + PlaneShape::lead);
    data_row_ = take(patch_shape_.pitch);
    intensity_row_ = take(patch_shape_.pitch);
    loss_row_ = {take(patch_shape_.pitch), take(patch_shape_.pitch), take(patch_shape_.pitch),
                 take(patch_shape_.pitch)};
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
    if (backward && !at_origin) clear(grad_region_, canvas_shape_);
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
      multiply_row(grad_region_.re, grad_region_.im, inverse_denominator_, canvas_shape_.floats());
    for (int64_t h = 0; h < spec_.heads; ++h) {
      if (at_origin)
        multiply_row(patch_.re, patch_.im, physics_.plane(physics_.gain_), patch_shape_.floats());
      else
        patch_gradient(b, h);
      const int64_t at = h * patch_shape_.stride();
      polar_gradient_row(amplitude_ + at, cosine_ + at, sine_ + at, patch_.re, patch_.im, patch_shape_.floats());
    }
    store(amplitude_, call_.grad_amplitude, b);
    store(cosine_, call_.grad_phase, b);
    return sums;
  }

 private:
  static void clear(const Planes& planes, const PlaneShape& shape) {
    std::fill_n(planes.re, shape.floats(), 0.0F);
    std::fill_n(planes.im, shape.floats(), 0.0F);
  }
  void add_to_canvas(const BilinearAxis& y, const BilinearAxis& x, const Planes& canvas) const {
    translate_plane<true>(patch_.re, patch_shape_, y, x, canvas.re, canvas_shape_, zero_row_);
    translate_plane<true>(patch_.im, patch_shape_, y, x, canvas.im, canvas_shape_, zero_row_);
  }
  void take_from_canvas(const Planes& canvas, const BilinearAxis& y, const BilinearAxis& x) const {
    translate_plane<false>(canvas.re, canvas_shape_, y, x, patch_.re, patch_shape_, zero_row_);
    translate_plane<false>(canvas.im, canvas_shape_, y, x, patch_.im, patch_shape_, zero_row_);
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

  // All heads of a group between memory in any strides and planes.
  void load(const TensorView<const float>& in, int64_t b, float* planes) const {
    const bool channel_last = spec_.heads == 4 && in.stride(1) == 1 && in.stride(3) == 4;
    for (int64_t y = 0; y < side_; ++y) {
      float* const row = planes + y * patch_shape_.pitch;
      if (channel_last)
        load_four_rows(&in(b, int64_t{0}, y, int64_t{0}), row, patch_shape_.stride(), side_);
      else
        for (int64_t h = 0; h < spec_.heads; ++h)
          load_row(&in(b, h, y, int64_t{0}), in.stride(3), row + h * patch_shape_.stride(), side_);
    }
  }
  void store(const float* planes, const TensorView<float>& out, int64_t b) const {
    const bool channel_last = spec_.heads == 4 && out.stride(1) == 1 && out.stride(3) == 4;
    for (int64_t y = 0; y < side_; ++y) {
      const float* const row = planes + y * patch_shape_.pitch;
      if (channel_last)
        store_four_rows(row, patch_shape_.stride(), &out(b, int64_t{0}, y, int64_t{0}), side_);
      else
        for (int64_t h = 0; h < spec_.heads; ++h)
          store_row(row + h * patch_shape_.stride(), &out(b, h, y, int64_t{0}), out.stride(3), side_);
    }
  }

  void load_patches(int64_t b) {
    load(call_.inputs.amplitude, b, amplitude_);
    load(call_.inputs.phase, b, cosine_);
    for (int64_t h = 0; h < spec_.heads; ++h)
      for (int64_t y = 0; y < side_; ++y) {
        const int64_t at = h * patch_shape_.stride() + y * patch_shape_.pitch;
        std::copy_n(cosine_ + at, side_, data_row_);
        sine_cosine_row(data_row_, sine_ + at, cosine_ + at, side_);
      }
  }

  void patch_by_gain() {
    polar_row(physics_.plane(physics_.gain_), amplitude_, cosine_, sine_, patch_.re, patch_.im, patch_shape_.floats());
  }

  void make_region(int64_t b) {
    clear(region_, canvas_shape_);
    if (!call_.merged) {
      for (int64_t y = 0; y < side_; ++y) {
        const int64_t from = y * patch_shape_.pitch, to = (y + pad_) * canvas_shape_.pitch + pad_;
        polar_row(nullptr, amplitude_ + from, cosine_ + from, sine_ + from, region_.re + to, region_.im + to, side_);
      }
      return;
    }
    std::fill_n(inverse_denominator_, canvas_shape_.floats(), merge_epsilon);
    const float* weight = physics_.plane(physics_.weight_);
    for (int64_t c = 0; c < spec_.members; ++c) {
      const int64_t at = c * patch_shape_.stride();
      polar_row(spec_.unmasked_numerator ? nullptr : weight, amplitude_ + at, cosine_ + at, sine_ + at, patch_.re,
                patch_.im, patch_shape_.floats());
      const BilinearAxis y = merge_axis(offset_px(b, c)[0]), x = merge_axis(offset_px(b, c)[1]);
      add_to_canvas(y, x, region_);
      translate_plane<true>(weight, patch_shape_, y, x, inverse_denominator_, canvas_shape_, zero_row_);
    }
    for (int64_t i = 0; i < canvas_shape_.floats(); ++i) inverse_denominator_[i] = 1.0F / inverse_denominator_[i];
    multiply_row(region_.re, region_.im, inverse_denominator_, canvas_shape_.floats());
  }

  void extract(int64_t b, int64_t c) {
    take_from_canvas(region_, extract_axis(offset_px(b, c)[0]), extract_axis(offset_px(b, c)[1]));
  }

  void add_to_grad_region(int64_t b, int64_t c) {
    add_to_canvas(transposed(extract_axis(offset_px(b, c)[0])), transposed(extract_axis(offset_px(b, c)[1])),
                  grad_region_);
  }

  void patch_gradient(int64_t b, int64_t h) {
    if (!call_.merged) {
      for (int64_t y = 0; y < side_; ++y) {
        const int64_t from = (y + pad_) * canvas_shape_.pitch + pad_, to = y * patch_shape_.pitch;
        std::copy_n(grad_region_.re + from, side_, patch_.re + to);
        std::copy_n(grad_region_.im + from, side_, patch_.im + to);
      }
      return;
    }
    take_from_canvas(grad_region_, transposed(merge_axis(offset_px(b, h)[0])),
                     transposed(merge_axis(offset_px(b, h)[1])));
    if (!spec_.unmasked_numerator)
      multiply_row(patch_.re, patch_.im, physics_.plane(physics_.weight_), patch_shape_.floats());
  }

  Planes mode(int64_t k) const {
    return {field_ + 2 * k * patch_shape_.stride(), field_ + (2 * k + 1) * patch_shape_.stride()};
  }

  void diffract() {
    for (int64_t k = 0; k < spec_.probe_modes; ++k) {
      const Planes psi = mode(k);
      const float* probe_re = physics_.plane(physics_.probe_) + 2 * k * patch_shape_.stride();
      const float* probe_im = probe_re + patch_shape_.stride();
      illuminate_row(probe_re, probe_im, patch_.re, patch_.im, psi.re, psi.im, patch_shape_.floats());
      physics_.fft_.forward(psi.re);
    }
  }

  void return_to_patch() {
    for (int64_t k = 0; k < spec_.probe_modes; ++k) {
      const Planes g = mode(k);
      physics_.fft_.inverse(g.re);
      const float* probe_re = physics_.plane(physics_.probe_) + 2 * k * patch_shape_.stride();
      const float* probe_im = probe_re + patch_shape_.stride();
      const auto add = k == 0 ? illuminate_adjoint_row<false> : illuminate_adjoint_row<true>;
      add(probe_re, probe_im, g.re, g.im, patch_.re, patch_.im, patch_shape_.floats());
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
        add(mode(k).re + y * patch_shape_.pitch, mode(k).im + y * patch_shape_.pitch, intensity_row_, side_);
      }
      loss_row(call_.scales, intensity_row_, data_row_, physics_.mask_.data() + y * side_, loss_row_, side_);
      nll += sum_row(loss_row_.nll, side_);
      mae += sum_row(loss_row_.mae, side_);
      slope += sum_row(loss_row_.log_slope, side_);
      if (!call_.grad_amplitude) continue;
      for (int64_t k = 0; k < spec_.probe_modes; ++k)
        multiply_row(mode(k).re + y * patch_shape_.pitch, mode(k).im + y * patch_shape_.pitch, loss_row_.field_factor,
                     side_);
    }
    sums.nll += nll;
    sums.mae += mae;
    sums.slope += slope;
  }

  const Physics& physics_;
  const PhysicsSpec& spec_;
  const Call& call_;
  const PlaneShape& patch_shape_;
  const PlaneShape& canvas_shape_;
  const int64_t side_, pad_;
  float *amplitude_, *cosine_, *sine_;  // [heads, plane] of the network's patches; the first two end as gradients
  Planes patch_;                        // of the member at work, then its gradient
  float* field_;                        // [modes, 2, plane]: exit wave, far field, and the way back
  Planes region_, grad_region_;
  float* inverse_denominator_;
  float *zero_row_, *data_row_, *intensity_row_;
  LossRow loss_row_;
};

Physics::Physics(const Device& device, const PhysicsSpec& spec)
    : device_(device),
      spec_(spec),
      patch_(spec.side),
      canvas_(spec.canvas),
      fft_(spec.side, patch_.pitch, patch_.stride()),
      scratch_(device, {device.threads(), (Worker::floats(spec, patch_, canvas_) + 15) / 16 * 16}, "physics scratch"),
      probe_(device, {2 * spec.probe_modes + 1, patch_.stride()}, "physics probe"),
      weight_(device, {2, patch_.stride()}, "physics weight"),
      gain_(device, {2, patch_.stride()}, "physics gain"),
      mask_(device, {spec.side, spec.side}, "physics mask"),
      sums_(static_cast<size_t>(spec.batch)) {
  for (Tensor<float>* planes : {&scratch_, &probe_, &weight_, &gain_})
    std::fill_n(planes->data(), planes->elements(), 0.0F);
}

void Physics::prepare(const PhysicsInputs& inputs) {
  const int64_t side = spec_.side, half = side / 2;
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) {
      const int64_t from = y * side + x, to = PlaneShape::lead + y * patch_.pitch + x;
      for (int64_t k = 0; k < spec_.probe_modes; ++k) {
        const complex64 p = inputs.probe.data()[k * side * side + from];
        probe_.data()[2 * k * patch_.stride() + to] = p.real();
        probe_.data()[(2 * k + 1) * patch_.stride() + to] = p.imag();
      }
      const float weight = inputs.weight ? inputs.weight.data()[from] : 1.0F;
      weight_.data()[to] = weight;
      gain_.data()[to] = inputs.weight ? (spec_.unmasked_numerator ? 1.0F : weight) / (weight + merge_epsilon) : 1.0F;
      mask_.data()[from] = inputs.mask ? inputs.mask.data()[(y + half) % side * side + (x + half) % side] : 1.0F;
    }
}

PhysicsResult Physics::run(const PhysicsInputs& inputs, TensorView<float> grad_amplitude,
                           TensorView<float> grad_phase) {
  const int64_t batch = inputs.amplitude.extent(0);
  prepare(inputs);
  double used = 0;
  for (int64_t i = 0; i < spec_.side * spec_.side; ++i) used += mask_.data()[i] != 0.0F ? 1 : 0;
  used *= static_cast<double>(batch * spec_.members);
  const float log_scale = inputs.log_scale_in_memory ? *inputs.log_scale_in_memory.data() : inputs.log_scale;
  const double scale = std::exp(2.0 * static_cast<double>(log_scale)) / static_cast<double>(spec_.side * spec_.side);
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
