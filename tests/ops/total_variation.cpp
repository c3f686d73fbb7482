#include "kernels/ops/total_variation.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/physics_reference.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

struct Case {
  Shape shape;
  double weight;
};
const Case cases[] = {{{0, 4, 4}, 1}, {{1, 1, 1}, 1},     {{1, 1, 5}, 2},
                      {{2, 5, 1}, 1}, {{3, 64, 64}, 0.5}, {{70000, 2, 2}, 1}};

double reference(const Field& f, int64_t h, int64_t w) {
  double sum = 0;
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x) {
      const auto at = static_cast<size_t>(y * w + x);
      if (y + 1 < h) sum += std::norm(f[at + static_cast<size_t>(w)] - f[at]);
      if (x + 1 < w) sum += std::norm(f[at + 1] - f[at]);
    }
  return sum;
}

class TotalVariation : public testing::TestWithParam<Case> {};

TEST_P(TotalVariation, sums_squared_differences_and_has_its_gradient) {
  const Shape s = GetParam().shape;
  const int64_t pixels = s[1] * s[2];
  Stream stream(test_device());
  const auto host = random_complex(s.elements(), 1);
  const auto fields = upload<complex64>(stream, s, host);
  Tensor<complex64> grad(stream.device(), s, "grad");
  const double got = ops::total_variation(stream, fields.view(), GetParam().weight, grad.view());
  const auto host_grad = download(stream, grad);
  double want = 0;
  for (int64_t n = 0; n < s[0]; ++n) {
    Field f(host.begin() + n * pixels, host.begin() + (n + 1) * pixels);
    want += reference(f, s[1], s[2]);
    for (int64_t i = n % pixels; i < pixels && n < 100; i += 1 + pixels / 7) {
      auto& at = f[static_cast<size_t>(i)];
      const auto middle = at;
      const double h = 1e-3;
      double slope[4];
      int k = 0;
      for (const std::complex<double> step : {std::complex<double>(h, 0), {-h, 0}, {0, h}, {0, -h}}) {
        at = middle + step;
        slope[k++] = reference(f, s[1], s[2]);
      }
      at = middle;
      const std::complex<double> difference((slope[0] - slope[1]) / (2 * h), (slope[2] - slope[3]) / (2 * h));
      ASSERT_LE(std::abs(std::complex<double>(host_grad[static_cast<size_t>(n * pixels + i)]) -
                         GetParam().weight * difference),
                5e-6);
    }
  }
  EXPECT_WITHIN(std::abs(got - want), 1e-7 * want);
  EXPECT_EQ(ops::total_variation(stream, fields.view(), 1, {}), got);
}

INSTANTIATE_TEST_SUITE_P(total_variation, TotalVariation, testing::ValuesIn(cases));

TEST(total_variation, two_pixels_by_hand) {
  Stream stream(test_device());
  const auto field = upload<complex64>(stream, {1, 1, 2}, {{1, 0}, {4, 2}});
  Tensor<complex64> grad(stream.device(), {1, 1, 2}, "grad");
  EXPECT_EQ(ops::total_variation(stream, field.view(), 0.5, grad.view()), 13.0);
  EXPECT_EQ(download(stream, grad), (std::vector<complex64>{{-3, -2}, {3, 2}}));
}

TEST(total_variation, refuses_a_gradient_of_another_shape) {
  Stream stream(test_device());
  Tensor<complex64> field(stream.device(), {1, 2, 2}, "f"), grad(stream.device(), {1, 4, 1}, "g");
  try {
    ops::total_variation(stream, std::as_const(field).view(), 1, grad.view());
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), "total_variation: grad_fields is [1, 4, 1], expected [1, 2, 2]");
  }
}

}  // namespace
}  // namespace ptyfuse::tests
