#include "kernels/ops/translate.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using namespace tests;
using complex128 = std::complex<double>;

std::vector<float> random_shifts(int64_t images, double reach_px, unsigned seed) {
  return random_floats(2 * images, -reach_px, reach_px, seed);
}

/// The contract, pixel by pixel, in double.
std::vector<complex128> reference(const Shape& shape, const std::vector<complex64>& in,
                                  const std::vector<float>& shift_px) {
  const int64_t height = shape[1], width = shape[2];
  std::vector<complex128> out(in.size());
  for (int64_t n = 0; n < shape[0]; ++n)
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x) {
        const double sy = static_cast<double>(y) - shift_px[static_cast<size_t>(2 * n)],
                     sx = static_cast<double>(x) - shift_px[static_cast<size_t>(2 * n + 1)];
        complex128 sum;
        for (int dy = 0; dy < 2; ++dy)
          for (int dx = 0; dx < 2; ++dx) {
            const double cy = std::floor(sy) + dy, cx = std::floor(sx) + dx;
            if (cy < 0 || cx < 0 || cy >= static_cast<double>(height) || cx >= static_cast<double>(width)) continue;
            const double weight = (1 - std::abs(sy - cy)) * (1 - std::abs(sx - cx));
            const auto at = (n * height + static_cast<int64_t>(cy)) * width + static_cast<int64_t>(cx);
            sum += weight * complex128(in[static_cast<size_t>(at)]);
          }
        out[static_cast<size_t>((n * height + y) * width + x)] = sum;
      }
  return out;
}

struct Case {
  const char* name;
  Shape shape;
  double reach_px;
  double tolerance;  ///< of the largest difference; inputs are of order 1
};
const Case cases[] = {
    {"one_pixel", {3, 1, 1}, 1.5, 1e-6},
    {"one_row", {2, 1, 17}, 3, 1e-6},
    {"one_column", {2, 19, 1}, 3, 1e-6},
    {"odd", {5, 7, 13}, 4, 1e-6},
    {"square", {4, 64, 64}, 6, 1.5e-6},
    {"wide", {2, 9, 131}, 140, 1.5e-6},
    {"none", {0, 8, 8}, 1, 0},
    {"no_rows", {2, 0, 8}, 1, 0},
    {"many_small", {66000, 2, 3}, 2, 1.5e-6},
    {"mostly_outside", {16, 6, 6}, 9, 1e-6},
};

std::vector<complex64> run(const Shape& shape, const std::vector<complex64>& in, const std::vector<float>& shift_px,
                           bool adjoint, int threads = 2) {
  Stream stream(test_device(threads));
  const auto image = upload<complex64>(stream, shape, in);
  const auto shift = upload<float>(stream, {shape[0], 2}, shift_px);
  auto out = upload<complex64>(stream, shape, std::vector<complex64>(in.size(), {NAN, NAN}));
  adjoint ? ops::translate_adjoint(stream, image.view(), shift.view(), out.view())
          : ops::translate(stream, image.view(), shift.view(), out.view());
  return download(stream, out);
}

TEST(translate, moves_content_by_plus_t) {
  std::vector<complex64> in(20);
  in[1 * 5 + 2] = {8, -4};
  const auto whole = run({1, 4, 5}, in, {1, -2}, false);
  for (size_t i = 0; i < whole.size(); ++i)
    EXPECT_EQ(whole[i], i == 2 * 5 + 0 ? complex64(8, -4) : complex64()) << "element " << i;
  const auto part = run({1, 4, 5}, in, {0.25F, 0.5F}, false);
  EXPECT_EQ(part[1 * 5 + 2], complex64(3, -1.5F));
  EXPECT_EQ(part[1 * 5 + 3], complex64(3, -1.5F));
  EXPECT_EQ(part[2 * 5 + 2], complex64(1, -0.5F));
  EXPECT_EQ(part[2 * 5 + 3], complex64(1, -0.5F));
}

TEST(translate, does_not_renormalise_at_the_border) {
  EXPECT_EQ(run({1, 1, 4}, std::vector<complex64>(4, 1), {0, 0.5F}, false),
            (std::vector<complex64>{{0.5F, 0}, {1, 0}, {1, 0}, {1, 0}}));
}

