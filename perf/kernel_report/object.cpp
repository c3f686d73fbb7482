#include "kernels/ops/projective.h"
#include "kernels/ops/reassemble.h"
#include "kernels/ops/rpie.h"
#include "kernels/ops/rpie_positions.h"
#include "kernels/ops/translate.h"
#include "perf/kernel_report/workloads.h"

namespace ptyfuse::perf {
namespace {

using ops::Cost;

double bytes_of(const Shape& shape, double element_bytes = 8) {
  return element_bytes * static_cast<double>(shape.elements());
}

void measure_warps(Bench& bench) {
  Stream& stream = bench.stream();
  const Shape shape{16, 64, 64};
  const std::string text = "16 images 64x64";
  const auto in = bench.waves(shape);
  auto out = bench.room<complex64>(shape);
  const auto shifts = bench.floats({16, 2}, -3, 3);
  bench.measure({"translate", text, 16, {{"", ops::translate_cost(shape)}}},
                [&] { ops::translate(stream, in.view(), shifts.view(), out.view()); });
  bench.measure({"translate adjoint", text, 16, {{"", ops::translate_cost(shape)}}},
                [&] { ops::translate_adjoint(stream, in.view(), shifts.view(), out.view()); });
  // A degree of rotation, some shift and perspective, as a registration finds them.
  std::vector<double> matrices;
  for (int n = 0; n < 16; ++n)
    for (const double entry : {1.0, -0.0175, bench.uniform(-3, 3), 0.0175, 1.0, bench.uniform(-3, 3), 1e-5, 1e-5, 1.0})
      matrices.push_back(entry);
  const auto homography = bench.values<double>({16, 3, 3}, matrices);
  bench.measure({"projective", text, 16, {{"", ops::projective_cost(shape)}}},
                [&] { ops::projective(stream, in.view(), homography.view(), out.view()); });
  bench.measure({"projective adjoint", text, 16, {{"", ops::projective_cost(shape)}}},
                [&] { ops::projective_adjoint(stream, in.view(), homography.view(), out.view()); });
}

// Positions on a raster of 8 px with some jitter, and a canvas that holds all patches.
struct Raster {
  int64_t frames, side, height, width;
  std::vector<double> corner_px;
};
Raster raster(Bench& bench, int64_t rows, int64_t columns, int64_t side) {
  constexpr double step_px = 8, jitter_px = 2;
  Raster r{rows * columns, side, (rows + 1) * 8 + side, (columns + 1) * 8 + side, {}};
  for (int64_t y = 0; y < rows; ++y)
    for (int64_t x = 0; x < columns; ++x) {
      r.corner_px.push_back(static_cast<double>(y) * step_px + bench.uniform(0, jitter_px));
      r.corner_px.push_back(static_cast<double>(x) * step_px + bench.uniform(0, jitter_px));
    }
  return r;
}

void measure_stitching(Bench& bench) {
  Stream& stream = bench.stream();
  const Raster r = raster(bench, 8, 8, 64);
  const Shape canvas{r.height, r.width}, patch_shape{r.frames, r.side, r.side};
  const auto patches = bench.waves(patch_shape);
  const auto weight = bench.floats({r.side, r.side}, 0.1, 1);
  auto weighted = bench.waves(canvas), object = bench.room<complex64>(canvas);
  auto weights = bench.floats(canvas, 0.1, 1);
  const ops::StitchSums sums{weighted.view(), weights.view()};
  const std::string text = "64 patches 64x64 every 8 px onto 136x136";
  // Patches and weight once, the canvas' sums read and written once.
  const double bytes = bytes_of(patch_shape) + bytes_of(weight.shape(), 4) + 2 * bytes_of(canvas, 12);
  bench.measure({"reassemble", text, r.frames, {{"", Cost{ops::reassemble_cost(patch_shape).flop, bytes}}}},
                [&] { ops::reassemble(stream, patches.view(), r.corner_px, weight.view(), sums); });
  bench.measure({"reassemble_finish", "136x136", 1, {{"", Cost{0, bytes_of(canvas, 8 + 4 + 8)}}}},
                [&] { ops::reassemble_finish(stream, sums, object.view()); });
}

// A batch of rPIE, a probe of its own for each frame; and frames of odd side, which do not fall into pairs.
void measure_refinement(Bench& bench, int64_t rows, int64_t side, int64_t modes, const std::string& text) {
  Stream& stream = bench.stream();
  const Raster r = raster(bench, rows, rows, side);
  const Shape object_shape{r.height, r.width}, stack{r.frames, modes, side, side}, one{modes, side, side},
      images{r.frames, side, side};
  std::vector<int64_t> corners, indices;
  for (const double c : r.corner_px) corners.push_back(static_cast<int64_t>(c));
  for (int64_t n = 0; n < r.frames; ++n) indices.push_back(n);
  const auto corner = bench.values<int64_t>({r.frames, 2}, corners), index = bench.values<int64_t>({r.frames}, indices);
  const ops::RpieBatch batch{corner.view(), index.view()};
  auto object = bench.waves(object_shape), spectra = bench.waves(stack), out = bench.room<complex64>(stack),
       probe = bench.waves(one);
  const auto probes = bench.waves(stack);
  const auto shifts = bench.floats({r.frames, 2}, -0.5, 0.5), amplitude = bench.floats(images, 0, 2);
  const auto mask = bench.values<uint8_t>({side, side}, std::vector<uint8_t>(static_cast<size_t>(side * side), 1));
  auto residual = bench.room<double>({r.frames, 2});

  // Each array read once, each result written once. Windows overlap: of the object, what the frames cover counts once.
  const int64_t covered_side = (rows - 1) * 8 + side;
  const double frames_bytes = bytes_of(stack), object_bytes = 8.0 * static_cast<double>(covered_side * covered_side),
               image_bytes = bytes_of(images, 4), mask_bytes = static_cast<double>(side * side);
  const auto operation = [&](const char* name, double bytes) {
    return Operation{name, text, r.frames, {{"", Cost{0, bytes}}}};
  };
  bench.measure(operation("rpie shift_spectra", bytes_of(one) + frames_bytes),
                [&] { ops::shift_spectra(stream, probe.view(), shifts.view(), out.view()); });
  bench.measure(operation("rpie sum_shifted_back", bytes_of(one) + frames_bytes),
                [&] { ops::sum_shifted_back(stream, spectra.view(), shifts.view(), probe.view()); });
  bench.measure(operation("rpie exit_waves", object_bytes + 2 * frames_bytes),
                [&] { ops::exit_waves(stream, object.view(), batch, probes.view(), out.view()); });
  bench.measure(operation("rpie modulus_difference", image_bytes + mask_bytes + 2 * frames_bytes),
                [&] { ops::modulus_difference(stream, amplitude.view(), mask.view(), out.view()); });
  bench.measure(operation("rpie modulus_residual", image_bytes + mask_bytes + frames_bytes),
                [&] { ops::modulus_residual(stream, spectra.view(), amplitude.view(), mask.view(), residual.view()); });
  bench.measure(operation("rpie update_object", 2 * frames_bytes + 2 * object_bytes), [&] {
    ops::update_object(stream, spectra.view(), batch, probes.view(), {0.5F, 3}, object.view());
  });
  auto numerator = bench.waves(object_shape);
  auto power = bench.floats(object_shape, 0, 1);
  const ops::ObjectStep step{numerator.view(), power.view()};
  bench.measure(operation("rpie add_to_step", 2 * frames_bytes + 3 * object_bytes),
                [&] { ops::add_to_step(stream, spectra.view(), batch, probes.view(), step); });
  bench.measure(operation("rpie apply_step", bytes_of(object_shape, 8 + 4 + 2 * 8)), [&] {
    ops::apply_step(stream, step, {0.5F, 3}, object.view());
  });
  bench.measure(operation("rpie weigh_by_object", object_bytes + 2 * frames_bytes),
                [&] { ops::weigh_by_object(stream, object.view(), batch, spectra.view(), out.view()); });
  auto steps = bench.room<double>({r.frames, 2});
  for (const auto& [name, gradient] : {std::pair("rpie position_steps", ops::PositionGradient::wide),
                                       std::pair("rpie position_steps exact", ops::PositionGradient::exact)})
    bench.measure(operation(name, object_bytes + 2 * frames_bytes), [&] {
      ops::position_steps(stream, object.view(), batch, probes.view(), spectra.view(), gradient, steps.view());
    });
  bench.measure(operation("rpie add_scaled", 3 * bytes_of(one)),
                [&] { ops::add_scaled(stream, spectra.view().slice(0, 0, 1).reshape(one), 0.1F, probe.view()); });
  bench.measure(operation("rpie peak_power", bytes_of(one)), [&] { ops::peak_power(stream, probe.view()); });
  bench.measure(operation("rpie peak_window_power", object_bytes),
                [&] { ops::peak_window_power(stream, object.view(), batch, side); });
}

void measure_usual_refinement(Bench& bench) {
  measure_refinement(bench, 4, 64, 2, "16 frames 64x64 every 8 px, 2 modes");
}
void measure_odd_refinement(Bench& bench) {
  measure_refinement(bench, 2, 63, 1, "4 frames 63x63 every 8 px, 1 mode");
  measure_refinement(bench, 2, 15, 1, "4 frames 15x15 every 8 px, 1 mode");
  measure_refinement(bench, 2, 16, 1, "4 frames 16x16 every 8 px, 1 mode");
}

}  // namespace

void list_object(std::vector<Workload>& list) {
  list.push_back({"translation and registration", true, measure_warps});
  list.push_back({"stitching", true, measure_stitching});
  list.push_back({"rPIE", true, measure_usual_refinement});
  list.push_back({"rPIE of other sides", true, measure_odd_refinement});
}

}  // namespace ptyfuse::perf
