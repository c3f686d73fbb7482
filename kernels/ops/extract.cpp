#include "kernels/ops/extract.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/extract_cpu.h"
#include "kernels/ops/extract_cuda.h"

namespace ptyfuse::ops {
namespace {

void check(const char* operation, const Shape& region, TensorView<const float> offsets_px, const Shape& patches) {
  if (patches.rank() != 4 || patches[2] != patches[3])
    throw_shape_error(operation, "patches are " + patches.str() + ", expected [B, C, N, N]");
  if (region.rank() != 3 || region[0] != patches[0] || region[1] != region[2])
    throw_shape_error(operation, "region is " + region.str() + ", expected [B, Q, Q] for patches " + patches.str());
  const int64_t margin = region[1] - patches[2];
  if (margin < 0 || margin % 2 != 0)
    throw_shape_error(operation, "canvas Q = " + std::to_string(region[1]) + " for N = " + std::to_string(patches[2]) +
                                     ": Q - N must be even and not negative");
  require_dense(operation, "offsets_px", offsets_px, {patches[0], patches[1], 2});
}

}  // namespace

void extract(Stream& stream, TensorView<const complex64> region, TensorView<const float> offsets_px,
             TensorView<complex64> patches) {
  check("extract", region.shape(), offsets_px, patches.shape());
  require_contiguous("extract", "region", region);
  require_contiguous("extract", "patches", patches);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      require_finite("extract", "offsets_px", offsets_px);
      return cpu::extract(stream.device(), region, offsets_px, patches);
      PTYFUSE_ON_CUDA(cuda::extract(stream, region, offsets_px, patches));
  }
}

void extract_adjoint(Stream& stream, TensorView<const complex64> grad_patches, TensorView<const float> offsets_px,
                     TensorView<complex64> grad_region) {
  check("extract_adjoint", grad_region.shape(), offsets_px, grad_patches.shape());
  require_contiguous("extract_adjoint", "grad_patches", grad_patches);
  require_contiguous("extract_adjoint", "grad_region", grad_region);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      require_finite("extract_adjoint", "offsets_px", offsets_px);
      return cpu::extract_adjoint(stream.device(), grad_patches, offsets_px, grad_region);
      PTYFUSE_ON_CUDA(cuda::extract_adjoint(stream, grad_patches, offsets_px, grad_region));
  }
}

Cost extract_cost(const Shape& patches, int64_t canvas) {
  const auto pixels = static_cast<double>(patches.elements());
  return {.flop = 12 * pixels, .bytes = 8 * pixels + 8.0 * static_cast<double>(patches[0] * canvas * canvas)};
}

}  // namespace ptyfuse::ops
