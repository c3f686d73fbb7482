#include "kernels/ops/step_verdict.h"

#include <cmath>

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/step_verdict_cuda.h"

namespace ptyfuse::ops {
namespace {

void judge_on_cpu(const LossTerms& loss, double squares, double* verdict) {
  verdict[0] = *loss.first.data();
  if (loss.second) verdict[0] += loss.second_weight * *loss.second.data();
  verdict[1] = std::sqrt(squares);
  if (!std::isfinite(verdict[0]) || !std::isfinite(verdict[1])) verdict[2] = 0;
}

}  // namespace

void judge_step(Stream& stream, const LossTerms& loss, TensorView<const double> squares, TensorView<double> verdict) {
  require_dense("judge_step", "first", loss.first, {1});
  if (loss.second) require_dense("judge_step", "second", loss.second, {1});
  require_dense("judge_step", "squares", squares, {1});
  require_dense("judge_step", "verdict", verdict, {3});
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return judge_on_cpu(loss, *squares.data(), verdict.data());
      PTYFUSE_ON_CUDA(cuda::judge_step(stream, loss, squares, verdict));
  }
}

}  // namespace ptyfuse::ops
