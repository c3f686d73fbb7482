#include "kernels/ops/clip.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/ops/clip_cpu.h"
#include "kernels/ops/clip_cuda.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/normalise.h"

namespace ptyfuse::ops {
namespace {

void check_limit(const char* operation, const char* what, double limit) {
  if (!(limit > 0)) throw_shape_error(operation, std::string(what) + " " + std::to_string(limit) + ", expected > 0");
}

}  // namespace

double gradient_norm(Stream& stream, TensorView<const float> gradient) {
  return std::sqrt(sum_of_squares(stream, gradient));
}

double clip_by_norm(Stream& stream, double limit, TensorView<float> gradient) {
  check_limit("clip_by_norm", "limit", limit);
  const double norm = gradient_norm(stream, gradient);
  if (norm > limit) scale(stream, gradient, static_cast<float>(limit / norm), gradient);
  return norm;
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
                   TensorView<const float> weights, TensorView<float> gradient) {
  constexpr double least_weight_norm = 1e-3;
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
    const double limit =
        factor * std::max(std::sqrt(sum_of_squares(stream, weights.slice(0, t.begin, t.end))), least_weight_norm);
    const double norm = gradient_norm(stream, g);
    if (norm > limit) scale(stream, g, static_cast<float>(limit / norm), g);
  }
}

Cost gradient_norm_cost(int64_t parameters) {
  return sum_of_squares_cost({parameters});
}

}  // namespace ptyfuse::ops
