#include "kernels/device/tensor_view.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tests/support/random_data.h"
#include "tests/support/reserved_memory.h"

namespace ptyfuse {
namespace {

using tests::error_message;

std::vector<int> numbers(int count) {
  std::vector<int> v(static_cast<size_t>(count));
  std::iota(v.begin(), v.end(), 0);
  return v;
}

TEST(shape, counts_and_prints) {
  EXPECT_EQ((Shape{2, 3, 4}).elements(), 24);
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ((Shape{5, 0}).elements(), 0);
  EXPECT_EQ((Shape{int64_t{1} << 20, int64_t{1} << 20}).elements(), int64_t{1} << 40);
  EXPECT_EQ((Shape{16, 64, 4}).str(), "[16, 64, 4]");
  EXPECT_EQ(Shape{}.str(), "[]");
  EXPECT_TRUE((Shape{2, 3}) == (Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{3, 2}));
  EXPECT_FALSE((Shape{2}) == (Shape{2, 1}));
  EXPECT_EQ(error_message([] { Shape({1, 2, 3, 4, 5, 6}); }), "Shape: more than 5 axes");
  EXPECT_EQ(error_message([] { Shape({1, -2}); }), "Shape: negative extent -2");
}

TEST(tensor_view, is_row_major) {
  auto v = numbers(24);
  const TensorView<int> t(v.data(), {2, 3, 4});
  EXPECT_EQ(t.stride(0), 12);
  EXPECT_EQ(t.stride(2), 1);
  EXPECT_EQ(t(1, 2, 3), 23);
  EXPECT_EQ(t(1, 0, 2), 14);
  EXPECT_TRUE(t.contiguous());
  const TensorView<const int> readable = t;
  EXPECT_EQ(readable(0, 1, 1), 5);
}

TEST(tensor_view, slices_share_memory) {
  auto v = numbers(24);
  const TensorView<int> t(v.data(), {2, 3, 4}), s = t.slice(1, 1, 3);
  EXPECT_EQ(s.shape(), (Shape{2, 2, 4}));
  EXPECT_EQ(s(1, 1, 0), 20);
  EXPECT_FALSE(s.contiguous());
  EXPECT_TRUE(t.slice(0, 1, 2).contiguous());
  EXPECT_TRUE(t.slice(0, 1, 2).slice(1, 1, 3).contiguous());  // an axis of one element has no gaps
  const TensorView<int> cut = t.slice(2, 1, 3).slice(0, 1, 2);
  EXPECT_EQ(cut(0, 2, 1), 22);
  s(0, 0, 0) = -7;
  EXPECT_EQ(v[4], -7);
  EXPECT_TRUE(t.slice(2, 4, 4).empty());
  for (const auto& [axis, begin, end] : {std::array{3, 0, 1}, {-1, 0, 1}, {1, 0, 4}, {1, 2, 1}, {1, -1, 1}})
    EXPECT_EQ(error_message([&, a = axis, b = begin, e = end] { t.slice(a, b, e); }),
              "slice: axis " + std::to_string(axis) + " range [" + std::to_string(begin) + ", " + std::to_string(end) +
                  ") of [2, 3, 4]");
}

TEST(tensor_view, permutes_without_moving) {
  auto v = numbers(24);
  const TensorView<int> t(v.data(), {2, 3, 4}), p = t.permute({2, 0, 1});
  EXPECT_EQ(p.shape(), (Shape{4, 2, 3}));
  EXPECT_EQ(p(3, 1, 2), t(1, 2, 3));
  EXPECT_EQ(p(2, 0, 1), t(0, 1, 2));
  EXPECT_FALSE(p.contiguous());
  EXPECT_TRUE(p.permute({1, 2, 0}).contiguous());
  EXPECT_EQ(error_message([&] { t.permute({0, 1}); }), "permute: order does not fit [2, 3, 4]");
}

TEST(tensor_view, reshapes_what_is_contiguous) {
  auto v = numbers(24);
  const TensorView<int> t(v.data(), {2, 3, 4});
  EXPECT_EQ(t.reshape({6, 4})(5, 1), 21);
  EXPECT_EQ(error_message([&] { t.reshape({5, 5}); }), "reshape: [2, 3, 4] to [5, 5]");
  EXPECT_EQ(error_message([&] { t.slice(2, 0, 2).reshape({12}); }), "reshape: [2, 3, 2] to [12]");
}

TEST(tensor_view, reaches_past_2_to_the_31) {
  const int64_t side = 50000;
  const tests::ReservedMemory<uint8_t> memory(side * side);
  ASSERT_TRUE(memory.data());
  const TensorView<uint8_t> t(memory.data(), {side, side});
  EXPECT_EQ(t.elements(), 2500000000);
  t(side - 1, side - 1) = 9;
  EXPECT_EQ(memory.data()[2499999999], 9);
  EXPECT_EQ(t.slice(0, side - 1, side).slice(1, side - 2, side)(0, 1), 9);
  EXPECT_EQ(t.permute({1, 0}).slice(1, side - 3, side)(side - 1, 2), 9);
}

}  // namespace
}  // namespace ptyfuse
