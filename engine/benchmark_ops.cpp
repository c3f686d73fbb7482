#include <cmath>

#include "engine/benchmark_case.h"
#include "engine/unet.h"
#include "kernels/ops/absolute_error.h"
#include "kernels/ops/adam.h"
#include "kernels/ops/clip.h"
#include "kernels/ops/complex_patch.h"
#include "kernels/ops/conv3x3.h"
#include "kernels/ops/data_loss.h"
#include "kernels/ops/detector_counts.h"
#include "kernels/ops/extract.h"
#include "kernels/ops/fft2.h"
#include "kernels/ops/head.h"
#include "kernels/ops/illuminate.h"
#include "kernels/ops/max_pool2.h"
#include "kernels/ops/merge.h"
#include "kernels/ops/normalise.h"
#include "kernels/ops/projective.h"
#include "kernels/ops/reassemble.h"
#include "kernels/ops/rpie.h"
#include "kernels/ops/total_variation.h"
#include "kernels/ops/translate.h"
#include "kernels/ops/upsample2.h"

namespace ptyfuse::benchmark {
namespace {

using ops::Cost;
using std::as_const;

constexpr double largest_offset_px = 4;
constexpr float slope = 0.01F;

// Shapes of a step: patterns, their complex fields, merged regions, and images of the network's widest layers.
Shape pattern_shape(const Bench& b) {
  return {b.patterns(), b.config.side_px, b.config.side_px};
}
Shape patch_shape(const Bench& b) {
  return {b.config.batch, b.members(), b.config.side_px, b.config.side_px};
}
int64_t canvas_px(const Bench& b) {
  return b.config.side_px + 2 * (static_cast<int64_t>(largest_offset_px) + 1);
}
Shape region_shape(const Bench& b) {
  return {b.config.batch, canvas_px(b), canvas_px(b)};
}
Shape layer_shape(const Bench& b, int64_t side_px) {
  return {b.config.batch, side_px, side_px, std::max<int64_t>(1, static_cast<int64_t>(64 * b.config.filters_scale))};
}

struct Convolution {
  std::unique_ptr<ops::Conv3x3> op;
  std::shared_ptr<Tensor<float>> in, out, weights, bias, grad_out, grad_in, grad_weights, grad_bias;
};
std::shared_ptr<Convolution> convolution(Bench& b, bool training) {
  auto s = std::make_shared<Convolution>();
  const Shape image = layer_shape(b, b.config.side_px / 2);
  const int64_t channels = image[3];
  const Shape weights{3, 3, channels, channels};
  s->op = std::make_unique<ops::Conv3x3>(b.device,
                                         ops::Conv3x3Spec{.batch = image[0],
                                                          .height = image[1],
                                                          .width = image[2],
                                                          .in_channels = channels,
                                                          .out_channels = channels,
                                                          .activation = ops::ConvActivation::relu,
                                                          .precision = b.network.precision},
                                         training);
  s->in = b.floats(image, 0, 1);
  s->out = b.floats(image, 0, 0);
  s->weights = b.floats(weights, -0.05, 0.05);
  s->bias = b.floats({channels}, -0.1, 0.1);
  s->op->set_weights(b.stream, s->weights->view(), s->bias->view());
  if (!training) return s;
  s->grad_out = b.floats(image, -1, 1);
  s->grad_in = b.floats(image, 0, 0);
  s->grad_weights = b.floats(weights, 0, 0);
  s->grad_bias = b.floats({channels}, 0, 0);
  s->op->forward(b.stream, s->in->view(), s->out->view());
  return s;
}
Prepared conv3x3(Bench& b) {
  auto s = convolution(b, false);
  return {[&b, s] { s->op->forward(b.stream, s->in->view(), s->out->view()); }, b.patterns(),
          ops::Conv3x3::forward_cost(s->op->spec())};
}
Prepared conv3x3_backward(Bench& b) {
  auto s = convolution(b, true);
  const Cost forward = ops::Conv3x3::forward_cost(s->op->spec());
  return {[&b, s] {
            s->op->backward(b.stream, s->in->view(), s->out->view(), s->grad_out->view(), s->grad_in->view(), false,
                            s->grad_weights->view(), s->grad_bias->view());
          },
          b.patterns(),
          {2 * forward.flop, 2 * forward.bytes}};
}

Prepared max_pool2(Bench& b) {
  auto in = b.floats(layer_shape(b, b.config.side_px / 2), -1, 1),
       out = b.floats(layer_shape(b, b.config.side_px / 4), 0, 0);
  return {[&b, in, out] { ops::max_pool2(b.stream, as_const(*in).view(), out->view()); }, b.patterns(),
          ops::max_pool2_cost(in->shape())};
}

Prepared upsample2(Bench& b) {
  auto in = b.floats(layer_shape(b, b.config.side_px / 4), -1, 1),
       out = b.floats(layer_shape(b, b.config.side_px / 2), 0, 0);
  return {[&b, in, out] { ops::upsample2(b.stream, as_const(*in).view(), out->view()); }, b.patterns(),
          ops::upsample2_cost(in->shape())};
}

Prepared head(Bench& b) {
  const int64_t n = b.config.side_px, m = b.members();
  auto centre = b.floats({b.config.batch, n / 2, n / 2, m}, -1, 1), border = b.floats({b.config.batch, n, n, m}, -1, 1),
       out = b.floats({b.config.batch, n, n, m}, 0, 0);
  return {[&b, centre, border, out] {
            ops::head(b.stream, {}, as_const(*centre).view(), as_const(*border).view(), out->view());
          },
          b.patterns(), ops::head_cost(out->shape())};
}

Prepared complex_patch(Bench& b) {
  const Shape shape = patch_shape(b);
  auto amplitude = b.floats(shape, 0.2, 1), phase = b.floats(shape, -1, 1);
  auto out = b.complexes(shape);
  return {[&b, amplitude, phase, out] {
            ops::complex_patch(b.stream, as_const(*amplitude).view(), as_const(*phase).view(), out->view());
          },
          b.patterns(), ops::complex_patch_cost(shape)};
}

Prepared merge(Bench& b) {
  const int64_t n = b.config.side_px;
  auto patches = b.complexes(patch_shape(b)), region = b.complexes(region_shape(b));
  auto offsets = b.floats({b.config.batch, b.members(), 2}, -largest_offset_px, largest_offset_px);
  auto weight = b.floats({n, n}, 0.02, 1);
  return {[&b, patches, region, offsets, weight] {
            ops::MergeArgs args;
            args.offsets_px = as_const(*offsets).view();
            args.weight = as_const(*weight).view();
            ops::merge(b.stream, args, as_const(*patches).view(), region->view());
          },
          b.patterns(), ops::merge_cost(patch_shape(b), canvas_px(b))};
}

Prepared extract(Bench& b) {
  auto patches = b.complexes(patch_shape(b)), region = b.complexes(region_shape(b));
  auto offsets = b.floats({b.config.batch, b.members(), 2}, -largest_offset_px, largest_offset_px);
  return {[&b, patches, region, offsets] {
            ops::extract(b.stream, as_const(*region).view(), as_const(*offsets).view(), patches->view());
          },
          b.patterns(), ops::extract_cost(patch_shape(b), canvas_px(b))};
}

Prepared illuminate(Bench& b) {
  const int64_t n = b.config.side_px;
  auto patches = b.complexes(pattern_shape(b)), waves = b.complexes({b.patterns(), 1, n, n});
  auto probe = b.probe();
  return {[&b, patches, waves, probe] {
            ops::illuminate(b.stream, as_const(*patches).view(), as_const(*probe).view(), waves->view());
          },
          b.patterns(), ops::illuminate_cost(waves->shape())};
}

Prepared fft2(Bench& b) {
  const Shape shape = pattern_shape(b);
  auto in = b.complexes(shape), out = b.complexes(shape);
  auto op = std::make_shared<ops::Fft2>(b.device, shape[1], shape[2]);
  return {[&b, in, out, op] { op->run(b.stream, ops::FftDirection::forward, as_const(*in).view(), out->view()); },
          b.patterns(), ops::Fft2::cost(shape)};
}

Prepared detector_counts(Bench& b) {
  const int64_t n = b.config.side_px;
  auto field = b.complexes({b.patterns(), 1, n, n});
  auto counts = b.floats(pattern_shape(b), 0, 0);
  return {[&b, field, counts] { ops::detector_counts(b.stream, as_const(*field).view(), 1, counts->view()); },
          b.patterns(), ops::detector_counts_cost(field->shape())};
}

template <class Loss>
Prepared data_loss(Bench& b, Loss loss, const Cost& cost) {
  const Shape shape = pattern_shape(b);
  auto predicted = b.floats(shape, 0, 1000), measured = b.floats(shape, 0, 1000), grad = b.floats(shape, 0, 0);
  return {[&b, predicted, measured, grad, loss] {
            loss(b.stream, as_const(*predicted).view(), as_const(*measured).view(), {}, 1.0, grad->view());
          },
          b.patterns(), cost};
}
Prepared poisson_nll(Bench& b) {
  return data_loss(b, ops::poisson_nll, ops::poisson_nll_cost(pattern_shape(b)));
}
Prepared amplitude_mae(Bench& b) {
  return data_loss(b, ops::amplitude_mae, ops::amplitude_mae_cost(pattern_shape(b)));
}

Prepared total_variation(Bench& b) {
  const Shape shape = pattern_shape(b);
  auto fields = b.complexes(shape), grad = b.complexes(shape);
  return {[&b, fields, grad] { ops::total_variation(b.stream, as_const(*fields).view(), slope, grad->view()); },
          b.patterns(), ops::total_variation_cost(shape)};
}

Prepared absolute_error(Bench& b) {
  const Shape shape = pattern_shape(b);
  auto value = b.floats(shape, 0, 1), target = b.floats(shape, 0, 1), grad = b.floats(shape, 0, 0);
  return {[&b, value, target, grad] {
            ops::absolute_error(b.stream, as_const(*value).view(), as_const(*target).view(), grad->view());
          },
          b.patterns(), ops::absolute_error_cost(shape)};
}

Prepared sum_of_squares(Bench& b) {
  auto in = b.floats(pattern_shape(b), 0, 1);
  return {[&b, in] { ops::sum_of_squares(b.stream, as_const(*in).view()); }, b.patterns(),
          ops::sum_of_squares_cost(in->shape())};
}

Prepared scale(Bench& b) {
  auto in = b.floats(pattern_shape(b), 0, 1), out = b.floats(pattern_shape(b), 0, 0);
  return {[&b, in, out] { ops::scale(b.stream, as_const(*in).view(), slope, out->view()); }, b.patterns(),
          ops::scale_cost(in->shape())};
}

Prepared gradient_norm(Bench& b) {
  const int64_t count = UNet::generator(b.network).parameter_count();
  auto g = b.floats({count}, -1, 1);
  return {[&b, g] { ops::gradient_norm(b.stream, as_const(*g).view()); }, b.patterns(), ops::gradient_norm_cost(count)};
}

Prepared adam(Bench& b) {
  const int64_t count = UNet::generator(b.network).parameter_count();
  auto g = b.floats({count}, -1, 1), w = b.floats({count}, -1, 1), m = b.floats({count}, 0, 0),
       v = b.floats({count}, 0, 0);
  auto step = std::make_shared<int64_t>(0);
  return {[&b, g, w, m, v, step] {
            ops::adam(b.stream, {}, ++*step, as_const(*g).view(), w->view(), m->view(), v->view());
          },
          b.patterns(), ops::adam_cost(count)};
}

Prepared translate(Bench& b) {
  const Shape shape = pattern_shape(b);
  auto in = b.complexes(shape), out = b.complexes(shape);
  auto shift = b.floats({b.patterns(), 2}, -largest_offset_px, largest_offset_px);
  return {
      [&b, in, out, shift] { ops::translate(b.stream, as_const(*in).view(), as_const(*shift).view(), out->view()); },
      b.patterns(), ops::translate_cost(shape)};
}

Prepared projective(Bench& b) {
  const Shape shape = pattern_shape(b);
  auto in = b.complexes(shape), out = b.complexes(shape);
  std::vector<double> matrices;
  for (int64_t i = 0; i < b.patterns(); ++i)
    for (const double v : {1.01, 0.02, 0.5, -0.02, 0.99, -0.5, 1e-5, -1e-5, 1.0}) matrices.push_back(v);
  auto homography = b.tensor<double>({b.patterns(), 3, 3}, matrices);
  return {[&b, in, out, homography] {
            ops::projective(b.stream, as_const(*in).view(), as_const(*homography).view(), out->view());
          },
          b.patterns(), ops::projective_cost(shape)};
}

Prepared reassemble(Bench& b) {
  const int64_t n = b.config.side_px, step_px = 8;
  const auto columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(b.patterns()))));
  const Shape canvas{step_px * columns + n, step_px * columns + n};
  auto patches = b.complexes(pattern_shape(b)), weighted = b.complexes(canvas);
  auto weight = b.floats({n, n}, 0.02, 1), sum = b.floats(canvas, 0, 0);
  auto corners = std::make_shared<std::vector<double>>();
  for (int64_t i = 0; i < b.patterns(); ++i)
    for (const int64_t at : {i / columns, i % columns})
      corners->push_back(static_cast<double>(step_px * at) + b.random.uniform());
  return {[&b, patches, weighted, weight, sum, corners] {
            ops::reassemble(b.stream, as_const(*patches).view(), *corners, as_const(*weight).view(),
                            {weighted->view(), sum->view()});
          },
          b.patterns(), ops::reassemble_cost(pattern_shape(b))};
}

