#include "kernels/ops/detector_counts.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

struct Case {
  Shape shape;
  float log_scale;
};
const Case cases[] = {
    {{0, 1, 4, 4}, 1}, {{1, 1, 1, 1}, -2}, {{3, 1, 64, 64}, 6.9F}, {{2, 3, 7, 5}, 0}, {{70000, 2, 1, 1}, 1}};

class DetectorCounts : public testing::TestWithParam<Case> {};

TEST_P(DetectorCounts, add_the_modes_and_have_their_derivative) {
  const Shape s = GetParam().shape;
  const double scale = std::exp(2.0 * GetParam().log_scale);
  Stream stream(test_device());
  const auto field = upload<complex64>(stream, s, random_complex(s.elements(), 1));
  const auto grad = upload<float>(stream, {s[0], s[2], s[3]}, random_floats(s[0] * s[2] * s[3], -1, 1, 2));
  Tensor<float> counts(stream.device(), {s[0], s[2], s[3]}, "counts");
  Tensor<complex64> grad_field(stream.device(), s, "grad");
  ops::detector_counts(stream, field.view(), GetParam().log_scale, counts.view());
  ops::detector_counts_backward(stream, field.view(), GetParam().log_scale, grad.view(), grad_field.view());
  const HostCopy host_field(stream, field), host_grad_field(stream, grad_field);
  const HostCopy host_grad(stream, grad), host_counts(stream, counts);
  double worst = 0, worst_gradient = 0;
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t y = 0; y < s[2]; ++y)
      for (int64_t x = 0; x < s[3]; ++x) {
        double want = 0;
        for (int64_t k = 0; k < s[1]; ++k) {
          const std::complex<double> f(host_field(n, k, y, x)), got(host_grad_field(n, k, y, x));
          want += scale * std::norm(f);
          // Central differences of scale*|f|^2, exact for a square.
          const double g = host_grad(n, y, x), h = 1e-3;
          const std::complex<double> slope(
              (std::norm(f + h) - std::norm(f - h)) / (2 * h),
              (std::norm(f + std::complex<double>(0, h)) - std::norm(f - std::complex<double>(0, h))) / (2 * h));
          worst_gradient =
              std::max(worst_gradient, std::abs(got - g * scale * slope) / (scale * (1 + std::abs(slope))));
        }
        worst = std::max(worst, std::abs(host_counts(n, y, x) - want) / (scale + want));
      }
  EXPECT_WITHIN(worst, 5e-7);
  EXPECT_WITHIN(worst_gradient, 5e-7);
}

INSTANTIATE_TEST_SUITE_P(detector_counts, DetectorCounts, testing::ValuesIn(cases));

TEST(detector_counts, two_modes_by_hand) {
  Stream stream(test_device());
  const auto field = upload<complex64>(stream, {1, 2, 1, 1}, {{3, 4}, {0, 2}});
  const auto grad = upload<float>(stream, {1, 1, 1}, {0.5F});
  Tensor<float> counts(stream.device(), {1, 1, 1}, "counts");
  Tensor<complex64> grad_field(stream.device(), {1, 2, 1, 1}, "grad");
  ops::detector_counts(stream, field.view(), 0, counts.view());
  EXPECT_EQ(download(stream, counts), (std::vector<float>{29}));
  ops::detector_counts_backward(stream, field.view(), 0, grad.view(), grad_field.view());
  EXPECT_EQ(download(stream, grad_field), (std::vector<complex64>{{3, 4}, {0, 2}}));
}

TEST(detector_counts, refuses_counts_of_another_shape) {
  Stream stream(test_device());
  Tensor<complex64> field(stream.device(), {1, 2, 4, 4}, "f");
  Tensor<float> counts(stream.device(), {2, 4, 4}, "c");
  try {
    ops::detector_counts(stream, std::as_const(field).view(), 0, counts.view());
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), "detector_counts: counts is [2, 4, 4], expected [1, 4, 4]");
  }
}

}  // namespace
}  // namespace ptyfuse::tests
