#pragma once
#include <memory>

#include "kernels/ops/conv3x3_body.h"

namespace ptyfuse::ops::cpu {

/// Convolution by oneDNN on tiles of a processor's AMX unit: inputs, weights and output gradients are converted to
/// bfloat16 at the edges, sums are float32. Every thread runs oneDNN on its own images. `element` fp32 keeps float32
/// throughout and takes whatever implementation the processor has: how the rest is tested where there is no AMX.
/// Null where oneDNN has no such convolution for this shape and processor.
std::unique_ptr<Conv3x3Body> make_dnnl_conv3x3(const Device& device, const Conv3x3Spec& spec, bool training,
                                               const std::shared_ptr<Conv3x3Scratch>& scratch, Precision element);

}  // namespace ptyfuse::ops::cpu
