#include "kernels/ops/conv3x3_body.h"
#include "kernels/ops/conv3x3_dnnl.h"
#include "kernels/ops/conv3x3_winograd.h"

namespace ptyfuse::ops::cpu {

std::unique_ptr<Conv3x3Body> make_conv3x3(const Device& device, const Conv3x3Spec& spec, bool training,
                                          std::shared_ptr<Conv3x3Scratch> scratch) {
  if (spec.precision == Precision::bf16 && device.cpu_features().amx_bf16)
    if (auto conv = make_dnnl_conv3x3(device, spec, training, scratch, Precision::bf16)) return conv;
  // Without AMX, bfloat16 is rounding before the float32 kernels.
  const WinogradKernels& kernels = device.cpu_features().avx512 ? winograd_avx512() : winograd_avx2();
  return std::make_unique<WinogradConv3x3>(device, spec, training, std::move(scratch), kernels);
}

}  // namespace ptyfuse::ops::cpu
