#include "kernels/ops/merge.h"

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
  bool unmasked;
};
const Case cases[] = {{0, 4, 8, 12, 1, false},    {1, 1, 1, 1, 0, false},    {1, 1, 8, 8, 0, true},
                      {2, 4, 16, 24, 3, false},   {2, 4, 16, 24, 3, true},   {3, 2, 7, 13, 2.5F, false},
                      {1, 4, 64, 78, 6, false},   {2, 3, 8, 10, 20, false},  {1, 2, 6, 6, 3, false},
                      {66000, 1, 2, 4, 1, false}, {1, 2, 5, 9, 1e30F, false}};

class Merge : public testing::TestWithParam<Case> {
 protected:
  Shape patches() const { return {GetParam().groups, GetParam().members, GetParam().side, GetParam().side}; }
  Shape region() const { return {GetParam().groups, GetParam().canvas, GetParam().canvas}; }
  Shape offsets() const { return {GetParam().groups, GetParam().members, 2}; }
  std::vector<float> offset_values() const {
    return random_floats(offsets().elements(), -GetParam().largest_offset_px, GetParam().largest_offset_px, 7);
  }
  std::vector<float> weight_values() const { return random_floats(GetParam().side * GetParam().side, 0, 1, 8); }
};

TEST_P(Merge, equals_the_formula) {
  const Case& c = GetParam();
  Stream stream(test_device());
  const auto in = upload<complex64>(stream, patches(), random_complex(patches().elements(), 1));
  const auto offset = upload<float>(stream, offsets(), offset_values());
  const auto weight = upload<float>(stream, {c.side, c.side}, weight_values());
  Tensor<complex64> out(stream.device(), region(), "out");
  ops::merge(stream, {offset.view(), weight.view(), c.unmasked}, in.view(), out.view());
  const HostCopy host_in(stream, in), host_out(stream, out);
  const HostCopy host_offset(stream, offset), host_weight(stream, weight);
  const int64_t pixels = c.side * c.side, canvas = c.canvas * c.canvas;
  for (int64_t b = 0; b < std::min<int64_t>(c.groups, 40); ++b) {
    std::vector<Field> members;
    std::vector<double> shifts;
    for (int64_t m = b * c.members; m < (b + 1) * c.members; ++m) {
      members.emplace_back(host_in.data() + m * pixels, host_in.data() + (m + 1) * pixels);
      shifts.insert(shifts.end(), host_offset.data() + 2 * m, host_offset.data() + 2 * m + 2);
    }
    const Field want =
        merged(members, shifts, {host_weight.data(), host_weight.data() + pixels}, c.unmasked, c.side, c.canvas);
    EXPECT_WITHIN(relative_l2(host_out.data() + b * canvas, want.data(), canvas), 1e-6);
  }
}

TEST_P(Merge, has_its_exact_transpose) {
  const Case& c = GetParam();
  Stream stream(test_device());
  const auto in = upload<complex64>(stream, patches(), random_complex(patches().elements(), 1));
  const auto cotangent = upload<complex64>(stream, region(), random_complex(region().elements(), 2));
  const auto offset = upload<float>(stream, offsets(), offset_values());
  const auto weight = upload<float>(stream, {c.side, c.side}, weight_values());
  const ops::MergeArgs args{offset.view(), weight.view(), c.unmasked};
  Tensor<complex64> out(stream.device(), region(), "out"), back(stream.device(), patches(), "back");
  ops::merge(stream, args, in.view(), out.view());
  ops::merge_adjoint(stream, args, cotangent.view(), back.view());
  const HostCopy host_in(stream, in), host_cotangent(stream, cotangent), host_out(stream, out), host_back(stream, back);
  const auto left = inner_product(host_out.data(), host_cotangent.data(), out.elements());
  const auto right = inner_product(host_in.data(), host_back.data(), in.elements());
  const double size = std::sqrt(std::abs(inner_product(host_out.data(), host_out.data(), out.elements())) *
                                static_cast<double>(region().elements()));
  EXPECT_WITHIN(std::abs(left - right), 1e-6 * size);
}

