#include "kernels/ops/adam.h"

#include <cmath>
#include <string>

#include "kernels/ops/adam_cpu.h"
#include "kernels/ops/adam_cuda.h"
#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"

namespace ptyfuse::ops {

namespace {

void check(TensorView<const float> gradient, TensorView<float> weights, TensorView<float> m, TensorView<float> v) {
  require_rank("adam", "gradient", gradient, 1);
  require_contiguous("adam", "gradient", gradient);
  require_dense("adam", "weights", weights, gradient.shape());
  require_dense("adam", "m", m, gradient.shape());
  require_dense("adam", "v", v, gradient.shape());
}

}  // namespace

double adam_rate(const AdamSettings& settings, int64_t step) {
  if (step < 1) throw_shape_error("adam", "step " + std::to_string(step) + ", expected 1 or more");
  const double t = static_cast<double>(step);
  return settings.learning_rate * std::sqrt(1 - std::pow(settings.beta2, t)) / (1 - std::pow(settings.beta1, t));
}

void adam(Stream& stream, const AdamSettings& settings, int64_t step, TensorView<const float> gradient,
          TensorView<float> weights, TensorView<float> m, TensorView<float> v) {
  const auto rate = static_cast<float>(adam_rate(settings, step));
  check(gradient, weights, m, v);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::adam(stream, settings, rate, gradient, weights, m, v);
      PTYFUSE_ON_CUDA(cuda::adam(stream, settings, {.value = rate}, gradient, weights, m, v));
  }
}

void adam(Stream& stream, const AdamSettings& settings, TensorView<const float> rate, TensorView<const double> going,
          TensorView<const float> gradient, TensorView<float> weights, TensorView<float> m, TensorView<float> v) {
  require_dense("adam", "rate", rate, {1});
  require_dense("adam", "going", going, {1});
  check(gradient, weights, m, v);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      if (*going.data() != 0) cpu::adam(stream, settings, *rate.data(), gradient, weights, m, v);
      return;
      PTYFUSE_ON_CUDA(
          cuda::adam(stream, settings, {.in_memory = rate.data(), .going = going.data()}, gradient, weights, m, v));
  }
}

Cost adam_cost(int64_t parameters) {
  const double p = static_cast<double>(parameters);
  return {.flop = 12 * p, .bytes = 28 * p};
}

}  // namespace ptyfuse::ops
