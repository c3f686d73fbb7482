#include "kernels/ops/projective.h"

#include <gtest/gtest.h>

#include "kernels/ops/translate.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using namespace tests;
using complex128 = std::complex<double>;

/// Homographies near a rotation by up to `angle_rad` about the image's centre, with perspective.
std::vector<double> random_homographies(int64_t images, int64_t height, int64_t width, double angle_rad,
                                        double perspective, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> unit(-1, 1);
  std::vector<double> out;
  for (int64_t n = 0; n < images; ++n) {
    const double a = angle_rad * unit(engine), c = std::cos(a), s = std::sin(a), cy = static_cast<double>(height) / 2,
                 cx = static_cast<double>(width) / 2;
    const double h[] = {c,
                        -s,
                        cx - c * cx + s * cy + 2 * unit(engine),
                        s,
                        c,
                        cy - s * cx - c * cy + 2 * unit(engine),
                        perspective * unit(engine),
                        perspective * unit(engine),
                        1 + 0.1 * unit(engine)};
    out.insert(out.end(), std::begin(h), std::end(h));
  }
  return out;
}

/// The contract, pixel by pixel, in double.
std::vector<complex128> reference(const Shape& in_shape, const Shape& out_shape, const std::vector<complex64>& in,
                                  const std::vector<double>& homography) {
  const int64_t height = in_shape[1], width = in_shape[2];
  std::vector<complex128> out;
  for (int64_t n = 0; n < out_shape[0]; ++n)
    for (int64_t y = 0; y < out_shape[1]; ++y)
      for (int64_t x = 0; x < out_shape[2]; ++x) {
        const double* h = &homography[static_cast<size_t>(9 * n)];
        const double u = static_cast<double>(x), v = static_cast<double>(y), z = h[6] * u + h[7] * v + h[8];
        complex128 sum;
        if (std::abs(z) >= 1e-12) {
          const double sx = (h[0] * u + h[1] * v + h[2]) / z, sy = (h[3] * u + h[4] * v + h[5]) / z;
          for (int dy = 0; dy < 2; ++dy)
            for (int dx = 0; dx < 2; ++dx) {
              const double cy = std::floor(sy) + dy, cx = std::floor(sx) + dx;
              if (cy < 0 || cx < 0 || cy >= static_cast<double>(height) || cx >= static_cast<double>(width)) continue;
              const auto at = (n * height + static_cast<int64_t>(cy)) * width + static_cast<int64_t>(cx);
              sum += (1 - std::abs(sy - cy)) * (1 - std::abs(sx - cx)) * complex128(in[static_cast<size_t>(at)]);
            }
        }
        out.push_back(sum);
      }
  return out;
}

struct Case {
  const char* name;
  Shape in, out;
  double angle_rad, perspective;
  double tolerance;
};
const Case cases[] = {
    {"one_pixel", {3, 1, 1}, {3, 1, 1}, 0.2, 0, 1e-6},
    {"odd", {5, 7, 13}, {5, 9, 11}, 0.5, 1e-2, 1.5e-6},
    {"square", {2, 64, 64}, {2, 64, 64}, 3, 1e-3, 1.5e-6},
    {"one_large", {1, 150, 133}, {1, 140, 201}, 0.7, 1e-3, 1.5e-6},
    {"pole_inside", {4, 20, 20}, {4, 90, 90}, 3, 5e-2, 1.5e-6},
    {"none", {0, 8, 8}, {0, 4, 4}, 1, 0, 0},
    {"no_output", {2, 4, 4}, {2, 0, 4}, 1, 0, 0},
    {"no_input", {2, 0, 4}, {2, 3, 4}, 1, 0, 0},
    {"many_small", {66000, 2, 3}, {66000, 3, 2}, 1, 1e-2, 1.5e-6},
};

std::vector<complex64> run(const Case& c, const std::vector<complex64>& from, const std::vector<double>& homography,
                           bool adjoint, int threads = 2) {
  Stream stream(test_device(threads));
  const auto matrices = upload<double>(stream, {c.in[0], 3, 3}, homography);
  const Shape& source = adjoint ? c.out : c.in;
  const Shape& target = adjoint ? c.in : c.out;
  const auto input = upload<complex64>(stream, source, from);
  auto result =
      upload<complex64>(stream, target, std::vector<complex64>(static_cast<size_t>(target.elements()), {NAN, NAN}));
  adjoint ? ops::projective_adjoint(stream, input.view(), matrices.view(), result.view())
          : ops::projective(stream, input.view(), matrices.view(), result.view());
  return download(stream, result);
}

std::vector<double> homographies(const Case& c, unsigned seed) {
  return random_homographies(c.in[0], c.in[1], c.in[2], c.angle_rad, c.perspective, seed);
}

TEST(projective, by_hand) {
  const Case c{"", {1, 2, 3}, {1, 2, 2}, 0, 0, 0};
  const std::vector<complex64> in = {{1, 1}, {2, 0}, {3, 0}, {4, 0}, {5, 0}, {6, -2}};
  // Source (X, Y) = (2y, x): rows become columns.
  EXPECT_EQ(run(c, in, {0, 2, 0, 1, 0, 0, 0, 0, 1}, false), (std::vector<complex64>{{1, 1}, {4, 0}, {3, 0}, {6, -2}}));
  // Source ((2y + 1)/2, (x + 1)/2), by a denominator of 2: (0.5, 0.5), (0.5, 1), (1.5, 0.5), (1.5, 1).
  EXPECT_EQ(run(c, in, {0, 2, 1, 1, 0, 1, 0, 0, 2}, false),
            (std::vector<complex64>{{3, 0.25F}, {4.5F, 0}, {4, -0.5F}, {5.5F, -1}}));
}

