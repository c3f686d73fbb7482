#include "kernels/ops/absolute_error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/support/compare.h"
#include "tests/support/device.h"

namespace ptyfuse::tests {
namespace {

struct Case {
  Shape shape;
  double tolerance;  // relative, of the loss
};
const std::vector<Case> cases = {
    {{1}, 1e-12}, {{3, 5, 5, 1}, 1e-12}, {{70000, 1, 1, 1}, 1e-12}, {{16, 64, 64, 1}, 1e-12}, {{2, 33, 1000}, 1e-12}};

std::vector<float> draw(std::mt19937_64& random, const Shape& shape) {
  std::normal_distribution<float> normal;
  std::vector<float> v(static_cast<size_t>(shape.elements()));
  for (float& e : v) e = normal(random);
  return v;
}

TEST(absolute_error, small_case_by_hand) {
  Stream stream(test_device());
  const Tensor<float> value = upload<float>(stream, {4}, {1, 2, -3, 5}),
                      target = upload<float>(stream, {4}, {2, 2, -5, 5});
  Tensor<float> gradient(stream.device(), {4}, "gradient");
  EXPECT_DOUBLE_EQ(ops::absolute_error(stream, value.view(), target.view(), gradient.view()), 0.75);
  EXPECT_EQ(download(stream, gradient), (std::vector<float>{-0.25F, 0, 0.25F, 0}));
}

TEST(absolute_error, agrees_with_a_plain_sum_and_its_differences) {
  std::mt19937_64 random(3);
  Stream stream(test_device());
  for (const Case& c : cases) {
    SCOPED_TRACE(c.shape.str());
    const std::vector<float> a = draw(random, c.shape), b = draw(random, c.shape);
    double expected = 0;
    for (size_t i = 0; i < a.size(); ++i) expected += std::abs(static_cast<double>(a[i]) - b[i]);
    expected /= static_cast<double>(a.size());
    const Tensor<float> value = upload<float>(stream, c.shape, a), target = upload<float>(stream, c.shape, b);
    Tensor<float> gradient(stream.device(), c.shape, "gradient"), again(stream.device(), c.shape, "gradient");
    const double loss = ops::absolute_error(stream, value.view(), target.view(), gradient.view());
    EXPECT_WITHIN(std::abs(loss - expected), c.tolerance * expected);
    EXPECT_EQ(ops::absolute_error(stream, value.view(), target.view(), {}), loss);
    EXPECT_EQ(ops::absolute_error(stream, value.view(), target.view(), again.view()), loss);
    EXPECT_EQ(download(stream, gradient), download(stream, again));
    const auto slopes = download(stream, gradient);
    for (size_t i = 0; i < a.size(); i += 1 + a.size() / 50) {
      const double step = 1e-6, base = static_cast<double>(a[i]) - b[i];
      const double difference = (std::abs(base + step) - std::abs(base - step)) / (2 * step);
      EXPECT_NEAR(slopes[i] * static_cast<double>(a.size()), difference, 1e-6);
    }
    EXPECT_EQ(ops::absolute_error_cost(c.shape).bytes, 12.0 * static_cast<double>(a.size()));
  }
}

TEST(absolute_error, no_element_gives_zero_and_nan_shows) {
  Stream stream(test_device());
  const Tensor<float> none(stream.device(), {0, 4}, "none");
  EXPECT_EQ(ops::absolute_error(stream, none.view(), none.view(), {}), 0);
  const Tensor<float> value = upload<float>(stream, {2}, {NAN, 1}), target = upload<float>(stream, {2}, {0, 0});
  Tensor<float> gradient(stream.device(), {2}, "gradient");
  EXPECT_TRUE(std::isnan(ops::absolute_error(stream, value.view(), target.view(), gradient.view())));
  EXPECT_TRUE(std::isnan(download(stream, gradient)[0]));
}

TEST(absolute_error, refuses_shapes_that_differ) {
  const Device device = test_device();
  Stream stream(device);
  Tensor<float> a(device, {2, 3}, "a"), b(device, {3, 2}, "b");
  EXPECT_THROW(ops::absolute_error(stream, a.view(), b.view(), {}), Error);
  EXPECT_THROW(ops::absolute_error(stream, a.view(), a.view(), b.view()), Error);
  EXPECT_THROW(ops::absolute_error(stream, a.view().permute({1, 0}), b.view(), {}), Error);
}

}  // namespace
}  // namespace ptyfuse::tests
