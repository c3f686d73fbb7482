#include "kernels/ops/conv3x3_winograd_table.h"

namespace ptyfuse::ops::cpu {
namespace {

/// 6 x 2 sums of 8, two columns and a factor: 15 of the 16 registers.
struct Avx2 {
  static constexpr int lanes = 8, rows = 6;
};

}  // namespace

const WinogradKernels& winograd_avx2() {
  return winograd_table<Avx2>;
}

}  // namespace ptyfuse::ops::cpu
