#include "kernels/ops/extract.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/physics_reference.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

struct Case {
  int64_t groups, members, side, canvas;
  float largest_offset_px;
};
const Case cases[] = {{0, 4, 8, 12, 1},  {1, 1, 1, 1, 0}, {2, 4, 16, 24, 3},   {3, 2, 7, 13, 2.5F}, {1, 4, 64, 78, 6},
                      {2, 3, 8, 10, 20}, {1, 2, 6, 6, 3}, {66000, 1, 2, 4, 1}, {1, 2, 5, 9, 1e30F}};

class Extract : public testing::TestWithParam<Case> {
 protected:
  Shape patches() const { return {GetParam().groups, GetParam().members, GetParam().side, GetParam().side}; }
  Shape region() const { return {GetParam().groups, GetParam().canvas, GetParam().canvas}; }
  Shape offsets() const { return {GetParam().groups, GetParam().members, 2}; }
  std::vector<float> offset_values() const {
    return random_floats(offsets().elements(), -GetParam().largest_offset_px, GetParam().largest_offset_px, 7);
  }
};

TEST_P(Extract, equals_the_formula_and_has_its_exact_transpose) {
  const Case& c = GetParam();
  Stream stream(test_device());
  const auto in = upload<complex64>(stream, region(), random_complex(region().elements(), 1));
  const auto cotangent = upload<complex64>(stream, patches(), random_complex(patches().elements(), 2));
  const auto offset = upload<float>(stream, offsets(), offset_values());
  Tensor<complex64> out(stream.device(), patches(), "out"), back(stream.device(), region(), "back");
  ops::extract(stream, in.view(), offset.view(), out.view());
  ops::extract_adjoint(stream, cotangent.view(), offset.view(), back.view());
  const HostCopy host_in(stream, in), host_cotangent(stream, cotangent), host_out(stream, out), host_back(stream, back);
  const HostCopy host_offset(stream, offset);
  const int64_t pixels = c.side * c.side, canvas = c.canvas * c.canvas;
  for (int64_t i = 0; i < std::min<int64_t>(c.groups * c.members, 40); ++i) {
    const complex64* from = host_in.data() + i / c.members * canvas;
    const Field want = cropped(
        translated(Field(from, from + canvas), c.canvas, host_offset.data()[2 * i], host_offset.data()[2 * i + 1]),
        c.canvas, c.side);
    EXPECT_WITHIN(relative_l2(host_out.data() + i * pixels, want.data(), pixels), 1e-6);
  }
  const auto left = inner_product(host_out.data(), host_cotangent.data(), out.elements());
  const auto right = inner_product(host_in.data(), host_back.data(), in.elements());
  EXPECT_WITHIN(std::abs(left - right), 1e-6 * std::sqrt(static_cast<double>(out.elements())));
}

INSTANTIATE_TEST_SUITE_P(extract, Extract, testing::ValuesIn(cases));

TEST(extract, one_pixel_by_hand) {
  Stream stream(test_device());
  const auto in = upload<complex64>(stream, {1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  // T_{+o}: content moves by +o, so the middle shows what lay above and to the left of it.
  const auto offset = upload<float>(stream, {1, 2, 2}, {1, 0, 0, 0.25F});
  Tensor<complex64> out(stream.device(), {1, 2, 1, 1}, "out");
  ops::extract(stream, in.view(), offset.view(), out.view());
  EXPECT_EQ(download(stream, out), (std::vector<complex64>{2, 4.75F}));
}

TEST(extract, refuses_a_region_smaller_than_a_patch) {
  Stream stream(test_device());
  Tensor<complex64> in(stream.device(), {1, 4, 4}, "in"), out(stream.device(), {1, 1, 6, 6}, "out");
  const auto offset = upload<float>(stream, {1, 1, 2}, {0, 0}),
             infinite = upload<float>(stream, {1, 1, 2}, {INFINITY, 0});
  Tensor<complex64> large(stream.device(), {1, 8, 8}, "large");
  const auto message = [&](TensorView<const complex64> region, TensorView<const float> o) -> std::string {
    try {
      ops::extract(stream, region, o, out.view());
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message(in.view(), offset.view()), "extract: canvas Q = 4 for N = 6: Q - N must be even and not negative");
  const std::string said = message(large.view(), infinite.view());  // a GPU does not wait to look
  EXPECT_EQ(said, stream.device().kind() != DeviceKind::cpu
                      ? ""
                      : "extract: offsets_px is not finite at element 0 of [1, 1, 2]");
  EXPECT_EQ(message(large.view(), offset.view()), "");
}

}  // namespace
}  // namespace ptyfuse::tests
