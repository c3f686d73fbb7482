#pragma once
// Complex arithmetic of kernels; a complex64 is a float2.
#include "kernels/device/launch.cuh"
#include "kernels/device/tensor_view.h"

namespace ptyfuse::ops::cuda {

/// As kernels take it.
inline float2* device_pointer(complex64* data) {
  return reinterpret_cast<float2*>(data);
}
inline const float2* device_pointer(const complex64* data) {
  return reinterpret_cast<const float2*>(data);
}

__device__ __forceinline__ float2 add(float2 a, float2 b) {
  return make_float2(a.x + b.x, a.y + b.y);
}
__device__ __forceinline__ float2 subtract(float2 a, float2 b) {
  return make_float2(a.x - b.x, a.y - b.y);
}
__device__ __forceinline__ float2 scale(float by, float2 a) {
  return make_float2(by * a.x, by * a.y);
}
__device__ __forceinline__ float2 multiply(float2 a, float2 b) {
  return make_float2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}
/// conj(a) * b
__device__ __forceinline__ float2 multiply_conjugate(float2 a, float2 b) {
  return make_float2(a.x * b.x + a.y * b.y, a.x * b.y - a.y * b.x);
}
__device__ __forceinline__ float squared_magnitude(float2 a) {
  return a.x * a.x + a.y * a.y;
}
/// (cos, sin) of x_rad to 2 units in the last place or 1e-7 absolute where |x_rad| <= 1e8, some point of the unit
/// circle beyond. Unlike sincosf it has no slow way for large arguments, which would take local memory: the reduction
/// to a quarter turn is done in double. Polynomials as in vector_math.h. NaN and infinity give NaN.
__device__ __forceinline__ float2 unit_circle(float x_rad) {
  constexpr double half_pi = 1.5707963267948966, per_half_pi = 0.63661977236758134;
  const double turns = rint(static_cast<double>(x_rad) * per_half_pi);
  float r = static_cast<float>(fma(-turns, half_pi, static_cast<double>(x_rad)));
  if (fabsf(r) > 0.8F) r = 0.0F;  // not reduced: no such phase
  const int quadrant = static_cast<int>(fmin(fmax(turns, -1e9), 1e9)) & 3;
  const float z = r * r;
  const float s = fmaf(r * z, fmaf(z, fmaf(z, -1.95167e-04F, 8.332174e-03F), -0.166666549F), r);
  const float c =
      fmaf(z * z, fmaf(z, fmaf(z, 2.443772855e-05F, -1.388736143e-03F), 4.166664675e-02F), fmaf(z, -0.5F, 1.0F));
  const float along = quadrant % 2 == 0 ? c : s, across = quadrant % 2 == 0 ? s : c;
  return make_float2(quadrant == 1 || quadrant == 2 ? -along : along, quadrant >= 2 ? -across : across);
}

/// amplitude * exp(i * phase_rad)
__device__ __forceinline__ float2 polar(float amplitude, float phase_rad) {
  return scale(amplitude, unit_circle(phase_rad));
}

/// The gradient with respect to amplitude (x) and phase (y) of amplitude * exp(i * phase_rad), from the gradient
/// dL/dRe + i*dL/dIm.
__device__ __forceinline__ float2 polar_gradient(float amplitude, float phase_rad, float2 grad) {
  const float2 turned = multiply_conjugate(unit_circle(phase_rad), grad);
  return make_float2(turned.x, amplitude * turned.y);
}

}  // namespace ptyfuse::ops::cuda
