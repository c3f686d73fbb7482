#include "kernels/ops/step_verdict_cuda.h"

#include "kernels/device/launch.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct JudgeArgs {
  const double* first;
  const double* second;  // null: none
  double second_weight;
  const double* squares;
  double* verdict;
};

__device__ __forceinline__ bool finite(double x) {
  return fabs(x) <= 1.7976931348623157e308;
}

// One thread of one block works.
__global__ void judge_step_kernel(const JudgeArgs args) {
  if (threadIdx.x > 0) return;
  double loss = *args.first;
  if (args.second != nullptr) loss += args.second_weight * *args.second;
  const double norm = sqrt(*args.squares);
  args.verdict[0] = loss;
  args.verdict[1] = norm;
  if (!finite(loss) || !finite(norm)) args.verdict[2] = 0;
}

}  // namespace

void judge_step(Stream& stream, const LossTerms& loss, TensorView<const double> squares, TensorView<double> verdict) {
  launch(judge_step_kernel, dim3(1), dim3(32), 0,
         stream)(JudgeArgs{loss.first.data(), loss.second.data(), loss.second_weight, squares.data(), verdict.data()});
}

}  // namespace ptyfuse::ops::cuda
