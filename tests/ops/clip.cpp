#include "kernels/ops/clip.h"

#include <gtest/gtest.h>

#include "kernels/ops/normalise.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using namespace tests;

struct Case {
  const char* name;
  int64_t parameters;
};
const Case cases[] = {{"none", 0}, {"one", 1}, {"under_a_vector", 7}, {"odd", 100003}};

double norm(const float* v, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(v[i]) * v[i];
  return std::sqrt(sum);
}

void clip_by_norm(Stream& stream, double limit, TensorView<float> gradient) {
  ops::DeviceSum squares(stream.device(), "squares");
  ops::sum_of_squares(stream, gradient, squares);
  ops::clip_by_norm(stream, limit, std::as_const(squares).value(), gradient);
}
void clip_adaptive(Stream& stream, double factor, std::span<const ops::ParameterRange> tensors,
                   TensorView<const float> weights, TensorView<float> gradient) {
  ops::AdaptiveClipSums sums(stream.device());
  ops::clip_adaptive(stream, factor, tensors, weights, gradient, sums);
}

TEST(clip_by_norm, by_hand) {
  Stream stream(test_device());
  auto g = upload<float>(stream, {2}, {3, -4});
  clip_by_norm(stream, 5, g.view());
  EXPECT_EQ(download(stream, g), (std::vector<float>{3, -4}));
  clip_by_norm(stream, 2.5, g.view());
  EXPECT_EQ(download(stream, g), (std::vector<float>{1.5F, -2}));
}

TEST(gradient_norm, by_hand) {
  Stream stream(test_device());
  EXPECT_EQ(ops::gradient_norm(stream, upload<float>(stream, {2}, {3, -4}).view()), 5);
  EXPECT_EQ(ops::gradient_norm(stream, upload<float>(stream, {3}, {1, -INFINITY, 2}).view()), INFINITY);
  EXPECT_TRUE(std::isnan(ops::gradient_norm(stream, upload<float>(stream, {3}, {1, NAN, 2}).view())));
  EXPECT_EQ(ops::gradient_norm_cost(10).bytes, 40);
  EXPECT_EQ(ops::gradient_norm_cost(10).flop, 20);
}

TEST(clip_by_norm, keeps_direction_and_reaches_the_limit) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Stream stream(test_device());
    const auto in = random_floats(c.parameters, -1, 1, 1);
    const double before = norm(in.data(), in.size()), limit = before > 0 ? 0.7 * before : 1;
    auto g = upload<float>(stream, {c.parameters}, in);
    clip_by_norm(stream, limit, g.view());
    const auto out = download(stream, g);
    for (size_t i = 0; i < in.size(); ++i) ASSERT_LE(std::abs(out[i] - 0.7 * in[i]), 1e-7);
  }
}

TEST(clip_by_norm, passes_on_what_is_not_finite) {
  Stream stream(test_device());
  auto g = upload<float>(stream, {3}, {1, NAN, 2});
  clip_by_norm(stream, 0.5, g.view());
  EXPECT_EQ(download(stream, g)[0], 1);
  EXPECT_TRUE(std::isnan(download(stream, g)[1]));
  g = upload<float>(stream, {3}, {1, -INFINITY, 2});
  clip_by_norm(stream, 0.5, g.view());
  EXPECT_EQ(download(stream, g)[0], 0);
  EXPECT_TRUE(std::isnan(download(stream, g)[1]));
}

TEST(clip_by_value, bounds_each_element) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Stream stream(test_device());
    const auto in = random_floats(c.parameters, -1, 1, 2);
    auto g = upload<float>(stream, {c.parameters}, in);
    ops::clip_by_value(stream, 0.25, g.view());
    const auto out = download(stream, g);
    for (size_t i = 0; i < in.size(); ++i)
      ASSERT_EQ(out[i], in[i] > 0.25F ? 0.25F : in[i] < -0.25F ? -0.25F : in[i]) << i;
  }
}

