#include "kernels/ops/reassemble.h"

#include <cmath>
#include <string>

#include "kernels/ops/dispatch.h"
#include "kernels/ops/reassemble_cpu.h"
#include "kernels/ops/reassemble_cuda.h"

namespace ptyfuse::ops {
namespace {

void check_sums(const char* operation, const StitchSums& sums) {
  if (sums.weighted.rank() != 2 || !(sums.weight.shape() == sums.weighted.shape()))
    throw_shape_error(operation, "sums of shape " + sums.weighted.shape().str() + " and " + sums.weight.shape().str() +
                                     ", expected one canvas [H,W]");
  if (!sums.weighted.contiguous() || !sums.weight.contiguous())
    throw_shape_error(operation, "a view of the canvas is not contiguous");
}

}  // namespace

void reassemble(Stream& stream, TensorView<const complex64> patches, std::span<const double> corner_px,
                TensorView<const float> weight, const StitchSums& sums) {
  check_sums("reassemble", sums);
  if (patches.rank() != 3 || patches.extent(1) != patches.extent(2))
    throw_shape_error("reassemble", "patches of shape " + patches.shape().str() + ", expected [S,M,M]");
  if (!patches.empty() && patches.extent(2) > 1 && patches.stride(2) != 1)
    throw_shape_error("reassemble", "pixels of a patch's row do not lie side by side");
  if (static_cast<int64_t>(corner_px.size()) != 2 * patches.extent(0))
    throw_shape_error("reassemble", std::to_string(corner_px.size()) + " corner coordinates for patches " +
                                        patches.shape().str() + ", expected [y,x] of each");
  if (!(weight.shape() == Shape{patches.extent(1), patches.extent(2)}) || !weight.contiguous())
    throw_shape_error("reassemble", "weight of shape " + weight.shape().str() + ", expected contiguous " +
                                        Shape{patches.extent(1), patches.extent(2)}.str());
  for (size_t i = 0; i < corner_px.size(); ++i)
    if (!std::isfinite(corner_px[i]))
      throw Error(ErrorKind::numeric, "reassemble: the corner of patch " + std::to_string(i / 2) + " is not finite");
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::reassemble(stream, patches, corner_px, weight, sums);
      PTYFUSE_ON_CUDA(cuda::reassemble(stream, patches, corner_px, weight, sums));
  }
}

void reassemble_finish(Stream& stream, const StitchSums& sums, TensorView<complex64> object) {
  check_sums("reassemble_finish", sums);
  if (!(object.shape() == sums.weight.shape()) || !object.contiguous())
    throw_shape_error("reassemble_finish",
                      "object of shape " + object.shape().str() + ", expected contiguous " + sums.weight.shape().str());
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      return cpu::reassemble_finish(stream, sums, object);
      PTYFUSE_ON_CUDA(cuda::reassemble_finish(stream, sums, object));
  }
}

Cost reassemble_cost(const Shape& patches) {
  // Per pixel: the weight, two taps along each axis for three numbers, and their addition to sums that are read and
  // written.
  const double pixels = static_cast<double>(patches.elements());
  return {.flop = 23 * pixels, .bytes = 32 * pixels};
}

}  // namespace ptyfuse::ops
