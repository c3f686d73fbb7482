#include "kernels/ops/physics.h"

#include "kernels/ops/complex_patch.h"
#include "kernels/ops/data_loss.h"
#include "kernels/ops/detector_counts.h"
#include "kernels/ops/extract.h"
#include "kernels/ops/fft2.h"
#include "kernels/ops/illuminate.h"
#include "kernels/ops/merge.h"
#include "kernels/ops/total_variation.h"
#include "perf/kernel_report/workloads.h"

namespace ptyfuse::perf {
namespace {

using ops::Cost;

// Members lie up to 3 px from their group's centre.
constexpr int64_t usual_reach_px = 3;
constexpr int64_t canvas_of(int64_t side, int64_t members, int64_t reach_px = usual_reach_px) {
  return members == 1 ? side : side + 2 * (reach_px + 1);
}

struct PhysicsCase {
  const char* shape;
  int64_t side, groups, members;
  int64_t modes = 1;
  bool masked = false;
  int64_t reach_px = usual_reach_px;  ///< of offsets; 0: a single pattern at its group's centre
};

// Forward and backward, from channel-last tensors as a training step has them.
void measure_physics(Bench& bench, const PhysicsCase& c) {
  ops::PhysicsSpec spec{.batch = c.groups,
                        .members = c.members,
                        .heads = c.members,
                        .side = c.side,
                        .canvas = canvas_of(c.side, c.members, c.reach_px),
                        .probe_modes = c.modes};
  ops::Physics physics(bench.device(), spec);
  const Shape channel_last{c.groups, c.side, c.side, c.members};
  const auto images = [](const auto& tensor) { return tensor.permute({0, 3, 1, 2}); };
  const auto amplitude = bench.floats(channel_last, 0.2, 1), phase = bench.floats(channel_last),
             measured = bench.floats(channel_last, 0, 1), weight = bench.floats({c.side, c.side}, 0.1, 1),
             mask = bench.mask({c.side, c.side});
  const auto reach = static_cast<double>(c.reach_px);
  const auto offsets = bench.floats({c.groups, c.members, 2}, -reach, reach);
  const auto probe = bench.waves({c.modes, c.side, c.side});
  auto grad_amplitude = bench.room(channel_last), grad_phase = bench.room(channel_last);
  ops::PhysicsInputs inputs{.amplitude = images(amplitude.view()),
                            .phase = images(phase.view()),
                            .offsets_px = offsets.view(),
                            .measured = images(measured.view()),
                            .probe = probe.view(),
                            .weight = weight.view(),
                            .mask = c.masked ? mask.view() : TensorView<const float>(),
                            .log_scale = 1,
                            .log_scale_in_memory = {},
                            .measured_scale = 30,
                            .nll_weight = 1,
                            .mae_weight = 0};
  bench.measure({"physics", c.shape, c.groups * c.members, {{"fused_physics", ops::Physics::cost(spec)}}},
                [&] { physics.run(bench.stream(), inputs, images(grad_amplitude.view()), images(grad_phase.view())); });
}

void measure_fused64(Bench& bench) {
  measure_physics(bench, {"N 64, 16 patterns", 64, 16, 1, 1, false, 0});
  measure_physics(bench, {"N 64, 4 patterns off their origin", 64, 4, 1});
  measure_physics(bench, {"N 64, 16 groups of 4 merged", 64, 16, 4});
  measure_physics(bench, {"N 64, 8 groups of 4 merged, 2 modes, masked", 64, 8, 4, 2, true});
  measure_physics(bench, {"N 64, 4 groups of 4 merged, 30 px apart", 64, 4, 4, 1, false, 30});
}
void measure_fused128(Bench& bench) {
  measure_physics(bench, {"N 128, 4 patterns", 128, 4, 1, 1, false, 0});
  measure_physics(bench, {"N 128, 4 groups of 4 merged", 128, 4, 4});
}
void measure_by_parts(Bench& bench) {
  measure_physics(bench, {"N 96 for 256 (scaled down), 2 groups of 4 merged, 2 modes, masked", 96, 2, 4, 2, true});
}

// The operations one by one, for a batch of four groups of four.
constexpr int64_t groups = 4, members = 4, side = 64, canvas = canvas_of(64, 4), patterns = groups * members;
const char* const batch_text = "N 64, 4 groups of 4";

void measure_object_side(Bench& bench) {
  Stream& stream = bench.stream();
  const Shape patch_shape{groups, members, side, side};
  // Channel-last, and one image behind the other.
  for (const bool channel_last : {true, false}) {
    const Shape shape = channel_last ? Shape{groups, side, side, members} : patch_shape;
    const auto images = [&](const auto& tensor) { return channel_last ? tensor.permute({0, 3, 1, 2}) : tensor; };
    const auto amplitude = bench.floats(shape, 0.2, 1), phase = bench.floats(shape);
    const auto grad = bench.waves(patch_shape);
    auto patches = bench.room<complex64>(patch_shape);
    auto grad_amplitude = bench.room(shape), grad_phase = bench.room(shape);
    const Cost cost = ops::complex_patch_cost(patch_shape);
    const std::string text = std::string(batch_text) + (channel_last ? ", channel-last" : "");
    bench.measure({"complex_patch", text, patterns, {{"", cost}}},
                  [&] { ops::complex_patch(stream, images(amplitude.view()), images(phase.view()), patches.view()); });
    bench.measure({"complex_patch backward", text, patterns, {{"", Cost{cost.flop, 1.5 * cost.bytes}}}}, [&] {
      ops::complex_patch_backward(stream, images(amplitude.view()), images(phase.view()), grad.view(),
                                  images(grad_amplitude.view()), images(grad_phase.view()));
    });
  }

  const auto patches = bench.waves(patch_shape);
  const auto offsets = bench.floats({groups, members, 2}, -usual_reach_px, usual_reach_px),
             weight = bench.floats({side, side}, 0.1, 1);
  auto region = bench.room<complex64>({groups, canvas, canvas});
  auto grad_patches = bench.room<complex64>(patch_shape);
  const ops::MergeArgs merge{.offsets_px = offsets.view(), .weight = weight.view()};
  const auto batch = [](const ops::Cost& cost) { return Operation{"", batch_text, patterns, {{"", cost}}}; };
  const auto named = [&](const char* name, const Cost& cost) {
    Operation operation = batch(cost);
    operation.name = name;
    return operation;
  };
  const Cost merge_cost = ops::merge_cost(patch_shape, canvas), extract_cost = ops::extract_cost(patch_shape, canvas);
  bench.measure(named("merge", merge_cost), [&] { ops::merge(stream, merge, patches.view(), region.view()); });
  bench.measure(named("merge adjoint", merge_cost),
                [&] { ops::merge_adjoint(stream, merge, region.view(), grad_patches.view()); });
  bench.measure(named("extract", extract_cost),
                [&] { ops::extract(stream, region.view(), offsets.view(), grad_patches.view()); });
  bench.measure(named("extract adjoint", extract_cost),
                [&] { ops::extract_adjoint(stream, patches.view(), offsets.view(), region.view()); });

  auto grad_fields = bench.room<complex64>({patterns, side, side});
  const auto fields = patches.view().reshape({patterns, side, side});
  bench.measure(named("total_variation", ops::total_variation_cost(fields.shape())),
                [&] { ops::total_variation(stream, fields, 1, grad_fields.view()); });
}

void measure_detector_side(Bench& bench) {
  Stream& stream = bench.stream();
  for (const int64_t modes : {int64_t{1}, int64_t{3}}) {
    const Shape wave_shape{patterns, modes, side, side}, image_shape{patterns, side, side};
    const auto patches = bench.waves(image_shape), probe = bench.waves({modes, side, side});
    auto waves = bench.room<complex64>(wave_shape), grad_waves = bench.room<complex64>(wave_shape);
    auto grad_patches = bench.room<complex64>(image_shape);
    const auto grad_counts = bench.floats(image_shape);
    auto counts = bench.room(image_shape);
    const std::string text = "N 64, 16 patterns, " + std::to_string(modes) + (modes == 1 ? " mode" : " modes");
    const Cost illuminate = ops::illuminate_cost(wave_shape), detect = ops::detector_counts_cost(wave_shape);
    bench.measure({"illuminate", text, patterns, {{"", illuminate}}},
                  [&] { ops::illuminate(stream, patches.view(), probe.view(), waves.view()); });
    bench.measure({"illuminate adjoint", text, patterns, {{"", illuminate}}},
                  [&] { ops::illuminate_adjoint(stream, waves.view(), probe.view(), grad_patches.view()); });
    bench.measure({"detector_counts", text, patterns, {{"", detect}}},
                  [&] { ops::detector_counts(stream, waves.view(), 1, counts.view()); });
    const double wave_bytes = 8.0 * static_cast<double>(wave_shape.elements());
    bench.measure(
        {"detector_counts backward", text, patterns, {{"", Cost{detect.flop, detect.bytes + wave_bytes}}}},
        [&] { ops::detector_counts_backward(stream, waves.view(), 1, grad_counts.view(), grad_waves.view()); });
  }

  const Shape image_shape{patterns, side, side};
  const auto predicted = bench.floats(image_shape, 0.1, 100), measured = bench.floats(image_shape, 0, 100);
  const auto mask = bench.mask({side, side});
  auto grad = bench.room(image_shape);
  const std::string text = "N 64, 16 patterns, masked";
  bench.measure({"poisson_nll", text, patterns, {{"pixel_losses", ops::poisson_nll_cost(image_shape)}}},
                [&] { ops::poisson_nll(stream, predicted.view(), measured.view(), mask.view(), 1, grad.view()); });
  bench.measure({"amplitude_mae", text, patterns, {{"pixel_losses", ops::amplitude_mae_cost(image_shape)}}},
                [&] { ops::amplitude_mae(stream, predicted.view(), measured.view(), mask.view(), 1, grad.view()); });
}

void measure_transforms(Bench& bench) {
  struct Size {
    const char* text;
    int64_t images, side;
  };
  for (const Size& s : {Size{"N 64, 16 images", 16, 64}, Size{"N 128, 4 images", 4, 128},
                        Size{"N 48 for 256 (scaled down), 4 images", 4, 48}}) {
    const Shape shape{s.images, s.side, s.side};
    const auto in = bench.waves(shape);
    auto out = bench.room<complex64>(shape);
    const ops::Fft2 fft(bench.device(), s.side, s.side);
    // The library's transforms are no kernels of ours: what moves the zero frequency, before and behind, is.
    Cost cost = ops::Fft2::cost(shape);
    if (s.side != 64 && s.side != 128) cost = {0, 2 * cost.bytes};
    const Contract contract{"", cost};
    bench.measure({"fft2 forward", s.text, s.images, {contract}},
                  [&] { fft.run(bench.stream(), ops::FftDirection::forward, in.view(), out.view()); });
    bench.measure({"fft2 inverse", s.text, s.images, {contract}},
                  [&] { fft.run(bench.stream(), ops::FftDirection::inverse, in.view(), out.view()); });
  }
}

}  // namespace

void list_physics(std::vector<Workload>& list) {
  list.push_back({"fused physics N 64", false, measure_fused64});
  list.push_back({"fused physics N 128", false, measure_fused128});
  list.push_back({"physics by parts", false, measure_by_parts});
  list.push_back({"from the object to patches", true, measure_object_side});
  list.push_back({"from patches to the loss", true, measure_detector_side});
  list.push_back({"Fourier transforms", true, measure_transforms});
}

}  // namespace ptyfuse::perf