TEST(clip_by_value, keeps_nan_in_every_lane) {
  Stream stream(test_device());
  std::vector<float> in(19, NAN);
  in[3] = INFINITY, in[12] = -INFINITY;
  auto g = upload<float>(stream, {19}, in);
  ops::clip_by_value(stream, 2, g.view());
  const auto out = download(stream, g);
  for (size_t i = 0; i < out.size(); ++i) {
    if (i == 3 || i == 12) {
      EXPECT_EQ(out[i], i == 3 ? 2 : -2);
    } else {
      EXPECT_TRUE(std::isnan(out[i])) << i;
    }
  }
}

TEST(clip_adaptive, bounds_each_tensor_by_its_own_weights) {
  Stream stream(test_device());
  // Norms of weights 5, 5, 0; of gradients 10, 0.01, 1.
  const auto weights = upload<float>(stream, {7}, {3, 4, 3, 4, 0, 0, 9});
  auto gradient = upload<float>(stream, {7}, {6, 8, 0.006F, 0.008F, 0.6F, 0.8F, 100});
  const ops::ParameterRange tensors[] = {{0, 2}, {2, 4}, {4, 6}, {6, 6}};
  clip_adaptive(stream, 0.01, tensors, weights.view(), gradient.view());
  const std::vector<double> expected = {0.03, 0.04, 0.006F, 0.008F, 6e-6, 8e-6, 100};
  const auto out = download(stream, gradient);
  for (size_t i = 0; i < out.size(); ++i) EXPECT_WITHIN(std::abs(out[i] - expected[i]), 1e-7 * expected[i]);
}

TEST(clip_adaptive, equals_the_rule_on_random_tensors) {
  Stream stream(test_device());
  const int64_t count = 40000;
  const auto w = random_floats(count, -0.1, 0.1, 3), g = random_floats(count, -1e-3, 1e-3, 4);
  const auto weights = upload<float>(stream, {count}, w);
  auto gradient = upload<float>(stream, {count}, g);
  const ops::ParameterRange tensors[] = {{0, 1}, {1, 300}, {300, 33000}, {33000, count}};
  const double factor = 8e-3;
  clip_adaptive(stream, factor, tensors, weights.view(), gradient.view());
  const auto out = download(stream, gradient);
  int clipped = 0;
  for (const auto& t : tensors) {
    const auto at = static_cast<size_t>(t.begin), n = static_cast<size_t>(t.end - t.begin);
    const double limit = factor * std::max(norm(&w[at], n), 1e-3), size = norm(&g[at], n);
    clipped += size > limit;
    for (size_t i = at; i < at + n; ++i) ASSERT_LE(std::abs(out[i] - g[i] * (size > limit ? limit / size : 1)), 2e-10);
  }
  EXPECT_GT(clipped, 0);
}

TEST(clip, repeats_bit_for_bit_with_any_threads) {
  const auto in = random_floats(200001, -1, 1, 5);
  const auto clipped = [&](int threads) {
    Stream stream(test_device(threads));
    auto g = upload<float>(stream, {200001}, in);
    clip_by_norm(stream, 3, g.view());
    return download(stream, g);
  };
  for (const int threads : {1, 2, 3}) EXPECT_EQ(clipped(threads), clipped(2));
}

TEST(clip, says_what_does_not_fit) {
  Stream stream(test_device());
  Tensor<float> a(stream.device(), {4}, "a"), b(stream.device(), {5}, "b");
  const ops::ParameterRange outside[] = {{0, 2}, {2, 5}};
  EXPECT_EQ(error_message([&] { clip_adaptive(stream, 1, outside, a.view(), a.view()); }),
            "clip_adaptive: tensor [2, 5) outside of [4]");
  EXPECT_EQ(error_message([&] { clip_adaptive(stream, 1, {}, a.view(), b.view()); }),
            "clip_adaptive: weights [4] and gradient [5], expected two of one length");
  EXPECT_EQ(error_message([&] { clip_by_norm(stream, 0, a.view()); }), "clip_by_norm: limit 0.000000, expected > 0");
  EXPECT_EQ(error_message([&] { ops::clip_by_norm(stream, 1, {}, a.view()); }),
            "clip_by_norm: squares is [], expected [1]");
  EXPECT_EQ(error_message([&] { ops::clip_by_value(stream, NAN, a.view()); }),
            "clip_by_value: limit nan, expected > 0");
}

}  // namespace
}  // namespace ptyfuse
