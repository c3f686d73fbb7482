#include "kernels/ops/normalise.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"
#include "tests/support/reserved_memory.h"

namespace ptyfuse {
namespace {

using namespace tests;

struct Case {
  const char* name;
  Shape shape;
};
const Case cases[] = {{"none", {0, 4, 4}},          {"one", {1}},
                      {"under_a_vector", {13}},     {"odd", {3, 7, 11}},
                      {"images", {33, 64, 64}},     {"uneven_blocks", {1000003}},
                      {"many_small", {66000, 2, 1}}};

double measured(const Shape& shape, const std::vector<float>& in, int threads = 2) {
  Stream stream(test_device(threads));
  const auto tensor = upload<float>(stream, shape, in);
  return ops::sum_of_squares(stream, tensor.view());
}

TEST(sum_of_squares, by_hand) {
  EXPECT_EQ(measured({3}, {1, -2, 3}), 14);
}

TEST(sum_of_squares, equals_a_long_sum) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto in = random_floats(c.shape.elements(), -3, 5, 1);
    long double sum = 0;
    for (const float v : in) sum += static_cast<long double>(v) * v;
    EXPECT_WITHIN(std::abs(measured(c.shape, in) - static_cast<double>(sum)), 1e-13 * static_cast<double>(sum));
  }
}

TEST(sum_of_squares, keeps_small_terms_beside_large_ones) {
  std::vector<float> in(100000, 1e-4F);
  in[0] = 1e3F;
  const double small = static_cast<double>(1e-4F) * 1e-4F;
  EXPECT_WITHIN(std::abs(measured({100000}, in) - (1e6 + 99999 * small)), 2e-8);
}

TEST(sum_of_squares, shows_what_is_not_finite) {
  std::vector<float> in(5000, 1);
  in[4999] = NAN;
  EXPECT_TRUE(std::isnan(measured({5000}, in)));
  in[4999] = -INFINITY;
  EXPECT_EQ(measured({5000}, in), INFINITY);
}

TEST(sum_of_squares, does_not_depend_on_threads) {
  const auto in = random_floats(300001, -1, 1, 2);
  for (const int threads : {1, 2, 3, 7}) EXPECT_EQ(measured({300001}, in, threads), measured({300001}, in));
}

TEST(sum_of_squares, reaches_elements_past_2_to_the_31) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer would back 8 GiB of reads with real memory";
#endif
  Stream stream(test_device());
  if (stream.device().kind() != DeviceKind::cpu)
    GTEST_SKIP() << "gigabytes of addresses without memory are the host's, and too many for emulated threads";
  const int64_t count = (int64_t{1} << 31) + 5;
  const ReservedMemory<float> memory(count);
  ASSERT_TRUE(memory.data());
  memory.data()[0] = 1, memory.data()[count - 3] = 2, memory.data()[count - 1] = 3;
  EXPECT_EQ(ops::sum_of_squares(stream, {memory.data(), {count}}), 14);
}

TEST(scale, multiplies_each_element) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Stream stream(test_device());
    const auto in = random_floats(c.shape.elements(), -3, 5, 3);
    auto tensor = upload<float>(stream, c.shape, in);
    Tensor<float> out(stream.device(), c.shape, "out");
    ops::scale(stream, tensor.view(), -0.3F, out.view());
    ops::scale(stream, tensor.view(), -0.3F, tensor.view());
    const auto apart = download(stream, out), in_place = download(stream, tensor);
    for (size_t i = 0; i < in.size(); ++i) {
      ASSERT_EQ(apart[i], -0.3F * in[i]);
      ASSERT_EQ(in_place[i], -0.3F * in[i]);
    }
  }
}

TEST(scale, says_what_does_not_fit) {
  Stream stream(test_device());
  Tensor<float> a(stream.device(), {4, 5}, "a"), b(stream.device(), {5, 4}, "b");
  EXPECT_EQ(error_message([&] { ops::scale(stream, a.view(), 1, b.view()); }), "scale: out is [5, 4], expected [4, 5]");
  EXPECT_EQ(error_message([&] { ops::scale(stream, a.view().slice(1, 0, 2), 1, a.view().slice(1, 0, 2)); }),
            "scale: in [4, 2] is not contiguous");
  EXPECT_EQ(error_message([&] {
              ops::sum_of_squares(stream, a.view().permute({1, 0}));
            }),
            "sum_of_squares: in [5, 4] is not contiguous");
}

TEST(normalise, names_its_cost) {
  EXPECT_EQ(ops::sum_of_squares_cost({10, 3}).bytes, 120);
  EXPECT_EQ(ops::sum_of_squares_cost({10, 3}).flop, 60);
  EXPECT_EQ(ops::scale_cost({10, 3}).bytes, 240);
  EXPECT_EQ(ops::scale_cost({10, 3}).flop, 30);
}

}  // namespace
}  // namespace ptyfuse
