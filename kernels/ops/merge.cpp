#include "kernels/ops/merge.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/merge_cpu.h"
#include "kernels/ops/merge_cuda.h"

namespace ptyfuse::ops {
namespace {

void check(const char* operation, const MergeArgs& args, const Shape& patches, const Shape& region) {
  if (patches.rank() != 4 || patches[2] != patches[3])
    throw_shape_error(operation, "patches are " + patches.str() + ", expected [B, C, N, N]");
  if (region.rank() != 3 || region[0] != patches[0] || region[1] != region[2])
    throw_shape_error(operation, "region is " + region.str() + ", expected [B, Q, Q] for patches " + patches.str());
  const int64_t margin = region[1] - patches[2];
  if (margin < 0 || margin % 2 != 0)
    throw_shape_error(operation, "canvas Q = " + std::to_string(region[1]) + " for N = " + std::to_string(patches[2]) +
                                     ": Q - N must be even and not negative");
  require_dense(operation, "offsets_px", args.offsets_px, {patches[0], patches[1], 2});
  require_dense(operation, "weight", args.weight, {patches[2], patches[3]});
}

}  // namespace

void merge(Stream& stream, const MergeArgs& args, TensorView<const complex64> patches, TensorView<complex64> region) {
  check("merge", args, patches.shape(), region.shape());
  require_contiguous("merge", "patches", patches);
  require_contiguous("merge", "region", region);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      require_finite("merge", "offsets_px", args.offsets_px);
      return cpu::merge(stream.device(), args, patches, region);
      PTYFUSE_ON_CUDA(cuda::merge(stream, args, patches, region));
  }
}

void merge_adjoint(Stream& stream, const MergeArgs& args, TensorView<const complex64> grad_region,
                   TensorView<complex64> grad_patches) {
  check("merge_adjoint", args, grad_patches.shape(), grad_region.shape());
  require_contiguous("merge_adjoint", "grad_region", grad_region);
  require_contiguous("merge_adjoint", "grad_patches", grad_patches);
  switch (stream.device().kind()) {
    case DeviceKind::cpu:
      require_finite("merge_adjoint", "offsets_px", args.offsets_px);
      return cpu::merge_adjoint(stream.device(), args, grad_region, grad_patches);
      PTYFUSE_ON_CUDA(cuda::merge_adjoint(stream, args, grad_region, grad_patches));
  }
}

Cost merge_cost(const Shape& patches, int64_t canvas) {
  const auto pixels = static_cast<double>(patches.elements());
  const auto region = static_cast<double>(patches[0] * canvas * canvas);
  return {.flop = 20 * pixels + 4 * region, .bytes = 8 * pixels + 8 * region};
}

}  // namespace ptyfuse::ops
