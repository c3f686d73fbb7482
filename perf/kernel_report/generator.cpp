#include "kernels/ops/absolute_error.h"
#include "kernels/ops/adam.h"
#include "kernels/ops/add.h"
#include "kernels/ops/clip.h"
#include "kernels/ops/head.h"
#include "kernels/ops/max_pool2.h"
#include "kernels/ops/normalise.h"
#include "kernels/ops/step_verdict.h"
#include "kernels/ops/upsample2.h"
#include "perf/kernel_report/workloads.h"

namespace ptyfuse::perf {
namespace {

using ops::Cost;

std::string text_of(const Shape& shape) {
  std::string text;
  for (int a = 0; a < shape.rank(); ++a) (text += a == 0 ? "" : "x") += std::to_string(shape[a]);
  return text;
}

// Activations of N 64, width 2, and ones whose channels do not fall into fours.
void measure_sampling(Bench& bench) {
  Stream& stream = bench.stream();
  for (const Shape& large : {Shape{1, 64, 64, 64}, Shape{1, 64, 64, 3}}) {
    const Shape small{large[0], large[1] / 2, large[2] / 2, large[3]};
    const auto in = bench.floats(large), grad_small = bench.floats(small);
    auto pooled = bench.room(small), grad_large = bench.room(large);
    const double large_bytes = 4.0 * static_cast<double>(large.elements()), small_bytes = large_bytes / 4;
    bench.measure({"max_pool2", text_of(large), 1, {{"", ops::max_pool2_cost(large)}}},
                  [&] { ops::max_pool2(stream, in.view(), pooled.view()); });
    bench.measure({"max_pool2 backward", text_of(large), 1, {{"", Cost{0, 2 * large_bytes + 2 * small_bytes}}}}, [&] {
      ops::max_pool2_backward(stream, in.view(), pooled.view(), grad_small.view(), grad_large.view());
    });
    bench.measure({"upsample2", text_of(small), 1, {{"", ops::upsample2_cost(small)}}},
                  [&] { ops::upsample2(stream, pooled.view(), grad_large.view()); });
    bench.measure({"upsample2 adjoint", text_of(small), 1, {{"", ops::upsample2_cost(small)}}},
                  [&] { ops::upsample2_adjoint(stream, grad_large.view(), pooled.view()); });
  }
}

// Of both generators, padded with a border head, for a group of four and for a single pattern; and a side of which no
// generator is, for it does not fall into fours.
void measure_heads(Bench& bench) {
  Stream& stream = bench.stream();
  for (const Shape& shape : {Shape{4, 64, 64, 4}, Shape{1, 128, 128, 1}, Shape{1, 36, 36, 1}}) {
    const Shape half{shape[0], shape[1] / 2, shape[2] / 2, shape[3]};
    const auto centre = bench.floats(half), border = bench.floats(shape), grad_out = bench.floats(shape);
    auto out = bench.room(shape), grad_centre = bench.room(half), grad_border = bench.room(shape);
    const double n = static_cast<double>(shape.elements());
    // A quarter comes from the centre, three from the border; the border's gradient is written everywhere.
    bench.measure({"head", text_of(shape), shape[0], {{"", ops::head_cost(shape)}}},
                  [&] { ops::head(stream, {}, centre.view(), border.view(), out.view()); });
    bench.measure({"head backward", text_of(shape), shape[0], {{"", Cost{0, 4 * n * (1 + 1 + 0.25 + 1)}}}}, [&] {
      ops::head_backward(stream, {}, centre.view(), border.view(), grad_out.view(), grad_centre.view(),
                         grad_border.view());
    });
  }
}

// Flat buffers of 2^18 parameters; a generator has some millions, but each element is like the others.
void measure_optimiser(Bench& bench) {
  Stream& stream = bench.stream();
  const int64_t count = int64_t{1} << 18;
  const Shape shape{count};
  const std::string text = "2^18 parameters (scaled down)";
  const double bytes = 4.0 * static_cast<double>(count);
  auto gradient = bench.floats(shape), weights = bench.floats(shape), m = bench.floats(shape),
       v = bench.floats(shape, 0, 1);
  bench.measure({"adam", text, 1, {{"", ops::adam_cost(count)}}},
                [&] { ops::adam(stream, {}, 3, gradient.view(), weights.view(), m.view(), v.view()); });
  const auto rate = bench.floats({1}, 0.001, 0.002);
  const auto going = bench.values<double>({1}, {1});
  bench.measure({"adam, its rate in memory", text, 1, {{"", ops::adam_cost(count)}}}, [&] {
    ops::adam(stream, {}, rate.view(), going.view(), gradient.view(), weights.view(), m.view(), v.view());
  });
  ops::DeviceSum squares(bench.device(), "squares");
  bench.measure({"sum_of_squares", text, 1, {{"sum_of_squares", ops::sum_of_squares_cost(shape)}}},
                [&] { ops::sum_of_squares(stream, gradient.view(), squares); });
  bench.measure({"clip_by_value", text, 1, {{"", Cost{0, 2 * bytes}}}},
                [&] { ops::clip_by_value(stream, 0.5, gradient.view()); });
  bench.measure({"clip_by_norm", text, 1, {{"", Cost{0, 2 * bytes}}}},
                [&] { ops::clip_by_norm(stream, 1e-3, std::as_const(squares).value(), gradient.view()); });
  auto verdict = bench.values<double>({3}, {0, 0, 1});
  bench.measure({"judge_step", "", 1}, [&] {
    ops::judge_step(stream, {squares.value(), {}, 0}, std::as_const(squares).value(), verdict.view());
  });
  bench.measure({"add", text, 1, {{"", ops::add_cost(shape)}}},
                [&] { ops::add(stream, weights.view(), gradient.view()); });
  bench.measure({"scale", text, 1, {{"", ops::scale_cost(shape)}}},
                [&] { ops::scale(stream, weights.view(), 2, gradient.view()); });
  bench.measure({"absolute_error", text, 1, {{"element_errors", ops::absolute_error_cost(shape)}}},
                [&] { ops::absolute_error(stream, weights.view(), m.view(), gradient.view()); });
}

}  // namespace

void list_generator(std::vector<Workload>& list) {
  list.push_back({"pooling and upsampling", true, measure_sampling});
  list.push_back({"heads", true, measure_heads});
  list.push_back({"flat buffers", true, measure_optimiser});
}

}  // namespace ptyfuse::perf
