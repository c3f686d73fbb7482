#pragma once
// One or four float32 side by side: what a thread reads and writes at once.
#include <type_traits>

#include "kernels/ops/elementwise.cuh"

namespace ptyfuse::ops::cuda {

template <int kCount>
struct FloatRun {
  static_assert(kCount == 1 || kCount == 4);
  float value[kCount];
};

template <int kCount>
__device__ __forceinline__ FloatRun<kCount> load_run(const float* p) {
  FloatRun<kCount> r;
  if constexpr (kCount == 4) {
    const float4 v = four(p, 0);
    r.value[0] = v.x, r.value[1] = v.y, r.value[2] = v.z, r.value[3] = v.w;
  } else {
    r.value[0] = *p;
  }
  return r;
}

template <int kCount>
__device__ __forceinline__ void store_run(float* p, const FloatRun<kCount>& r) {
  if constexpr (kCount == 4)
    four(p, 0) = make_float4(r.value[0], r.value[1], r.value[2], r.value[3]);
  else
    *p = r.value[0];
}

/// Calls body(std::integral_constant<int, 4>) where fours fit, else with 1.
template <class Body>
void with_run(bool fours, const Body& body) {
  if (fours)
    body(std::integral_constant<int, 4>());
  else
    body(std::integral_constant<int, 1>());
}

}  // namespace ptyfuse::ops::cuda