TEST(translate, equals_the_contract_in_double) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto in = random_complex(c.shape.elements(), 1);
    const auto shift = random_shifts(c.shape[0], c.reach_px, 2);
    const auto out = run(c.shape, in, shift, false);
    EXPECT_WITHIN(max_difference(out.data(), reference(c.shape, in, shift).data(), c.shape.elements()), c.tolerance);
  }
}

TEST(translate, adjoint_is_the_transpose) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const int64_t count = c.shape.elements();
    const auto x = random_complex(count, 3), y = random_complex(count, 4);
    const auto shift = random_shifts(c.shape[0], c.reach_px, 5);
    const auto ax = run(c.shape, x, shift, false), aty = run(c.shape, y, shift, true);
    complex128 forward, backward;
    double scale = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      forward += std::conj(complex128(ax[i])) * complex128(y[i]);
      backward += std::conj(complex128(x[i])) * complex128(aty[i]);
      scale += std::abs(complex128(ax[i]) * complex128(y[i]));
    }
    EXPECT_WITHIN(std::abs(forward - backward), 1e-7 * scale);
  }
}

TEST(translate, far_shifts_give_zero) {
  for (const float far : {1e9F, -1e9F, 3e38F, -3e38F, 8.0F, -8.0F})
    for (const bool adjoint : {false, true})
      for (const bool along_y : {false, true})
        for (const complex64 v : run({1, 8, 8}, std::vector<complex64>(64, 1),
                                     along_y ? std::vector<float>{far, 0} : std::vector<float>{0, far}, adjoint))
          EXPECT_EQ(v, complex64()) << far;
}

TEST(translate, repeats_bit_for_bit_with_any_threads) {
  const Shape shape{3, 61, 67};
  const auto in = random_complex(shape.elements(), 6);
  const auto shift = random_shifts(shape[0], 9, 7);
  for (const bool adjoint : {false, true})
    for (const int threads : {1, 2, 3, 5})
      EXPECT_EQ(run(shape, in, shift, adjoint, threads), run(shape, in, shift, adjoint));
}

TEST(translate, says_what_does_not_fit) {
  Stream stream(test_device());
  const Tensor<complex64> in(stream.device(), {2, 4, 4}, "in");
  Tensor<complex64> out(stream.device(), {2, 4, 4}, "out"), other(stream.device(), {2, 4, 5}, "other");
  Tensor<float> shift(stream.device(), {2, 2}, "shift"), three(stream.device(), {3, 2}, "shift");
  fill_zero(stream, shift.view());
  EXPECT_EQ(error_message([&] { ops::translate(stream, in.view(), shift.view(), other.view()); }),
            "translate: output of shape [2, 4, 5], expected [2, 4, 4]");
  EXPECT_EQ(error_message([&] { ops::translate_adjoint(stream, in.view(), three.view(), out.view()); }),
            "translate_adjoint: shifts of shape [3, 2], expected [2, 2], [y,x] of each image");
  EXPECT_EQ(error_message([&] { ops::translate(stream, out.view(), shift.view(), out.view()); }),
            "translate: input and output overlap");
  EXPECT_EQ(
      error_message([&] { ops::translate(stream, in.view().slice(2, 0, 3), shift.view(), out.view().slice(2, 0, 3)); }),
      "translate: a view is not contiguous");
}

TEST(translate, refuses_shifts_that_are_not_finite_or_survives_them) {
  // A GPU's kernels do not report: what comes out is of no use, what lies beside it stays.
  const Shape shape{2, 4, 4};
  const std::vector<complex64> in(32, 1);
  const std::vector<float> nan{0, 0, 0, NAN}, infinite{0, 0, 0, INFINITY};
  if (test_device().kind() == DeviceKind::cpu) {
    EXPECT_EQ(error_message([&] { run(shape, in, nan, false); }),
              "translate: the shift of image 1 is not finite: [0.000000, nan]");
    EXPECT_THROW(run(shape, in, infinite, true), Error);
  } else {
    for (const auto& shift : {nan, infinite})
      for (const bool adjoint : {false, true}) {
        const auto out = run(shape, in, shift, adjoint);
        EXPECT_EQ(std::vector<complex64>(out.begin(), out.begin() + 16), std::vector<complex64>(16, 1));
      }
  }
}

TEST(translate, names_its_cost) {
  EXPECT_EQ(ops::translate_cost({10, 20, 30}).bytes, 16.0 * 6000);
  EXPECT_EQ(ops::translate_cost({10, 20, 30}).flop, 14.0 * 6000);
}

}  // namespace
}  // namespace ptyfuse
