#pragma once
// Comparisons that NaN cannot pass.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstdint>

namespace ptyfuse::tests {

/// ||a - b|| / ||b|| in double; infinity where b is zero and a is not.
template <class A, class B>
double relative_l2(const A* a, const B* b, int64_t n) {
  double error = 0, norm = 0;
  for (int64_t i = 0; i < n; ++i) {
    error += std::norm(std::complex<double>(a[i]) - std::complex<double>(b[i]));
    norm += std::norm(std::complex<double>(b[i]));
  }
  if (norm == 0) return error == 0 ? 0 : (std::isnan(error) ? error : INFINITY);
  return std::sqrt(error / norm);
}

/// max |a - b|; NaN where either is.
template <class A, class B>
double max_difference(const A* a, const B* b, int64_t n) {
  double worst = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double d = std::abs(std::complex<double>(a[i]) - std::complex<double>(b[i]));
    if (!(d <= worst)) worst = d;
    if (std::isnan(worst)) return worst;
  }
  return worst;
}

/// <a, b> = sum a * conj(b), in double.
template <class A, class B>
std::complex<double> inner_product(const A* a, const B* b, int64_t n) {
  std::complex<double> sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::complex<double>(a[i]) * std::conj(std::complex<double>(b[i]));
  return sum;
}

}  // namespace ptyfuse::tests

/// Fails unless error <= tolerance, so that NaN fails.
#define EXPECT_WITHIN(error, tolerance)                                         \
  do {                                                                          \
    const double within_error = (error), within_tolerance = (tolerance);        \
    EXPECT_FALSE(!(within_error <= within_tolerance))                           \
        << #error << " = " << within_error << ", allowed " << within_tolerance; \
  } while (0)
