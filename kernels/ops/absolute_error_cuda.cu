#include "kernels/ops/absolute_error_cuda.h"

#include "kernels/ops/device_sum_cuda.h"
#include "kernels/ops/ordered_sums.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct ErrorArgs {
  const float* value;
  const float* target;
  float* grad;  // null: none is wanted
  int64_t elements;
  float step;
  double* parts;
};

// A block of sum_threads takes its share of all elements.
__global__ void element_errors(const ErrorArgs args) {
  double sum = 0;
  for (int64_t i = elements_begin(); i < args.elements; i += elements_step()) {
    const float a = args.value[i], b = args.target[i];
    sum += fabs(static_cast<double>(a) - static_cast<double>(b));
    if (args.grad != nullptr) args.grad[i] = a > b ? args.step : a < b ? -args.step : a - b;
  }
  store_part(sum, args.parts);
}

}  // namespace

void absolute_error(Stream& stream, TensorView<const float> value, TensorView<const float> target,
                    TensorView<float> grad_value, DeviceSum& mean) {
  const int64_t elements = value.elements(), blocks = sum_blocks(elements);
  if (blocks == 0) return add_parts(stream, 0, 1, mean);
  launch(element_errors, dim3(static_cast<unsigned>(blocks)), dim3(sum_threads), sum_shared_bytes, stream)(ErrorArgs{
      value.data(), target.data(), grad_value.data(), elements, 1.0F / static_cast<float>(elements), mean.parts()});
  add_parts(stream, blocks, 1 / static_cast<double>(elements), mean);
}

}  // namespace ptyfuse::ops::cuda
