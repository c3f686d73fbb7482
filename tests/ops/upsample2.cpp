#include "kernels/ops/upsample2.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/compare.h"
#include "tests/support/device.h"

namespace ptyfuse::tests {
namespace {

const Shape cases[] = {{0, 2, 2, 3}, {1, 1, 1, 1}, {2, 3, 5, 3}, {3, 4, 1, 17}, {2, 8, 8, 64}, {70000, 1, 1, 2}};

std::vector<float> noise(const Shape& shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> v(static_cast<size_t>(shape.elements()));
  for (float& e : v) e = uniform(random);
  return v;
}

class Upsample2 : public testing::TestWithParam<Shape> {};

TEST_P(Upsample2, repeats_pixels_and_its_adjoint_sums_them) {
  const Shape small = GetParam(), large{small[0], 2 * small[1], 2 * small[2], small[3]};
  const Device device = test_device();
  Stream stream(device);
  const std::vector<float> x = noise(small, 1), y = noise(large, 2);
  const Tensor<float> in = upload<float>(stream, small, x), grad_out = upload<float>(stream, large, y);
  Tensor<float> out(device, large, "out"), grad_in(device, small, "grad_in");
  ops::upsample2(stream, in.view(), out.view());
  ops::upsample2_adjoint(stream, grad_out.view(), grad_in.view());
  const std::vector<float> up = download(stream, out), down = download(stream, grad_in);
  std::vector<double> sums(x.size(), 0.0);
  double left = 0, right = 0;
  size_t at = 0;
  for (int64_t b = 0; b < large[0]; ++b)
    for (int64_t py = 0; py < large[1]; ++py)
      for (int64_t px = 0; px < large[2]; ++px)
        for (int64_t c = 0; c < large[3]; ++c, ++at) {
          const auto e = static_cast<size_t>(((b * small[1] + py / 2) * small[2] + px / 2) * small[3] + c);
          ASSERT_EQ(up[at], x[e]);
          sums[e] += y[at];
          left += double{up[at]} * y[at];
        }
  EXPECT_WITHIN(relative_l2(down.data(), sums.data(), static_cast<int64_t>(sums.size())), 2e-7);
  for (size_t e = 0; e < x.size(); ++e) right += double{down[e]} * x[e];
  EXPECT_WITHIN(std::abs(left - right), 1e-7 * static_cast<double>(large.elements()));
}

INSTANTIATE_TEST_SUITE_P(upsample2, Upsample2, testing::ValuesIn(cases));

TEST(upsample2, hand_checked) {
  const Device device = test_device();
  Stream stream(device);
  const Tensor<float> in = upload<float>(stream, {1, 1, 2, 1}, {3, 4});
  const Tensor<float> grad_out = upload<float>(stream, {1, 2, 4, 1}, {1, 2, 3, 4, 5, 6, 7, 8});
  Tensor<float> out(device, {1, 2, 4, 1}, "out"), grad_in(device, {1, 1, 2, 1}, "grad_in");
  ops::upsample2(stream, in.view(), out.view());
  ops::upsample2_adjoint(stream, grad_out.view(), grad_in.view());
  EXPECT_EQ(download(stream, out), (std::vector<float>{3, 3, 4, 4, 3, 3, 4, 4}));
  EXPECT_EQ(download(stream, grad_in), (std::vector<float>{14, 22}));
}

TEST(upsample2, says_what_does_not_fit) {
  const Device device = test_device();
  Stream stream(device);
  Tensor<float> in(device, {1, 2, 3, 4}, "in"), out(device, {1, 4, 5, 4}, "out"), flat(device, {4}, "flat");
  auto message = [&](auto call) -> std::string {
    try {
      call();
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([&] { ops::upsample2(stream, in.view(), out.view()); }),
            "upsample2: out is [1, 4, 5, 4], expected [1, 4, 6, 4]");
  EXPECT_EQ(message([&] { ops::upsample2_adjoint(stream, out.view(), in.view()); }),
            "upsample2_adjoint: grad_out is [1, 4, 5, 4], expected [1, 4, 6, 4]");
  EXPECT_EQ(message([&] { ops::upsample2(stream, flat.view(), out.view()); }), "upsample2: in is [4], expected 4 axes");
}

TEST(upsample2, costs_what_the_contract_says) {
  EXPECT_EQ(ops::upsample2_cost({2, 4, 4, 8}).bytes, 20.0 * 2 * 16 * 8);
}

}  // namespace
}  // namespace ptyfuse::tests
