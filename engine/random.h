#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace ptyfuse {

/// xoshiro256++ seeded by splitmix64: the same numbers on every machine and library. Its state can be stored.
class Random {
 public:
  explicit Random(uint64_t seed = 0);
  /// A stream of its own for a purpose, so that one draw more here moves nothing there.
  Random(uint64_t seed, uint64_t purpose);

  uint64_t next();
  /// [0, 1), 53 bits
  double uniform();
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// [0, n), unbiased; n > 0
  uint64_t below(uint64_t n);
  double normal();
  /// Poisson with mean >= 0 (exact by inversion below 30, PTRS of Hormann 1993 above).
  double poisson(double mean);
  /// 0 .. n-1 in random order (Fisher-Yates)
  std::vector<int64_t> permutation(int64_t n);
  /// k different ones of 0 .. n-1, in random order
  std::vector<int64_t> choose(int64_t n, int64_t k);

  std::array<uint64_t, 4> state() const { return state_; }
  void set_state(const std::array<uint64_t, 4>& state) { state_ = state; }

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace ptyfuse
