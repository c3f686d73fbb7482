#pragma once
#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// lambda is clamped to this from below inside the logarithm, so that no count gives infinity.
inline constexpr float lambda_floor = 1e-8F;

/// Poisson negative log-likelihood without its constant: mean over used elements of
///   lambda - n*ln(max(lambda, lambda_floor)).
/// predicted (lambda >= 0), measured (n >= 0) [n,N,N] float32; mask [N,N] float32 of 0 and 1 (1 = use), or empty for
/// all. The sum is accumulated in double; the result is one double on the host. grad_predicted (may be empty) is
/// overwritten with weight * d loss / d predicted = weight * (1 - n / max(lambda, lambda_floor)) / count; where lambda
/// < lambda_floor the logarithm is constant, so its part of the gradient is 0. Contiguous. An empty batch or mask gives
/// 0. Error(shape): shapes differ. Source: sections 0.4 and 5.
double poisson_nll(Stream& stream, TensorView<const float> predicted, TensorView<const float> measured,
                   TensorView<const float> mask, double weight, TensorView<float> grad_predicted);

/// Mean absolute error of amplitudes: mean over used elements of |sqrt(n) - sqrt(lambda + lambda_floor)|, with
/// gradient weight * sign(sqrt(lambda + lambda_floor) - sqrt(n)) / (2*sqrt(lambda + lambda_floor)) / count.
double amplitude_mae(Stream& stream, TensorView<const float> predicted, TensorView<const float> measured,
                     TensorView<const float> mask, double weight, TensorView<float> grad_predicted);

Cost poisson_nll_cost(const Shape& predicted);
Cost amplitude_mae_cost(const Shape& predicted);

}  // namespace ptyfuse::ops
