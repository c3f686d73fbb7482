#pragma once
// Elementary functions in single precision for `#pragma omp simd` loops: no branch, no table, no call, so that the
// compiler turns a loop over them into vector code. Polynomials are minimax fits of our own; errors are in units in the
// last place (ulp), measured by tests/ops/vector_math.cpp. NaN in, NaN out.
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace ptyfuse::ops {

/// Arguments of sine_cosine beyond this lose accuracy in the reduction to a quarter turn.
inline constexpr float sine_cosine_limit_rad = 8192.0F;

struct SineCosine {
  float sine, cosine;
};

/// sin and cos of |x_rad| <= sine_cosine_limit_rad, to 2 ulp or 1e-7 absolute.
inline SineCosine sine_cosine(float x_rad) {
  // Adding this constant rounds to a whole number of quarter turns and leaves it in the low bits.
  constexpr float to_whole = 12582912.0F;
  constexpr float half_pi_high = 1.57079637F, half_pi_middle = -4.37113883e-08F, half_pi_low = -1.71512449e-15F;
  const float shifted = std::fma(x_rad, 0.636619772F, to_whole), turns = shifted - to_whole;
  const uint32_t quadrant = std::bit_cast<uint32_t>(shifted);
  float r = std::fma(-turns, half_pi_high, x_rad);
  r = std::fma(-turns, half_pi_middle, r);
  r = std::fma(-turns, half_pi_low, r);
  const float z = r * r;
  const float s = std::fma(r * z, std::fma(z, std::fma(z, -1.95167e-04F, 8.332174e-03F), -0.166666549F), r);
  const float c = std::fma(z * z, std::fma(z, std::fma(z, 2.443772855e-05F, -1.388736143e-03F), 4.166664675e-02F),
                           std::fma(z, -0.5F, 1.0F));
  const uint32_t swap = 0U - (quadrant & 1U);
  const uint32_t sb = std::bit_cast<uint32_t>(s), cb = std::bit_cast<uint32_t>(c), difference = (sb ^ cb) & swap;
  return {std::bit_cast<float>((sb ^ difference) ^ ((quadrant & 2U) << 30)),
          std::bit_cast<float>((cb ^ difference) ^ (((quadrant + 1U) & 2U) << 30))};
}

/// Natural logarithm of x, positive and normal (or +infinity), to 2 ulp.
inline float logarithm(float x) {
  // Subtracting the bits of sqrt(1/2) makes the exponent field carry at sqrt(2): mantissas lie about 1.
  constexpr uint32_t root_half = 0x3F3504F3U;
  const uint32_t bits = std::bit_cast<uint32_t>(x) - root_half;
  const float exponent = static_cast<float>(static_cast<int32_t>(bits) >> 23);
  const float f = std::bit_cast<float>((bits & 0x007FFFFFU) + root_half) - 1.0F;
  const float z = f * f;
  float p = 0.069182322F;
  p = std::fma(p, f, -0.117839448F);
  p = std::fma(p, f, 0.118681129F);
  p = std::fma(p, f, -0.123852531F);
  p = std::fma(p, f, 0.142195932F);
  p = std::fma(p, f, -0.166692165F);
  p = std::fma(p, f, 0.200021666F);
  p = std::fma(p, f, -0.249999867F);
  p = std::fma(p, f, 0.333333116F);
  // ln 2 in two parts: the upper one times an exponent is exact.
  const float small = std::fma(z * f, p, std::fma(exponent, 3.19461833e-05F, -0.5F * z));
  const float result = std::fma(exponent, 0.693115234F, f + small);
  return x < std::numeric_limits<float>::infinity() ? result : x;
}

/// exp(x) to 2 ulp where the result is normal; below -87 and above 88 as at these.
inline float exponential(float x) {
  constexpr float to_whole = 12582912.0F;
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  const float shifted = std::fma(x, 1.44269504F, to_whole), k = shifted - to_whole;
  const float r = std::fma(-k, 3.19461833e-05F, std::fma(-k, 0.693115234F, x));
  float p = 0.001395071F;
  p = std::fma(p, r, 0.008369018F);
  p = std::fma(p, r, 0.041666203F);
  p = std::fma(p, r, 0.166665178F);
  p = std::fma(p, r, 0.50000001F);
  const float mantissa = 1.0F + std::fma(r * r, p, r);
  const uint32_t power = (std::bit_cast<uint32_t>(shifted) + 127U) << 23;
  return mantissa * std::bit_cast<float>(power);
}

/// tanh(x) to 3 ulp.
inline float hyperbolic_tangent(float x) {
  const float z = x * x;
  float p = -0.005717037F;
  p = std::fma(p, z, 0.020650579F);
  p = std::fma(p, z, -0.053743495F);
  p = std::fma(p, z, 0.133314913F);
  p = std::fma(p, z, -0.333332839F);
  const float near_zero = std::fma(x * z, p, x);
  const float size = std::fabs(x), e = exponential(-2.0F * size);
  const float far = std::copysign((1.0F - e) / (1.0F + e), x);
  return size < 0.625F ? near_zero : far;
}

/// 1 / (1 + exp(-x)) to 3 ulp where the result is normal.
inline float logistic(float x) {
  const float e = exponential(-std::fabs(x)), one_side = 1.0F / (1.0F + e);
  return x < 0.0F ? e * one_side : one_side;
}

/// ln(1 + exp(x)) to 3 ulp where the result is normal.
inline float log_one_plus_exponential(float x) {
  const float e = exponential(-std::fabs(x)), sum = 1.0F + e;
  // The second term gives back what the rounding of 1 + e took.
  const float log_sum = logarithm(sum) + (e - (sum - 1.0F)) / sum;
  return (x < 0.0F ? 0.0F : x) + log_sum;
}

}  // namespace ptyfuse::ops
