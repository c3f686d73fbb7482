#include "kernels/ops/head.h"

#include <gtest/gtest.h>

#include <numbers>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

using ops::HeadActivation;

double activation(HeadActivation kind, double x) {
  switch (kind) {
    case HeadActivation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case HeadActivation::pi_tanh:
      return std::numbers::pi * std::tanh(x);
    case HeadActivation::swish:
      return x / (1 + std::exp(-x));
    case HeadActivation::softplus:
      return std::log1p(std::exp(-std::abs(x))) + std::max(x, 0.0);
    case HeadActivation::relu:
      return std::max(x, 0.0);
  }
  return NAN;
}

enum class Parts { full, square, square_and_border };
struct Case {
  Shape out;
  Parts parts;
  ops::HeadSpec spec;
  bool strided;  // inputs are runs of channels of a wider tensor
};
using enum HeadActivation;
const Case cases[] = {
    {{0, 8, 8, 1}, Parts::square, {}, false},
    {{1, 4, 4, 1}, Parts::square_and_border, {sigmoid, swish}, false},
    {{2, 64, 64, 4}, Parts::square_and_border, {pi_tanh, pi_tanh}, false},
    {{3, 8, 8, 3}, Parts::square_and_border, {softplus, relu}, true},
    {{2, 12, 12, 2}, Parts::square, {swish, sigmoid}, true},
    {{2, 7, 7, 1}, Parts::full, {sigmoid, sigmoid}, false},
    {{1, 16, 16, 4}, Parts::full, {relu, sigmoid}, true},
    {{1, 4, 4, 300}, Parts::square_and_border, {sigmoid, pi_tanh}, true},
    {{66000, 4, 4, 1}, Parts::square_and_border, {swish, softplus}, false},
};

class Head : public testing::TestWithParam<Case> {};

// A tensor [.., C] as the first channels of a wider one, or alone.
struct Input {
  Input(Stream& stream, const Shape& view_shape, bool strided, uint32_t seed)
      : shape(view_shape),
        memory(upload<float>(stream, widened(view_shape, strided),
                             random_floats(widened(view_shape, strided).elements(), -4, 4, seed))) {}
  static Shape widened(Shape s, bool strided) {
    if (strided) s[3] += 3;
    return s;
  }
  TensorView<float> view() { return memory.view().slice(3, 0, shape[3]); }
  // What the memory holds, and element (b, y, x, k) of it.
  void fetch(Stream& stream) { host = download(stream, memory); }
  double at(int64_t b, int64_t y, int64_t x, int64_t k) const {
    return host[static_cast<size_t>(((b * shape[1] + y) * shape[2] + x) * memory.shape()[3] + k)];
  }
  Shape shape;
  Tensor<float> memory;
  std::vector<float> host;
};

TEST_P(Head, equals_formula_and_its_slope) {
  const Case& c = GetParam();
  const Device device = test_device();
  Stream stream(device);
  const int64_t n = c.out[1], margin = c.parts == Parts::full ? 0 : n / 4;
  Input centre(stream, {c.out[0], n - 2 * margin, n - 2 * margin, c.out[3]}, c.strided, 1);
  Input border(stream, c.out, c.strided, 2), grad_centre(stream, centre.shape, c.strided, 4),
      grad_border(stream, c.out, c.strided, 5);
  const auto host_grad = random_floats(c.out.elements(), -1, 1, 3);
  const auto grad = upload<float>(stream, c.out, host_grad);
  const bool bordered = c.parts == Parts::square_and_border;
  const TensorView<const float> border_view = bordered ? border.view() : TensorView<float>();
  Tensor<float> out(device, c.out, "out");
  ops::head(stream, c.spec, centre.view(), border_view, out.view());
  ops::head_backward(stream, c.spec, centre.view(), border_view, grad.view(), grad_centre.view(),
                     bordered ? grad_border.view() : TensorView<float>());
  const auto host_out = download(stream, out);
  for (Input* i : {&centre, &border, &grad_centre, &grad_border}) i->fetch(stream);
  double worst = 0, worst_gradient = 0;
  const double h = 1e-5;
  size_t at = 0;
  for (int64_t b = 0; b < c.out[0]; ++b)
    for (int64_t y = 0; y < n; ++y)
      for (int64_t x = 0; x < n; ++x)
        for (int64_t k = 0; k < c.out[3]; ++k, ++at) {
          const bool inside = y >= margin && y < n - margin && x >= margin && x < n - margin;
          const double g = host_grad[at];
          double want = 0;
          if (inside || bordered) {
            const HeadActivation kind = inside ? c.spec.centre : c.spec.border;
            const double in = inside ? centre.at(b, y - margin, x - margin, k) : border.at(b, y, x, k);
            want = activation(kind, in);
            const double slope = (activation(kind, in + h) - activation(kind, in - h)) / (2 * h);
            const double got = inside ? grad_centre.at(b, y - margin, x - margin, k) : grad_border.at(b, y, x, k);
            // A relu's slope at its kink is not a central difference.
            if (kind != relu || std::abs(in) > h) worst_gradient = std::max(worst_gradient, std::abs(got - g * slope));
          }
          if (inside && bordered) {
            ASSERT_EQ(grad_border.at(b, y, x, k), 0);
          }
          worst = std::max(worst, std::abs(host_out[at] - want));
        }
  EXPECT_WITHIN(worst, 1e-6);
  EXPECT_WITHIN(worst_gradient, 3e-6);
}

INSTANTIATE_TEST_SUITE_P(head, Head, testing::ValuesIn(cases));

TEST(head, keeps_values_that_are_not_finite) {
  Stream stream(test_device());
  for (const HeadActivation kind : {sigmoid, pi_tanh, swish, softplus, relu}) {
    const auto in = upload<float>(stream, {1, 1, 1, 1}, {NAN});
    Tensor<float> out(stream.device(), {1, 1, 1, 1}, "out");
    ops::head(stream, {kind, kind}, in.view(), {}, out.view());
    EXPECT_TRUE(std::isnan(download(stream, out)[0]));
  }
}

TEST(head, refuses_shapes_that_do_not_fit) {
  Stream stream(test_device());
  const auto message = [&](const Shape& centre, bool border, const Shape& out) -> std::string {
    Tensor<float> c(stream.device(), centre, "c"), o(stream.device(), out, "o"), b(stream.device(), out, "b");
    try {
      ops::head(stream, {}, std::as_const(c).view(), border ? std::as_const(b).view() : TensorView<const float>(),
                o.view());
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message({1, 3, 3, 1}, false, {1, 8, 8, 1}), "head: centre is [1, 3, 3, 1], expected [1, 4, 4, 1]");
  EXPECT_NE(message({1, 8, 8, 1}, true, {1, 8, 8, 1}).find("border head beside a centre of full size"),
            std::string::npos);
  EXPECT_NE(message({1, 3, 3, 1}, true, {1, 6, 6, 1}).find("no multiple of 4"), std::string::npos);
  EXPECT_EQ(message({1, 4, 4, 1}, true, {1, 8, 8, 1}), "");
}

}  // namespace
}  // namespace ptyfuse::tests
