#pragma once
// The table of kernels of one vector width; included by the file that compiles it for its processors.
#include "kernels/ops/conv3x3_gemm.h"
#include "kernels/ops/conv3x3_winograd_tiles.h"
#include "kernels/ops/conv3x3_winograd_weights.h"

namespace ptyfuse::ops::cpu {

template <class Isa>
inline constexpr WinogradKernels winograd_table = {
    .lanes = Isa::lanes,
    .input = {transform<Isa, InputRow<false>, false>, transform<Isa, SmallInputRow, false>},
    .gradient_for_input = {transform<Isa, InputRow<false>, false>, transform<Isa, InputRow<true>, false>},
    .gradient_for_weights = {transform<Isa, GradientRow<false>, true>, transform<Isa, GradientRow<true>, true>},
    .output = {inverse<Isa, OutputRow<false>>, inverse<Isa, OutputRow<true>>},
    .input_gradient = {inverse<Isa, OutputRow<false>>, inverse<Isa, SmallOutputRow>},
    .products = plane_products<Isa>,
    .gradients = plane_gradients<Isa>,
    .pack_weights = {pack_weights<Isa, false>, pack_weights<Isa, true>},
    .weight_gradient = {weight_gradient<Isa, false>, weight_gradient<Isa, true>},
};

}  // namespace ptyfuse::ops::cpu
