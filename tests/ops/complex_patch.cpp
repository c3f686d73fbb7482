#include "kernels/ops/complex_patch.h"

#include <gtest/gtest.h>

#include <numbers>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

struct Case {
  Shape shape;
  bool channel_last;
  float largest_phase_rad;
};
const Case cases[] = {{{0, 1, 8, 8}, false, 3}, {{1, 1, 1, 1}, false, 3},      {{2, 4, 64, 64}, true, 3.2F},
                      {{3, 2, 7, 7}, true, 20}, {{1, 3, 130, 130}, false, 10}, {{70000, 1, 1, 1}, false, 3},
                      {{1, 2, 9, 9}, true, 1e6}};

class ComplexPatch : public testing::TestWithParam<Case> {
 protected:
  // The view [B,C,N,N] of a tensor, or of a copy of it, in either order.
  template <class Stored>
  static auto image_view(Stored& t) {
    return GetParam().channel_last ? t.view().permute({0, 3, 1, 2}) : t.view();
  }
  static Shape stored() {
    const Shape& s = GetParam().shape;
    return GetParam().channel_last ? Shape{s[0], s[2], s[3], s[1]} : s;
  }
};

TEST_P(ComplexPatch, is_polar_form_and_its_derivative) {
  const Shape shape = GetParam().shape;
  const float limit = GetParam().largest_phase_rad;
  const Device device = test_device();
  Stream stream(device);
  auto amplitude = upload<float>(stream, stored(), random_floats(shape.elements(), -1, 1, 1));
  auto phase = upload<float>(stream, stored(), random_floats(shape.elements(), -limit, limit, 2));
  const auto grad = upload<complex64>(stream, shape, random_complex(shape.elements(), 3));
  Tensor<complex64> out(device, shape, "out");
  Tensor<float> grad_amplitude(device, stored(), "ga"), grad_phase(device, stored(), "gp");
  const auto a = image_view(amplitude), p = image_view(phase), ga = image_view(grad_amplitude),
             gp = image_view(grad_phase);
  ops::complex_patch(stream, a, p, out.view());
  ops::complex_patch_backward(stream, a, p, grad.view(), ga, gp);
  const HostCopy host_a(stream, amplitude), host_p(stream, phase), host_ga(stream, grad_amplitude),
      host_gp(stream, grad_phase);
  const HostCopy host_grad(stream, grad), host_out(stream, out);
  double worst = 0, worst_gradient = 0;
  for (int64_t b = 0; b < shape[0]; ++b)
    for (int64_t c = 0; c < shape[1]; ++c)
      for (int64_t y = 0; y < shape[2]; ++y)
        for (int64_t x = 0; x < shape[3]; ++x) {
          const auto turn = std::polar(1.0, static_cast<double>(image_view(host_p)(b, c, y, x)));
          const double size = image_view(host_a)(b, c, y, x);
          const std::complex<double> g(host_grad(b, c, y, x));
          worst = std::max(worst, std::abs(std::complex<double>(host_out(b, c, y, x)) - size * turn));
          // d|loss| along amplitude and phase: the real inner products of g with turn and i*size*turn.
          const double want_ga = std::real(std::conj(g) * turn);
          const double want_gp = std::real(std::conj(g) * std::complex<double>(0, size) * turn);
          worst_gradient = std::max(worst_gradient, std::abs(image_view(host_ga)(b, c, y, x) - want_ga));
          worst_gradient = std::max(worst_gradient, std::abs(image_view(host_gp)(b, c, y, x) - want_gp));
        }
  EXPECT_WITHIN(worst, 3e-7);
  EXPECT_WITHIN(worst_gradient, 5e-7);
}

INSTANTIATE_TEST_SUITE_P(complex_patch, ComplexPatch, testing::ValuesIn(cases));

TEST(complex_patch, quarter_turn_by_hand) {
  Stream stream(test_device());
  const auto a = upload<float>(stream, {1, 1, 1, 2}, {2, 3});
  const auto p = upload<float>(stream, {1, 1, 1, 2}, {0, std::numbers::pi_v<float> / 2});
  Tensor<complex64> out(stream.device(), {1, 1, 1, 2}, "out");
  ops::complex_patch(stream, a.view(), p.view(), out.view());
  const auto got = download(stream, out);
  EXPECT_EQ(got[0], complex64(2, 0));
  EXPECT_WITHIN(std::abs(got[1] - complex64(0, 3)), 3e-7);
}

TEST(complex_patch, phase_that_is_not_finite_shows) {
  Stream stream(test_device());
  const auto a = upload<float>(stream, {1, 1, 1, 2}, {1, 1}), p = upload<float>(stream, {1, 1, 1, 2}, {INFINITY, NAN});
  Tensor<complex64> out(stream.device(), {1, 1, 1, 2}, "out");
  ops::complex_patch(stream, a.view(), p.view(), out.view());
  const auto got = download(stream, out);
  EXPECT_TRUE(std::isnan(got[0].real()));
  EXPECT_TRUE(std::isnan(got[1].imag()));
}

TEST(complex_patch, refuses_shapes_that_differ) {
  Stream stream(test_device());
  Tensor<float> a(stream.device(), {1, 2, 4, 4}, "a"), p(stream.device(), {1, 1, 4, 4}, "p");
  Tensor<complex64> out(stream.device(), {1, 2, 4, 4}, "out");
  try {
    ops::complex_patch(stream, std::as_const(a).view(), std::as_const(p).view(), out.view());
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), "complex_patch: phase is [1, 1, 4, 4], expected [1, 2, 4, 4]");
    EXPECT_EQ(e.kind(), ErrorKind::shape);
  }
}

}  // namespace
}  // namespace ptyfuse::tests
