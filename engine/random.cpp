#include "engine/random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

/// Steele, Lea and Flood 2014; a bijection of its state, so different states give different numbers.
uint64_t splitmix64(uint64_t& state) {
  state += 0x9e3779b97f4a7c15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t rotate_left(uint64_t x, int bits) {
  return (x << bits) | (x >> (64 - bits));
}

/// ln k!: the C library's lgamma writes a global sign, which threads must not share.
double log_factorial(double k) {
  static constexpr std::array<double, 10> exact{
      0.0,
      0.0,
      0.69314718055994530942,
      1.7917594692280550008,
      3.1780538303479456196,
      4.7874917427820459942,
      6.5792512120101009951,
      8.5251613610654143002,
      10.604602902745250228,
      12.801827480081469611,
  };
  if (k < 10) return exact[static_cast<size_t>(k)];
  const double x = k + 1, inverse = 1 / x, square = inverse * inverse;
  const double series = inverse * (1.0 / 12 + square * (-1.0 / 360 + square * (1.0 / 1260 - square / 1680)));
  return (x - 0.5) * std::log(x) - x + 0.91893853320467274178 + series;
}

}  // namespace

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) word = splitmix64(seed);
}

Random::Random(uint64_t seed, uint64_t purpose) {
  const uint64_t mixed_seed = splitmix64(seed);
  uint64_t mix = mixed_seed ^ (purpose * 0xd1342543de82ef95u + 0x2545f4914f6cdd1du);
  for (uint64_t& word : state_) word = splitmix64(mix);
}

// Blackman and Vigna 2021, xoshiro256++.
uint64_t Random::next() {
  auto& s = state_;
  const uint64_t result = rotate_left(s[0] + s[3], 23) + s[0];
  const uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate_left(s[3], 45);
  return result;
}

double Random::uniform() {
  return static_cast<double>(next() >> 11) * 0x1p-53;
}

uint64_t Random::below(uint64_t n) {
  if (n == 0) throw_shape_error("Random::below", "n is 0, expected at least 1");
  const uint64_t first_fair = (0 - n) % n;  // 2^64 mod n: the draws below it would favour small numbers
  for (;;) {
    const uint64_t draw = next();
    if (draw >= first_fair) return draw % n;
  }
}

// Marsaglia's polar method; the second number is dropped so that the state is all there is to store.
double Random::normal() {
  for (;;) {
    const double u = uniform(-1, 1), v = uniform(-1, 1);
    const double square = u * u + v * v;
    if (square > 0 && square < 1) return u * std::sqrt(-2 * std::log(square) / square);
  }
}

double Random::poisson(double mean) {
  if (!(mean >= 0) || std::isinf(mean))
    throw Error(ErrorKind::numeric, "Random::poisson: mean " + std::to_string(mean) + ", expected a finite one >= 0");
  if (mean < 30) {
    // The rounded tail of the sum may stay below the last draws; beyond 300 no probability is left in double.
    double left = uniform(), probability = std::exp(-mean), k = 0;
    while (left >= probability && k < 300) {
      left -= probability;
      k += 1;
      probability *= mean / k;
    }
    return k;
  }
  const double b = 0.931 + 2.53 * std::sqrt(mean), a = -0.059 + 0.02483 * b;
  const double accept_at_once = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const double u = uniform() - 0.5, v = uniform();
    const double s = 0.5 - std::abs(u);
    const double k = std::floor((2 * a / s + b) * u + mean + 0.43);
    if (s >= 0.07 && v <= accept_at_once) return k;
    if (k < 0 || (s < 0.013 && v > s)) continue;
    const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    if (std::log(v * inverse_alpha / (a / (s * s) + b)) <= k * std::log(mean) - mean - log_factorial(k)) return k;
  }
}

std::vector<int64_t> Random::permutation(int64_t n) {
  return choose(n, n);
}

std::vector<int64_t> Random::choose(int64_t n, int64_t k) {
  if (k < 0 || n < k)
    throw_shape_error("Random::choose",
                      "cannot choose " + std::to_string(k) + " different ones of " + std::to_string(n));
  std::vector<int64_t> numbers(static_cast<size_t>(n));
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  for (int64_t i = 0; i < k; ++i) {
    const auto other = i + static_cast<int64_t>(below(static_cast<uint64_t>(n - i)));
    std::swap(numbers[static_cast<size_t>(i)], numbers[static_cast<size_t>(other)]);
  }
  numbers.resize(static_cast<size_t>(k));
  return numbers;
}

}  // namespace ptyfuse
