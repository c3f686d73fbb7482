#include "kernels/ops/clip.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/clip_cpu.h"
#include "kernels/ops/clip_cuda.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/normalise.h"

namespace ptyfuse::ops {
namespace {

void check_limit(const char* operation, const char* what, double limit) {
  if (!(limit > 0)) throw_shape_error(operation, std::string(what) + " " + std::to_string(limit) + ", expected > 0");
}

// The limit: factor, or factor * max(sqrt(*weight_squares), least) where there are weights. Pointers of the device.
void limit_norm(Stream& stream, double factor, const double* weight_squares, const double* squares,
                TensorView<float> gradient) {
  switch (stream.device().kind()) {
    case DeviceKind::cpu: {
      const double limit =
          weight_squares == nullptr ? factor : factor * std::max(std::sqrt(*weight_squares), least_weight_norm);
      const double norm = std::sqrt(*squares);
      if (norm > limit) scale(stream, gradient, static_cast<float>(limit / norm), gradient);
      return;
    }
      PTYFUSE_ON_CUDA(cuda::limit_norm(stream, factor, weight_squares, squares, gradient));
  }
}

}  // namespace

double gradient_norm(Stream& stream, TensorView<const float> gradient) {
  return std::sqrt(sum_of_squares(stream, gradient));
}

Cost gradient_norm_cost(int64_t parameters) {
  return sum_of_squares_cost({parameters});
}

void clip_by_norm(Stream& stream, double limit, TensorView<const double> squares, TensorView<float> gradient) {
  check_limit("clip_by_norm", "limit", limit);
  require_dense("clip_by_norm", "squares", squares, {1});
  require_contiguous("clip_by_norm", "gradient", gradient);
  limit_norm(stream, limit, nullptr, squares.data(), gradient);
}

void clip_by_value(Stream& stream, double limit, TensorView<float> gradient) {
  check_limit("clip_by_value", "limit", limit);
  if (!gradient.contiguous())
    throw_shape_error("clip_by_value", "view of " + gradient.shape().str() + " is not contiguous");
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::clip_by_value(stream, static_cast<float>(limit), gradient);
      PTYFUSE_ON_CUDA(cuda::clip_by_value(stream, static_cast<float>(limit), gradient));
  }
}

void clip_adaptive(Stream& stream, double factor, std::span<const ParameterRange> tensors,
                   TensorView<const float> weights, TensorView<float> gradient, AdaptiveClipSums& sums) {
  check_limit("clip_adaptive", "factor", factor);
  if (gradient.rank() != 1 || !(weights.shape() == gradient.shape()))
    throw_shape_error("clip_adaptive", "weights " + weights.shape().str() + " and gradient " + gradient.shape().str() +
                                           ", expected two of one length");
  for (const ParameterRange& t : tensors)
    if (t.begin < 0 || t.end < t.begin || t.end > gradient.extent(0))
      throw_shape_error("clip_adaptive", "tensor [" + std::to_string(t.begin) + ", " + std::to_string(t.end) +
                                             ") outside of " + gradient.shape().str());
  for (const ParameterRange& t : tensors) {
    const TensorView<float> g = gradient.slice(0, t.begin, t.end);
    sum_of_squares(stream, weights.slice(0, t.begin, t.end), sums.weights);
    sum_of_squares(stream, g, sums.gradient);
    limit_norm(stream, factor, sums.weights.value().data(), sums.gradient.value().data(), g);
  }
}

}  // namespace ptyfuse::ops
