#include "kernels/ops/add.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/device.h"

namespace ptyfuse::tests {
namespace {

const std::vector<Shape> cases = {{0}, {1}, {7}, {3, 5, 2}, {70000, 1, 1}, {2, 33, 1000}};

TEST(add, adds_to_what_is_there) {
  Stream stream(test_device());
  for (const Shape& shape : cases) {
    SCOPED_TRACE(shape.str());
    std::vector<float> a(static_cast<size_t>(shape.elements())), b(a.size()), expected(a.size());
    for (size_t i = 0; i < a.size(); ++i) {
      a[i] = static_cast<float>(i % 1013) * 0.5F;
      b[i] = 3.0F - static_cast<float>(i % 7);
      expected[i] = a[i] + b[i];
    }
    const Tensor<float> in = upload<float>(stream, shape, a);
    Tensor<float> out = upload<float>(stream, shape, b);
    ops::add(stream, in.view(), out.view());
    EXPECT_EQ(download(stream, out), expected);
    EXPECT_EQ(ops::add_cost(shape).bytes, 12.0 * static_cast<double>(shape.elements()));
  }
}

TEST(add, refuses_shapes_that_differ) {
  const Device device = test_device();
  Stream stream(device);
  Tensor<float> a(device, {2, 3}, "a"), b(device, {3, 2}, "b");
  EXPECT_THROW(ops::add(stream, a.view(), b.view()), Error);
  EXPECT_THROW(ops::add(stream, a.view().permute({1, 0}), b.view()), Error);
}

}  // namespace
}  // namespace ptyfuse::tests