// Frames of a solver's batch on an object of their own scan, 8 px apart.
struct Solver {
  std::shared_ptr<Tensor<complex64>> object, probes, waves;
  std::shared_ptr<Tensor<int64_t>> corner, probe_index;
  std::shared_ptr<Tensor<float>> amplitude;
  float peak = 0;
  ops::RpieBatch batch() const { return {as_const(*corner).view(), as_const(*probe_index).view()}; }
};
std::shared_ptr<Solver> solver(Bench& b) {
  const int64_t n = b.config.side_px, frames = b.patterns(), step_px = 8;
  const auto columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(frames))));
  auto s = std::make_shared<Solver>();
  s->object = b.complexes({step_px * columns + n, step_px * columns + n});
  const auto probe = b.probe();
  s->probes = b.tensor<complex64>({1, 1, n, n}, b.download(as_const(*probe).view()));
  s->waves = b.complexes({frames, 1, n, n});
  s->amplitude = b.floats({frames, n, n}, 0, 1);
  std::vector<int64_t> corners;
  for (int64_t f = 0; f < frames; ++f)
    for (const int64_t at : {f / columns, f % columns}) corners.push_back(step_px * at);
  s->corner = b.tensor<int64_t>({frames, 2}, corners);
  s->probe_index = b.tensor<int64_t>({frames}, std::vector<int64_t>(static_cast<size_t>(frames), 0));
  s->peak = ops::peak_power(b.stream, as_const(*probe).view());
  return s;
}
Prepared rpie_exit_waves(Bench& b) {
  auto s = solver(b);
  const auto pixels = static_cast<double>(s->waves->elements());
  return {[&b, s] {
            ops::exit_waves(b.stream, as_const(*s->object).view(), s->batch(), as_const(*s->probes).view(),
                            s->waves->view());
          },
          b.patterns(),
          {6 * pixels, 16 * pixels}};  // a complex product; window in, wave out
}
Prepared rpie_modulus(Bench& b) {
  auto s = solver(b);
  const auto pixels = static_cast<double>(s->waves->elements());
  return {[&b, s] { ops::modulus_difference(b.stream, as_const(*s->amplitude).view(), {}, s->waves->view()); },
          b.patterns(),
          {9 * pixels, 20 * pixels}};  // |F|^2, root, sum, quotient, difference, two products; amplitude, F in, F out
}
Prepared rpie_update_object(Bench& b) {
  auto s = solver(b);
  const auto pixels = static_cast<double>(s->waves->elements()), canvas = static_cast<double>(s->object->elements());
  return {
      [&b, s] {
        ops::update_object(b.stream, as_const(*s->waves).view(), s->batch(), as_const(*s->probes).view(),
                           {0.5F, s->peak}, s->object->view());
      },
      b.patterns(),
      {12 * pixels + 8 * canvas, 8 * pixels + 16 * canvas}};  // conj(P) d and |P|^2, summed; the object read, written
}

}  // namespace

