#pragma once
#include <complex>
#include <cstdint>
#include <span>
#include <vector>

namespace ptyfuse {

enum class Direction { forward, inverse };

/// Two-dimensional DFT of field [height,width] in double, in place, unscaled; forward has exp(-i ...).
/// May be called from several threads at once.
void dft2(std::span<std::complex<double>> field, int64_t height, int64_t width, Direction direction);

/// The DFT at any places, by two matrix products: out[a,b] = sum_yx field[y,x] exp(2 pi i (p[a] u[y] + q[b] v[x])),
/// out [|p|,|q|], u [height], v [width]. FLOP: 8 |q| H W + 8 |p| |q| H.
std::vector<std::complex<double>> partial_dft2(std::span<const std::complex<double>> field, std::span<const double> u,
                                               std::span<const double> v, std::span<const double> p,
                                               std::span<const double> q);

/// Frequency of DFT bin k of n, in cycles over the n samples: k below n/2, else k - n.
inline int64_t dft_frequency(int64_t k, int64_t n) {
  return k < (n + 1) / 2 ? k : k - n;
}

}  // namespace ptyfuse