INSTANTIATE_TEST_SUITE_P(merge, Merge, testing::ValuesIn(cases));

TEST(merge, half_a_pixel_by_hand) {
  Stream stream(test_device());
  // T_{-o} with o = (0, -0.5) moves the patch by half a pixel to the right.
  const auto in = upload<complex64>(stream, {1, 1, 1, 1}, {{4, 2}});
  const auto offset = upload<float>(stream, {1, 1, 2}, {0, -0.5F}), weight = upload<float>(stream, {1, 1}, {1});
  Tensor<complex64> out(stream.device(), {1, 3, 3}, "out");
  ops::merge(stream, {offset.view(), weight.view()}, in.view(), out.view());
  const HostCopy host_out(stream, out);
  for (int64_t y = 0; y < 3; ++y)
    for (int64_t x = 0; x < 3; ++x) {
      const complex64 want = y == 1 && x > 0 ? complex64(2, 1) / 0.501F : complex64(0);
      EXPECT_WITHIN(std::abs(host_out(0, y, x) - want), 1e-6);
    }
}

TEST(merge, whole_object_returns_where_members_agree) {
  // Patches cut from one object at r_c are put back by T_{-o_c}, o_c = mean(r) - r_c: the sign rule against a known
  // object.
  const int64_t object_side = 24, side = 8, canvas = 14;
  const auto object = random_complex(object_side * object_side, 5);
  const int64_t corner[4][2] = {{7, 6}, {7, 10}, {9, 6}, {9, 10}};  // mean (8, 8)
  std::vector<complex64> patches;
  std::vector<float> offsets;
  for (const auto& r : corner) {
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x)
        patches.push_back(object[static_cast<size_t>((r[0] + y) * object_side + r[1] + x)]);
    offsets.push_back(8.0F - static_cast<float>(r[0]));
    offsets.push_back(8.0F - static_cast<float>(r[1]));
  }
  Stream stream(test_device());
  const auto in = upload<complex64>(stream, {1, 4, side, side}, patches);
  const auto offset = upload<float>(stream, {1, 4, 2}, offsets);
  const auto weight = upload<float>(stream, {side, side}, std::vector<float>(static_cast<size_t>(side * side), 1.0F));
  Tensor<complex64> out(stream.device(), {1, canvas, canvas}, "out");
  ops::merge(stream, {offset.view(), weight.view()}, in.view(), out.view());
  const HostCopy host_out(stream, out);
  for (int64_t y = 2; y < 12; ++y)
    for (int64_t x = 1; x < 13; ++x) {
      const complex64 want = object[static_cast<size_t>((y + 5) * object_side + x + 5)];
      // Members are counted at least once, and the denominator has 1e-3 more than their number.
      EXPECT_WITHIN(std::abs(host_out(0, y, x) - want), 1e-3 * std::abs(want) + 1e-6);
    }
}

TEST(merge, refuses_odd_margins_and_offsets_that_are_not_finite) {
  Stream stream(test_device());
  const auto message = [&](int64_t canvas, float offset_px) -> std::string {
    Tensor<complex64> in(stream.device(), {1, 1, 4, 4}, "in"), out(stream.device(), {1, canvas, canvas}, "out");
    const auto offset = upload<float>(stream, {1, 1, 2}, {0, offset_px});
    const auto weight = upload<float>(stream, {4, 4}, std::vector<float>(16, 1.0F));
    try {
      ops::merge(stream, {offset.view(), weight.view()}, std::as_const(in).view(), out.view());
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message(7, 0), "merge: canvas Q = 7 for N = 4: Q - N must be even and not negative");
  EXPECT_EQ(message(2, 0), "merge: canvas Q = 2 for N = 4: Q - N must be even and not negative");
  const std::string said = message(6, NAN);  // a GPU does not wait to look, but stays within its memory
  EXPECT_EQ(said, stream.device().kind() != DeviceKind::cpu
                      ? ""
                      : "merge: offsets_px is not finite at element 1 of [1, 1, 2]");
}

}  // namespace
}  // namespace ptyfuse::tests
