#include "kernels/ops/max_pool2.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/support/compare.h"
#include "tests/support/device.h"

namespace ptyfuse::tests {
namespace {

const Shape cases[] = {{0, 2, 2, 3},  {1, 2, 2, 1},   {2, 6, 10, 3},    {3, 4, 2, 17},
                       {2, 8, 8, 64}, {1, 64, 64, 8}, {70000, 2, 2, 1}, {2, 0, 4, 5}};

// Few distinct values, so that windows with equal maxima occur.
std::vector<float> values(const Shape& shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> v(static_cast<size_t>(shape.elements()));
  for (float& e : v) e = static_cast<float>(static_cast<int>(random() % 7) - 3);
  return v;
}

Shape half(const Shape& s) {
  return {s[0], s[1] / 2, s[2] / 2, s[3]};
}

class MaxPool2 : public testing::TestWithParam<Shape> {};

TEST_P(MaxPool2, takes_the_largest_and_sends_its_gradient_to_the_first) {
  const Shape shape = GetParam(), small = half(shape);
  const Device device = test_device();
  Stream stream(device);
  const std::vector<float> host = values(shape, 1), grad = values(small, 2);
  const Tensor<float> in = upload<float>(stream, shape, host), grad_out = upload<float>(stream, small, grad);
  Tensor<float> out(device, small, "out"), grad_in(device, shape, "grad_in");
  ops::max_pool2(stream, in.view(), out.view());
  ops::max_pool2_backward(stream, in.view(), out.view(), grad_out.view(), grad_in.view());
  const std::vector<float> got = download(stream, out), got_grad = download(stream, grad_in);
  std::vector<float> expected_grad(host.size(), 0.0F);
  size_t at = 0;
  for (int64_t b = 0; b < small[0]; ++b)
    for (int64_t y = 0; y < small[1]; ++y)
      for (int64_t x = 0; x < small[2]; ++x)
        for (int64_t c = 0; c < small[3]; ++c, ++at) {
          size_t first = 0;
          float largest = -INFINITY;
          for (int64_t dy = 0; dy < 2; ++dy)
            for (int64_t dx = 0; dx < 2; ++dx) {
              const auto e = static_cast<size_t>(((b * shape[1] + 2 * y + dy) * shape[2] + 2 * x + dx) * shape[3] + c);
              if (host[e] > largest) largest = host[e], first = e;
            }
          ASSERT_EQ(got[at], largest);
          expected_grad[first] += grad[at];
        }
  EXPECT_EQ(got_grad, expected_grad);
}

INSTANTIATE_TEST_SUITE_P(max_pool2, MaxPool2, testing::ValuesIn(cases));

TEST(max_pool2, hand_checked) {
  const Device device = test_device();
  Stream stream(device);
  const Tensor<float> in = upload<float>(stream, {1, 2, 4, 1}, {1, 5, -2, -2, 5, 0, -2, -3});
  const Tensor<float> grad_out = upload<float>(stream, {1, 1, 2, 1}, {10, 20});
  Tensor<float> out(device, {1, 1, 2, 1}, "out"), grad_in(device, {1, 2, 4, 1}, "grad_in");
  ops::max_pool2(stream, in.view(), out.view());
  ops::max_pool2_backward(stream, in.view(), out.view(), grad_out.view(), grad_in.view());
  EXPECT_EQ(download(stream, out), (std::vector<float>{5, -2}));
  EXPECT_EQ(download(stream, grad_in), (std::vector<float>{0, 10, 20, 0, 0, 0, 0, 0}));
}

TEST(max_pool2, a_value_that_is_not_a_number_shows_wherever_it_stands) {
  const Device device = test_device();
  Stream stream(device);
  for (size_t place = 0; place < 4; ++place) {
    std::vector<float> host{1, 5, INFINITY, -3};
    host[place] = NAN;
    const Tensor<float> in = upload<float>(stream, {1, 2, 2, 1}, host);
    Tensor<float> out(device, {1, 1, 1, 1}, "out");
    ops::max_pool2(stream, in.view(), out.view());
    EXPECT_TRUE(std::isnan(download(stream, out)[0])) << "at " << place;
  }
}

TEST(max_pool2, gradient_agrees_with_central_differences) {
  const Device device = test_device();
  Stream stream(device);
  const Shape shape{2, 4, 6, 5}, small = half(shape);
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> host(static_cast<size_t>(shape.elements())), grad(static_cast<size_t>(small.elements()));
  for (float& e : host) e = uniform(random);
  for (float& e : grad) e = uniform(random);
  const Tensor<float> in = upload<float>(stream, shape, host), grad_out = upload<float>(stream, small, grad);
  Tensor<float> out(device, small, "out"), grad_in(device, shape, "grad_in");
  ops::max_pool2(stream, in.view(), out.view());
  ops::max_pool2_backward(stream, in.view(), out.view(), grad_out.view(), grad_in.view());
  const std::vector<float> got = download(stream, grad_in);
  auto objective = [&](const std::vector<double>& x) {
    double sum = 0;
    size_t at = 0;
    for (int64_t r = 0; r < 2 * 2; ++r)
      for (int64_t px = 0; px < 3; ++px)
        for (int64_t c = 0; c < 5; ++c, ++at) {
          const auto e = static_cast<size_t>((2 * r * 6 + 2 * px) * 5 + c);
          sum += grad[at] * std::max({x[e], x[e + 5], x[e + 30], x[e + 35]});
        }
    return sum;
  };
  const std::vector<double> at(host.begin(), host.end());
  for (size_t e = 0; e < at.size(); ++e) {
    std::vector<double> up = at, down = at;
    up[e] += 1e-6, down[e] -= 1e-6;
    EXPECT_NEAR(got[e], (objective(up) - objective(down)) / 2e-6, 1e-6);
  }
}

TEST(max_pool2, says_what_does_not_fit) {
  const Device device = test_device();
  Stream stream(device);
  Tensor<float> odd(device, {1, 3, 4, 2}, "odd"), in(device, {1, 4, 4, 2}, "in"), out(device, {1, 2, 2, 2}, "out");
  auto message = [&](auto call) -> std::string {
    try {
      call();
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([&] { ops::max_pool2(stream, odd.view(), out.view()); }),
            "max_pool2: in is [1, 3, 4, 2], expected [B,H,W,C] with H and W even");
  EXPECT_EQ(message([&] { ops::max_pool2(stream, in.view(), in.view()); }),
            "max_pool2: out is [1, 4, 4, 2], expected [1, 2, 2, 2]");
  EXPECT_EQ(message([&] { ops::max_pool2_backward(stream, in.view(), out.view(), out.view(), out.view()); }),
            "max_pool2_backward: grad_in is [1, 2, 2, 2], expected [1, 4, 4, 2]");
  EXPECT_EQ(message([&] { ops::max_pool2(stream, in.view().slice(3, 0, 1), out.view().slice(3, 0, 1)); }),
            "max_pool2: in [1, 4, 4, 1] is not contiguous");
}

TEST(max_pool2, costs_what_the_contract_says) {
  EXPECT_EQ(ops::max_pool2_cost({2, 4, 4, 8}).bytes, 5.0 * 2 * 16 * 8);
}

}  // namespace
}  // namespace ptyfuse::tests
