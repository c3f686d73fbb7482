#pragma once
// One or two complex64 side by side: what a thread reads and writes at once.
#include <type_traits>

#include "kernels/ops/complex_math.cuh"
#include "kernels/ops/elementwise.cuh"

namespace ptyfuse::ops::cuda {

template <int kCount>
struct ComplexRun {
  static_assert(kCount == 1 || kCount == 2);
  float2 value[kCount];
};

template <int kCount>
__device__ __forceinline__ ComplexRun<kCount> load_complex(const float2* p) {
  if constexpr (kCount == 2) {
    const float4 v = *reinterpret_cast<const float4*>(p);
    return {{make_float2(v.x, v.y), make_float2(v.z, v.w)}};
  } else {
    return {{*p}};
  }
}

template <int kCount>
__device__ __forceinline__ void store_complex(float2* p, const ComplexRun<kCount>& r) {
  if constexpr (kCount == 2)
    *reinterpret_cast<float4*>(p) = make_float4(r.value[0].x, r.value[0].y, r.value[1].x, r.value[1].y);
  else
    *p = r.value[0];
}

/// Calls body(std::integral_constant<int, 2>) where pairs fit, else with 1.
template <class Body>
void with_complex_run(bool pairs, const Body& body) {
  if (pairs)
    body(std::integral_constant<int, 2>());
  else
    body(std::integral_constant<int, 1>());
}

}  // namespace ptyfuse::ops::cuda