std::vector<Case> ops_cases() {
  constexpr auto suite = BenchmarkSuite::ops;
  return {{{"conv3x3", suite, "a wide layer of the network, N/2 pixels, 64 x width channels"}, conv3x3},
          {{"conv3x3_backward", suite, "its way back: gradients of input, weights and bias"}, conv3x3_backward},
          {{"max_pool2", suite, "that layer's output pooled, on its own"}, max_pool2},
          {{"upsample2", suite, "and upsampled, on its own"}, upsample2},
          {{"head", suite, "a decoder's last step: activations, centre and border"}, head},
          {{"complex_patch", suite, "amplitude and phase to complex patches"}, complex_patch},
          {{"merge", suite, "a group's patches to its region"}, merge},
          {{"extract", suite, "a region to its patches"}, extract},
          {{"illuminate", suite, "patches times probe"}, illuminate},
          {{"fft2", suite, "Fourier transforms of patterns"}, fft2},
          {{"detector_counts", suite, "far fields to expected counts"}, detector_counts},
          {{"poisson_nll", suite, "Poisson likelihood and its gradient"}, poisson_nll},
          {{"amplitude_mae", suite, "amplitudes' absolute error and its gradient"}, amplitude_mae},
          {{"total_variation", suite, "smoothness and its gradient"}, total_variation},
          {{"absolute_error", suite, "the supervised loss and its gradient"}, absolute_error},
          {{"sum_of_squares", suite, "the power of patterns, for normalisation"}, sum_of_squares},
          {{"scale", suite, "patterns times the normalisation"}, scale},
          {{"gradient_norm", suite, "the norm of all gradients, which clipping asks for"}, gradient_norm},
          {{"adam", suite, "Adam's step of all weights"}, adam},
          {{"translate", suite, "subpixel translation"}, translate},
          {{"projective", suite, "warp by a homography"}, projective},
          {{"reassemble", suite, "overlapping patches summed on a canvas"}, reassemble},
          {{"rpie_exit_waves", suite, "the solver's exit waves of a batch"}, rpie_exit_waves},
          {{"rpie_modulus", suite, "the solver's step to the measured amplitudes"}, rpie_modulus},
          {{"rpie_update_object", suite, "the solver's step of the object"}, rpie_update_object}};
}

}  // namespace ptyfuse::benchmark