TEST(projective, equals_the_contract_in_double) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto in = random_complex(c.in.elements(), 1);
    const auto h = homographies(c, 2);
    const auto out = run(c, in, h, false);
    EXPECT_WITHIN(max_difference(out.data(), reference(c.in, c.out, in, h).data(), c.out.elements()), c.tolerance);
  }
}

TEST(projective, adjoint_is_the_transpose) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto x = random_complex(c.in.elements(), 3), y = random_complex(c.out.elements(), 4);
    const auto h = homographies(c, 5);
    const auto ax = run(c, x, h, false), aty = run(c, y, h, true);
    complex128 forward, backward;
    double scale = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      forward += std::conj(complex128(ax[i])) * complex128(y[i]);
      scale += std::abs(complex128(ax[i]) * complex128(y[i]));
    }
    for (size_t i = 0; i < x.size(); ++i) backward += std::conj(complex128(x[i])) * complex128(aty[i]);
    EXPECT_WITHIN(std::abs(forward - backward), 2e-7 * scale);
  }
}

TEST(projective, agrees_with_translate) {
  const Shape shape{6, 33, 29};
  const auto in = random_complex(shape.elements(), 6);
  const auto shift = random_floats(2 * shape[0], -5, 5, 7);
  std::vector<double> h;
  for (int64_t n = 0; n < shape[0]; ++n)
    for (const double v : {1.0, 0.0, -static_cast<double>(shift[static_cast<size_t>(2 * n + 1)]), 0.0, 1.0,
                           -static_cast<double>(shift[static_cast<size_t>(2 * n)]), 0.0, 0.0, 1.0})
      h.push_back(v);
  Stream stream(test_device());
  const auto image = upload<complex64>(stream, shape, in);
  const auto shifts = upload<float>(stream, {shape[0], 2}, shift);
  Tensor<complex64> moved(stream.device(), shape, "moved");
  const Case c{"", shape, shape, 0, 0, 0};
  ops::translate(stream, image.view(), shifts.view(), moved.view());
  EXPECT_WITHIN(max_difference(run(c, in, h, false).data(), download(stream, moved).data(), shape.elements()), 1e-6);
  ops::translate_adjoint(stream, image.view(), shifts.view(), moved.view());
  EXPECT_WITHIN(max_difference(run(c, in, h, true).data(), download(stream, moved).data(), shape.elements()), 1e-6);
}

TEST(projective, points_at_infinity_are_zero) {
  const Case c{"", {1, 2, 2}, {1, 3, 70}, 0, 0, 0};
  for (const std::vector<double>& h :
       {std::vector<double>{1, 0, 0, 0, 1, 0, 0, 0, 0}, {1, 0, 0, 0, 1, 0, 0, 0, 9e-13}}) {
    for (const complex64 v : run(c, std::vector<complex64>(4, 1), h, false)) EXPECT_EQ(v, complex64());
    for (const complex64 v : run(c, std::vector<complex64>(210, 1), h, true)) EXPECT_EQ(v, complex64());
  }
}

TEST(projective, repeats_bit_for_bit_with_any_threads) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto h = homographies(c, 8);
    for (const bool adjoint : {false, true}) {
      const auto from = random_complex(adjoint ? c.out.elements() : c.in.elements(), 9);
      const auto once = run(c, from, h, adjoint);
      for (const int threads : {1, 2, 5}) EXPECT_EQ(run(c, from, h, adjoint, threads), once);
    }
  }
}

TEST(projective, says_what_does_not_fit) {
  Stream stream(test_device());
  Tensor<complex64> in(stream.device(), {2, 4, 4}, "in"), out(stream.device(), {2, 3, 5}, "out"),
      three(stream.device(), {3, 3, 5}, "three");
  Tensor<double> h(stream.device(), {2, 3, 3}, "h"), flat(stream.device(), {2, 9}, "flat");
  fill_zero(stream, h.view());
  EXPECT_EQ(
      error_message([&] { ops::projective(stream, in.view(), h.view(), three.view()); }),
      "projective: images of shape [2, 4, 4] and warped images of shape [3, 3, 5], expected [n,H,W] and [n,Ho,Wo]");
  EXPECT_EQ(error_message([&] { ops::projective(stream, in.view(), flat.view(), out.view()); }),
            "projective: homographies of shape [2, 9], expected [2, 3, 3]");
  EXPECT_EQ(error_message([&] { ops::projective(stream, in.view(), h.view(), in.view()); }),
            "projective: input and output overlap");
}

TEST(projective, refuses_entries_that_are_not_finite_or_survives_them) {
  // A GPU's kernels do not report: what comes out is of no use, what lies beside it stays.
  const Case c{"", {2, 4, 4}, {2, 4, 4}, 0, 0, 0};
  const std::vector<complex64> in(32, 1);
  std::vector<double> h{1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, NAN, 0, 0, 1};
  if (test_device().kind() == DeviceKind::cpu) {
    EXPECT_EQ(error_message([&] { run(c, in, h, true); }),
              "projective_adjoint: entry [1,2] of homography 1 is not finite");
  } else {
    for (const double wrong : {static_cast<double>(NAN), static_cast<double>(INFINITY)})
      for (const bool adjoint : {false, true}) {
        h[9 + 5] = wrong;
        const auto out = run(c, in, h, adjoint);
        EXPECT_EQ(std::vector<complex64>(out.begin(), out.begin() + 16), std::vector<complex64>(16, 1));
      }
  }
}

TEST(projective, names_its_cost) {
  EXPECT_EQ(ops::projective_cost({2, 3, 5}).bytes, 480);
  EXPECT_EQ(ops::projective_cost({2, 3, 5}).flop, 38 * 30);
}

}  // namespace
}  // namespace ptyfuse
