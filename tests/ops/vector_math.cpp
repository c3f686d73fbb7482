#include "kernels/ops/vector_math.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

// |got - want| in units of the last place of want.
double ulps(float got, double want) {
  const float nearest = static_cast<float>(want);
  const double unit = std::nextafter(std::abs(nearest), INFINITY) - static_cast<double>(std::abs(nearest));
  return std::abs(static_cast<double>(got) - want) / unit;
}

struct Case {
  const char* name;
  float (*function)(float);
  double (*exact)(double);
  float low, high;
  double allowed_ulps;
};

double exact_logistic(double x) {
  return 1 / (1 + std::exp(-x));
}
double exact_softplus(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}
double exact_log(double x) {
  return std::log(x);
}
double exact_exp(double x) {
  return std::exp(x);
}
double exact_tanh(double x) {
  return std::tanh(x);
}

const Case cases[] = {
    {"logarithm", ops::logarithm, exact_log, 1e-8F, 1e-3F, 2},
    {"logarithm", ops::logarithm, exact_log, 1e-3F, 4.0F, 2},
    {"logarithm", ops::logarithm, exact_log, 4.0F, 1e9F, 2},
    {"logarithm", ops::logarithm, exact_log, 1e9F, 3e38F, 2},
    {"exponential", ops::exponential, exact_exp, -86.9F, 88.0F, 2},
    {"exponential", ops::exponential, exact_exp, -1.0F, 1.0F, 2},
    {"hyperbolic_tangent", ops::hyperbolic_tangent, exact_tanh, -1.0F, 1.0F, 3},
    {"hyperbolic_tangent", ops::hyperbolic_tangent, exact_tanh, -30.0F, 30.0F, 3},
    {"hyperbolic_tangent", ops::hyperbolic_tangent, exact_tanh, -1e-4F, 1e-4F, 3},
    {"logistic", ops::logistic, exact_logistic, -80.0F, 80.0F, 3},
    {"logistic", ops::logistic, exact_logistic, -2.0F, 2.0F, 3},
    {"log_one_plus_exponential", ops::log_one_plus_exponential, exact_softplus, -80.0F, 80.0F, 3},
    {"log_one_plus_exponential", ops::log_one_plus_exponential, exact_softplus, -3.0F, 3.0F, 3},
};

TEST(vector_math, elementary_functions_are_as_exact_as_they_say) {
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.name) + " " + std::to_string(c.low) + " .. " + std::to_string(c.high));
    double worst = 0;
    for (const float x : random_floats(100000, c.low, c.high, 3))
      worst = std::max(worst, ulps(c.function(x), c.exact(static_cast<double>(x))));
    EXPECT_WITHIN(worst, c.allowed_ulps);
    EXPECT_TRUE(std::isnan(c.function(NAN)));
  }
}

TEST(vector_math, logarithm_of_one_is_zero_and_of_infinity_infinite) {
  EXPECT_EQ(ops::logarithm(1.0F), 0.0F);
  EXPECT_EQ(ops::logarithm(INFINITY), INFINITY);
}

TEST(vector_math, ends_of_the_range) {
  EXPECT_EQ(ops::hyperbolic_tangent(0.0F), 0.0F);
  EXPECT_EQ(ops::hyperbolic_tangent(100.0F), 1.0F);
  EXPECT_EQ(ops::hyperbolic_tangent(-INFINITY), -1.0F);
  EXPECT_EQ(ops::logistic(INFINITY), 1.0F);
  EXPECT_WITHIN(ops::logistic(-INFINITY), 1e-37);
  EXPECT_EQ(ops::log_one_plus_exponential(200.0F), 200.0F);
}

TEST(vector_math, sine_and_cosine) {
  double worst = 0;
  for (const float limit : {0.01F, 4.0F, 30.0F, 1000.0F, ops::sine_cosine_limit_rad})
    for (const float x : random_floats(50000, -limit, limit, 5)) {
      const ops::SineCosine got = ops::sine_cosine(x);
      const double sine = std::sin(static_cast<double>(x)), cosine = std::cos(static_cast<double>(x));
      if (ulps(got.sine, sine) > 2) worst = std::max(worst, std::abs(got.sine - sine));
      if (ulps(got.cosine, cosine) > 2) worst = std::max(worst, std::abs(got.cosine - cosine));
    }
  EXPECT_WITHIN(worst, 1e-7);
  EXPECT_EQ(ops::sine_cosine(0.0F).sine, 0.0F);
  EXPECT_EQ(ops::sine_cosine(0.0F).cosine, 1.0F);
  EXPECT_TRUE(std::isnan(ops::sine_cosine(NAN).sine));
  EXPECT_TRUE(std::isnan(ops::sine_cosine(INFINITY).cosine));
}

}  // namespace
}  // namespace ptyfuse::tests
