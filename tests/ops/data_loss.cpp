#include "kernels/ops/data_loss.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/physics_reference.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

using Loss = double (*)(Stream&, TensorView<const float>, TensorView<const float>, TensorView<const float>, double,
                        TensorView<float>);
struct Kind {
  const char* name;
  Loss loss;
  double (*reference)(double predicted, double measured);
};
const Kind kinds[] = {{"poisson_nll", ops::poisson_nll, poisson_loss},
                      {"amplitude_mae", ops::amplitude_mae, amplitude_loss}};

struct Case {
  Shape shape;
  float largest_count;
  bool masked;
  double weight;
};
const Case cases[] = {{{0, 4, 4}, 10, false, 1},
                      {{1, 1, 1}, 10, false, 1},
                      {{3, 64, 64}, 1000, false, 1},
                      {{2, 7, 9}, 1e6F, true, 0.25},
                      {{70000, 1, 2}, 5, true, 2}};

class DataLoss : public testing::TestWithParam<Case> {};

TEST_P(DataLoss, is_the_mean_over_used_pixels_with_its_slope) {
  const Case& c = GetParam();
  const int64_t n = c.shape.elements(), pixels = c.shape[1] * c.shape[2];
  Stream stream(test_device());
  auto predicted_values = random_floats(n, 0, c.largest_count, 1),
       measured_values = random_floats(n, 0, c.largest_count, 2);
  auto mask_values = random_floats(pixels, -1, 1, 3);
  for (float& m : mask_values) m = m > -0.5F ? 1.0F : 0.0F;
  mask_values[0] = 1;
  const auto mask = upload<float>(stream, {c.shape[1], c.shape[2]}, mask_values);
  double used = 0;
  for (int64_t i = 0; i < n; ++i) {
    const bool use = !c.masked || mask_values[static_cast<size_t>(i % pixels)] != 0;
    used += use ? 1 : 0;
    // What is not used may hold anything.
    if (!use) predicted_values[static_cast<size_t>(i)] = measured_values[static_cast<size_t>(i)] = NAN;
  }
  const auto predicted = upload<float>(stream, c.shape, predicted_values);
  const auto measured = upload<float>(stream, c.shape, measured_values);
  Tensor<float> grad(stream.device(), c.shape, "grad");
  for (const Kind& kind : kinds) {
    SCOPED_TRACE(kind.name);
    const auto mask_view = c.masked ? mask.view() : TensorView<const float>();
    const double got = kind.loss(stream, predicted.view(), measured.view(), mask_view, c.weight, grad.view());
    const auto host_grad = download(stream, grad);
    double want = 0, size = 0, worst = 0;
    for (size_t i = 0; i < host_grad.size(); ++i) {
      if (c.masked && mask_values[i % static_cast<size_t>(pixels)] == 0) {
        ASSERT_EQ(host_grad[i], 0.0F);
        continue;
      }
      const double p = predicted_values[i], m = measured_values[i], h = 1e-4 * p;
      const double term = kind.reference(p, m);
      want += term / used;
      size += std::abs(term) / used;
      // At its kink the amplitude loss has no slope to compare with.
      if (std::abs(p - m) < 1e-3 * p) continue;
      const double slope = (kind.reference(p + h, m) - kind.reference(p - h, m)) / (2 * h);
      const double scale = std::max(std::abs(slope), m / p);
      worst = std::max(worst, std::abs(host_grad[i] * used / c.weight - slope) / scale);
    }
    EXPECT_WITHIN(std::abs(got - want), 1e-7 * size);
    EXPECT_WITHIN(worst, 1e-6);
    EXPECT_EQ(got, kind.loss(stream, predicted.view(), measured.view(), mask_view, c.weight, {}));
  }
}

INSTANTIATE_TEST_SUITE_P(data_loss, DataLoss, testing::ValuesIn(cases));

TEST(data_loss, no_counts_anywhere_stay_finite) {
  Stream stream(test_device());
  const auto predicted = upload<float>(stream, {1, 1, 4}, {0, 0, 1e-9F, 1});
  const auto measured = upload<float>(stream, {1, 1, 4}, {0, 2, 3, 0});
  Tensor<float> grad(stream.device(), {1, 1, 4}, "grad");
  const double nll = ops::poisson_nll(stream, predicted.view(), measured.view(), {}, 4, grad.view());
  EXPECT_WITHIN(std::abs(nll - (-5 * std::log(1e-8) + 1) / 4), 1e-5);
  // Below the floor the logarithm is constant: its part of the slope is 0.
  EXPECT_EQ(download(stream, grad), std::vector<float>(4, 1));
  const double mae = ops::amplitude_mae(stream, predicted.view(), measured.view(), {}, 4, grad.view());
  EXPECT_WITHIN(std::abs(mae - (1e-4 + (std::sqrt(2) - 1e-4) + (std::sqrt(3) - std::sqrt(1.1e-8)) + 1) / 4), 1e-6);
  const auto slopes = download(stream, grad);
  EXPECT_WITHIN(std::abs(slopes[0] - 5000), 1e-2);
  EXPECT_WITHIN(std::abs(slopes[1] + 5000), 1e-2);
  EXPECT_WITHIN(std::abs(slopes[3] - 0.5), 1e-6);
}

TEST(data_loss, values_that_are_not_finite_show) {
  Stream stream(test_device());
  const auto fine = upload<float>(stream, {1, 1, 2}, {1, 2});
  for (const float bad : {NAN, INFINITY}) {
    const auto broken = upload<float>(stream, {1, 1, 2}, {1, bad});
    for (const Kind& kind : kinds) {
      EXPECT_FALSE(std::isfinite(kind.loss(stream, broken.view(), fine.view(), {}, 1, {})));
      EXPECT_FALSE(std::isfinite(kind.loss(stream, fine.view(), broken.view(), {}, 1, {})));
    }
  }
}

TEST(data_loss, an_empty_mask_gives_nothing) {
  Stream stream(test_device());
  const auto some = upload<float>(stream, {1, 1, 2}, {1, 2}), none = upload<float>(stream, {1, 2}, {0, 0});
  Tensor<float> grad(stream.device(), {1, 1, 2}, "grad");
  for (const Kind& kind : kinds) {
    EXPECT_EQ(kind.loss(stream, some.view(), some.view(), none.view(), 1, grad.view()), 0.0);
    EXPECT_EQ(download(stream, grad)[0], 0.0F);
  }
}

TEST(data_loss, refuses_a_mask_of_another_size) {
  Stream stream(test_device());
  const auto some = upload<float>(stream, {1, 1, 2}, {1, 2}), mask = upload<float>(stream, {2, 1}, {1, 1});
  try {
    ops::poisson_nll(stream, some.view(), some.view(), mask.view(), 1, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), "poisson_nll: mask is [2, 1], expected [1, 2]");
  }
}

}  // namespace
}  // namespace ptyfuse::tests
