#include "engine/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/device/error.h"
#include "tests/support/compare.h"

namespace ptyfuse {
namespace {

TEST(random, xoshiro256pp_from_a_known_state) {
  Random random;
  random.set_state({1, 2, 3, 4});
  // By hand: rotl(1 + 4, 23) + 1, then the state becomes {7, 0, 262146, rotl(6, 45)}.
  EXPECT_EQ(random.next(), (uint64_t{5} << 23) + 1);
  EXPECT_EQ(random.state(), (std::array<uint64_t, 4>{7, 0, 262146, uint64_t{6} << 45}));
  EXPECT_EQ(random.next(), 58720359u);  // the second number of the authors' program
}

TEST(random, seeding_is_splitmix64) {
  // The first numbers of splitmix64 from state 0.
  EXPECT_EQ(Random(0).state()[0], 0xe220a8397b1dcdafu);
  EXPECT_EQ(Random(0).state()[1], 0x6e789e6aa1b965f4u);
}

TEST(random, same_seed_same_numbers_and_purposes_differ) {
  Random a(5, 1), b(5, 1), c(5, 2), d(6, 1), e(5);
  std::set<uint64_t> firsts{a.next(), c.next(), d.next(), e.next()};
  EXPECT_EQ(firsts.size(), 4u);
  EXPECT_TRUE(firsts.count(b.next()));
  Random copy;
  copy.set_state(a.state());
  EXPECT_EQ(copy.next(), a.next());
}

TEST(random, uniform_has_mean_half_and_variance_a_twelfth) {
  Random random(11);
  const int n = 200000;
  double sum = 0, square = 0, low = 1, high = 0;
  for (int i = 0; i < n; ++i) {
    const double u = random.uniform();
    sum += u;
    square += u * u;
    low = std::min(low, u);
    high = std::max(high, u);
  }
  EXPECT_GE(low, 0);
  EXPECT_LT(high, 1);
  EXPECT_WITHIN(std::abs(sum / n - 0.5), 5 * std::sqrt(1.0 / 12 / n));
  EXPECT_WITHIN(std::abs(square / n - 1.0 / 3), 5 * std::sqrt(4.0 / 45 / n));
  EXPECT_WITHIN(std::abs(Random(3).uniform(-2, 6) - (-2 + 8 * Random(3).uniform())), 0);
}

TEST(random, below_is_even_and_in_range) {
  Random random(12);
  std::array<int, 7> count{};
  for (int i = 0; i < 70000; ++i) ++count.at(random.below(7));
  for (int c : count) EXPECT_WITHIN(std::abs(c - 10000.0), 5 * std::sqrt(10000.0));
  EXPECT_EQ(random.below(1), 0u);
  EXPECT_THROW(random.below(0), Error);
}

TEST(random, normal_moments) {
  Random random(13);
  const int n = 200000;
  double sum = 0, square = 0, fourth = 0;
  for (int i = 0; i < n; ++i) {
    const double x = random.normal();
    sum += x;
    square += x * x;
    fourth += x * x * x * x;
  }
  EXPECT_WITHIN(std::abs(sum / n), 5 / std::sqrt(n));
  EXPECT_WITHIN(std::abs(square / n - 1), 5 * std::sqrt(2.0 / n));
  EXPECT_WITHIN(std::abs(fourth / n - 3), 5 * std::sqrt(96.0 / n));
}

/// chi^2 of draws against exp(-mean) mean^k / k!, cells of at least 20 expected draws.
double chi_square_per_cell(double mean, int n, uint64_t seed) {
  Random random(seed);
  std::vector<int> count;
  for (int i = 0; i < n; ++i) {
    const auto k = static_cast<size_t>(random.poisson(mean));
    if (count.size() <= k) count.resize(k + 1);
    ++count[k];
  }
  double chi = 0, cells = 0, rest_expected = n, rest_count = n;
  for (size_t k = 0; k < count.size(); ++k) {
    const double x = static_cast<double>(k);
    const double expected = n * std::exp(-mean + x * std::log(mean) - std::lgamma(x + 1));
    if (expected < 20) continue;
    chi += (count[k] - expected) * (count[k] - expected) / expected;
    rest_expected -= expected;
    rest_count -= count[k];
    cells += 1;
  }
  chi += (rest_count - rest_expected) * (rest_count - rest_expected) / std::max(rest_expected, 1.0);
  return chi / (cells + 1);
}

TEST(random, poisson_has_its_distribution) {
  for (double mean : {0.02, 0.7, 5.0, 29.9, 30.1, 100.0, 1234.5}) {
    SCOPED_TRACE(mean);
    EXPECT_WITHIN(chi_square_per_cell(mean, 100000, 21), mean < 1 ? 3.5 : 2.0);
  }
}

TEST(random, poisson_mean_and_variance_at_large_means) {
  for (double mean : {1e5, 1e8}) {
    Random random(22);
    const int n = 50000;
    double sum = 0, square = 0;
    for (int i = 0; i < n; ++i) {
      const double k = random.poisson(mean);
      ASSERT_EQ(k, std::floor(k));
      const double d = (k - mean) / std::sqrt(mean);
      sum += d;
      square += d * d;
    }
    EXPECT_WITHIN(std::abs(sum / n), 5 / std::sqrt(n));
    EXPECT_WITHIN(std::abs(square / n - 1), 5 * std::sqrt(2.0 / n));
  }
}

TEST(random, poisson_edges) {
  Random random(1);
  EXPECT_EQ(random.poisson(0), 0);
  EXPECT_EQ(random.poisson(1e-300), 0);
  EXPECT_THROW(random.poisson(-1), Error);
  EXPECT_THROW(random.poisson(NAN), Error);
  EXPECT_THROW(random.poisson(INFINITY), Error);
}

TEST(random, permutation_and_choice) {
  Random random(31);
  std::vector<int64_t> p = random.permutation(100);
  EXPECT_FALSE(std::is_sorted(p.begin(), p.end()));
  std::sort(p.begin(), p.end());
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(p[static_cast<size_t>(i)], i);
  const std::vector<int64_t> c = random.choose(50, 7);
  EXPECT_EQ(std::set<int64_t>(c.begin(), c.end()).size(), 7u);
  for (int64_t i : c) EXPECT_TRUE(i >= 0 && i < 50);
  EXPECT_TRUE(random.choose(3, 0).empty());
  EXPECT_TRUE(random.permutation(0).empty());
  EXPECT_THROW(random.choose(3, 4), Error);
  // All six orders of three come equally often.
  std::array<int, 27> count{};
  for (int i = 0; i < 60000; ++i) {
    const auto q = random.permutation(3);
    ++count.at(static_cast<size_t>(q[0] * 9 + q[1] * 3 + q[2]));
  }
  for (int order : {0 * 9 + 1 * 3 + 2, 0 * 9 + 2 * 3 + 1, 9 + 2, 9 + 2 * 3, 18 + 1, 18 + 3})
    EXPECT_WITHIN(std::abs(count.at(static_cast<size_t>(order)) - 10000.0), 500);
}

}  // namespace
}  // namespace ptyfuse
