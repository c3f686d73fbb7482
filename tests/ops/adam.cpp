#include "kernels/ops/adam.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using namespace tests;

struct Case {
  const char* name;
  int64_t parameters;
  int64_t first_step;
  ops::AdamSettings settings;
  double tolerance;  ///< of weights of order 1, after three steps
};
const Case cases[] = {
    {"none", 0, 1, {}, 0},
    {"one", 1, 1, {}, 2e-7},
    {"under_a_vector", 7, 1, {}, 2e-7},
    {"odd", 20011, 1, {}, 2e-7},
    {"late_step", 1000, 100000, {}, 2e-7},
    {"large_rate", 1000, 1, {.learning_rate = 0.1}, 5e-7},
    {"other_settings", 1000, 5, {.learning_rate = 1e-2, .beta1 = 0.5, .beta2 = 0.9, .epsilon = 1e-3}, 5e-7},
};

struct Outcome {
  std::vector<float> weights, m, v;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome run(const Case& c, const std::vector<std::vector<float>>& gradients, const std::vector<float>& start,
            int threads = 2) {
  Stream stream(test_device(threads));
  const Shape shape{c.parameters};
  auto weights = upload<float>(stream, shape, start);
  Tensor<float> m(stream.device(), shape, "m"), v(stream.device(), shape, "v");
  fill_zero(stream, m.view());
  fill_zero(stream, v.view());
  for (size_t s = 0; s < gradients.size(); ++s) {
    const auto gradient = upload<float>(stream, shape, gradients[s]);
    ops::adam(stream, c.settings, c.first_step + static_cast<int64_t>(s), gradient.view(), weights.view(), m.view(),
              v.view());
  }
  return {download(stream, weights), download(stream, m), download(stream, v)};
}

std::vector<std::vector<float>> random_gradients(int64_t parameters) {
  std::vector<std::vector<float>> out;
  for (unsigned s = 0; s < 3; ++s) out.push_back(random_floats(parameters, -1, 1, 10 + s));
  return out;
}

TEST(adam, first_step_moves_by_the_learning_rate) {
  const Outcome o = run({"", 2, 1, {}, 0}, {{0.5F, -4}}, {1, 1});
  EXPECT_WITHIN(std::abs(o.weights[0] - 0.999), 1e-7);
  EXPECT_WITHIN(std::abs(o.weights[1] - 1.001), 1e-7);
  EXPECT_WITHIN(std::abs(o.m[0] - 0.05), 1e-8);
  EXPECT_WITHIN(std::abs(o.v[1] - 0.016), 1e-8);
}

TEST(adam, zero_gradients_move_nothing) {
  const Outcome o = run({"", 3, 1, {}, 0}, {{0, 0, 0}, {0, 0, 0}}, {1, -2, 3});
  EXPECT_EQ(o.weights, (std::vector<float>{1, -2, 3}));
}

TEST(adam, equals_the_formula_in_double) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto gradients = random_gradients(c.parameters);
    const auto start = random_floats(c.parameters, -1, 1, 1);
    const Outcome o = run(c, gradients, start);
    const ops::AdamSettings& a = c.settings;
    for (size_t i = 0; i < start.size(); ++i) {
      double w = start[i], m = 0, v = 0;
      for (size_t s = 0; s < gradients.size(); ++s) {
        const double g = gradients[s][i], t = static_cast<double>(c.first_step) + static_cast<double>(s);
        m = a.beta1 * m + (1 - a.beta1) * g;
        v = a.beta2 * v + (1 - a.beta2) * g * g;
        w -= a.learning_rate * std::sqrt(1 - std::pow(a.beta2, t)) / (1 - std::pow(a.beta1, t)) * m /
             (std::sqrt(v) + a.epsilon);
      }
      ASSERT_LE(std::abs(o.weights[i] - w), c.tolerance) << "weight " << i;
      ASSERT_LE(std::abs(o.m[i] - m), 2e-7) << "m " << i;
      ASSERT_LE(std::abs(o.v[i] - v), 2e-7) << "v " << i;
    }
  }
}

// What training uses: the rate and whether the step counts lie in the device's memory.
TEST(adam, with_its_rate_in_memory_gives_the_same_bits) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto gradients = random_gradients(c.parameters);
    const auto start = random_floats(c.parameters, -1, 1, 1);
    const Outcome expected = run(c, gradients, start);
    Stream stream(test_device());
    const Shape shape{c.parameters};
    auto weights = upload<float>(stream, shape, start);
    Tensor<float> m(stream.device(), shape, "m"), v(stream.device(), shape, "v");
    fill_zero(stream, m.view());
    fill_zero(stream, v.view());
    const auto step = [&](size_t s, double going) {
      const auto gradient = upload<float>(stream, shape, gradients[s]);
      const double rate = ops::adam_rate(c.settings, c.first_step + static_cast<int64_t>(s));
      const auto in_memory = upload<float>(stream, {1}, {static_cast<float>(rate)});
      const auto flag = upload<double>(stream, {1}, {going});
      ops::adam(stream, c.settings, in_memory.view(), flag.view(), gradient.view(), weights.view(), m.view(), v.view());
    };
    for (size_t s = 0; s < gradients.size(); ++s) {
      step(s, 1);
      step(s, 0);  // changes nothing
    }
    EXPECT_EQ((Outcome{download(stream, weights), download(stream, m), download(stream, v)}), expected);
  }
}

TEST(adam, repeats_bit_for_bit) {
  const Case c{"", 100003, 1, {}, 0};
  const auto gradients = random_gradients(c.parameters);
  const auto start = random_floats(c.parameters, -1, 1, 1);
  EXPECT_EQ(run(c, gradients, start), run(c, gradients, start));
}

TEST(adam, says_what_does_not_fit) {
  Stream stream(test_device());
  Tensor<float> a(stream.device(), {4}, "a"), b(stream.device(), {5}, "b");
  EXPECT_EQ(error_message([&] { ops::adam(stream, {}, 0, a.view(), a.view(), a.view(), a.view()); }),
            "adam: step 0, expected 1 or more");
  EXPECT_EQ(error_message([&] { ops::adam(stream, {}, 1, a.view(), a.view(), b.view(), a.view()); }),
            "adam: m is [5], expected [4]");
  EXPECT_EQ(error_message([&] { ops::adam_rate({}, 0); }), "adam: step 0, expected 1 or more");
  const auto rate = upload<float>(stream, {1}, {0.1F});
  EXPECT_EQ(error_message([&] { ops::adam(stream, {}, rate.view(), {}, a.view(), a.view(), a.view(), a.view()); }),
            "adam: going is [], expected [1]");
}

TEST(adam, names_its_cost) {
  EXPECT_EQ(ops::adam_cost(100).bytes, 2800);
  EXPECT_EQ(ops::adam_cost(100).flop, 1200);
}

}  // namespace
}  // namespace ptyfuse
