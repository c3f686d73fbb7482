#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

// By pragma and not by the file's flags: what the standard headers define inline must stay fit for every processor.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512cd,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")

#include "kernels/ops/conv3x3_winograd_table.h"

namespace ptyfuse::ops::cpu {
namespace {

/// 14 x 2 sums of 16, two columns and a factor: 31 of the 32 registers.
struct Avx512 {
  static constexpr int lanes = 16, rows = 14;
};

}  // namespace

const WinogradKernels& winograd_avx512() {
  return winograd_table<Avx512>;
}

}  // namespace ptyfuse::ops::cpu

#pragma GCC pop_options
