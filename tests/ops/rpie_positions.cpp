#include "kernels/ops/rpie_positions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/support/case_name.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::ops {
namespace {

using complex128 = std::complex<double>;
using tests::case_name;
using tests::download;
using tests::error_message;
using tests::random_complex;
using tests::relative_l2;
using tests::upload;

constexpr PositionGradient gradients[] = {PositionGradient::wide, PositionGradient::exact};

struct Case {
  const char* name;
  int64_t frames, modes, probes, side, height, width;
};
const Case cases[] = {
    {"one pixel", 2, 1, 1, 1, 3, 2},    {"two pixels", 3, 1, 2, 2, 4, 5},
    {"empty batch", 0, 2, 3, 4, 6, 5},  {"odd", 3, 2, 3, 7, 19, 12},
    {"many modes", 2, 5, 4, 8, 9, 8},   {"one probe for all", 6, 1, 1, 12, 40, 31},
    {"usual", 16, 2, 16, 64, 180, 170}, {"window is the object", 1, 1, 1, 20, 20, 20},
};

struct Data {
  explicit Data(const Case& with)
      : c(with),
        object(random_complex(c.height * c.width, 1)),
        probes(random_complex(c.probes * c.modes * c.side * c.side, 2)),
        differences(random_complex(c.frames * c.modes * c.side * c.side, 3)) {
    std::mt19937 engine(6);
    for (int64_t n = 0; n < c.frames; ++n) {
      corner.push_back(std::uniform_int_distribution<int64_t>(0, c.height - c.side)(engine));
      corner.push_back(std::uniform_int_distribution<int64_t>(0, c.width - c.side)(engine));
      index.push_back(std::uniform_int_distribution<int64_t>(0, c.probes - 1)(engine));
    }
  }
  Case c;
  std::vector<complex64> object, probes, differences;
  std::vector<int64_t> corner, index;
};

std::vector<double> found(const Data& d, PositionGradient gradient, int threads = 2) {
  Stream stream(tests::test_device(threads));
  const auto object = upload<complex64>(stream, {d.c.height, d.c.width}, d.object);
  const auto probes = upload<complex64>(stream, {d.c.probes, d.c.modes, d.c.side, d.c.side}, d.probes);
  const auto differences = upload<complex64>(stream, {d.c.frames, d.c.modes, d.c.side, d.c.side}, d.differences);
  const auto corner = upload<int64_t>(stream, {d.c.frames, 2}, d.corner);
  const auto index = upload<int64_t>(stream, {d.c.frames}, d.index);
  Tensor<double> steps(stream.device(), {d.c.frames, 2}, "steps");
  position_steps(stream, object.view(), {corner.view(), index.view()}, probes.view(), differences.view(), gradient,
                 steps.view());
  return download(stream, steps);
}

// The contract, pixel by pixel in double.
std::vector<double> plain(const Data& d, PositionGradient gradient) {
  const int64_t side = d.c.side;
  std::vector<double> out;
  for (int64_t n = 0; n < d.c.frames; ++n) {
    const auto f = static_cast<size_t>(n);
    double normal[2][2] = {}, right[2] = {};
    for (int64_t k = 0; k < d.c.modes; ++k)
      for (int64_t y = 0; y < side; ++y)
        for (int64_t x = 0; x < side; ++x) {
          const auto object = [&](int64_t i, int64_t j) {
            return complex128(
                d.object[static_cast<size_t>((d.corner[2 * f] + i) * d.c.width + d.corner[2 * f + 1] + j)]);
          };
          const auto probe = [&](int64_t i, int64_t j) {
            return complex128(d.probes[static_cast<size_t>(((d.index[f] * d.c.modes + k) * side + i) * side + j)]);
          };
          complex128 g[2];
          for (int axis = 0; axis < 2; ++axis)
            for (const int64_t sign : {-1, 1}) {
              const int64_t i = y + (axis == 0 ? sign : 0), j = x + (axis == 1 ? sign : 0);
              if (i < 0 || j < 0 || i >= side || j >= side) continue;
              const complex128 p = gradient == PositionGradient::exact ? probe(i, j) : probe(y, x);
              g[axis] += 0.5 * static_cast<double>(sign) * p * (object(i, j) - object(y, x));
            }
          const complex128 difference(d.differences[static_cast<size_t>(((n * d.c.modes + k) * side + y) * side + x)]);
          for (int a = 0; a < 2; ++a) {
            right[a] += (std::conj(g[a]) * difference).real();
            for (int b = 0; b < 2; ++b) normal[a][b] += (std::conj(g[a]) * g[b]).real();
          }
        }
    const double ridge = 1e-3 * (normal[0][0] + normal[1][1]);
    for (int a = 0; a < 2; ++a) normal[a][a] += ridge;
    const double determinant = normal[0][0] * normal[1][1] - normal[0][1] * normal[1][0];
    out.push_back(determinant > 0 ? (normal[1][1] * right[0] - normal[0][1] * right[1]) / determinant : 0);
    out.push_back(determinant > 0 ? (normal[0][0] * right[1] - normal[1][0] * right[0]) / determinant : 0);
  }
  return out;
}

class rpie_positions : public testing::TestWithParam<Case> {};

TEST_P(rpie_positions, are_the_least_squares_of_the_contract) {
  const Data d(GetParam());
  for (const PositionGradient gradient : gradients)
    EXPECT_WITHIN(relative_l2(found(d, gradient).data(), plain(d, gradient).data(), 2 * d.c.frames), 1e-5);
}

TEST_P(rpie_positions, same_bits_whatever_the_threads) {
  const Data d(GetParam());
  for (const PositionGradient gradient : gradients) {
    const auto one = found(d, gradient, 1);
    EXPECT_EQ(found(d, gradient, 2), one);
    EXPECT_EQ(found(d, gradient, 3), one);
  }
}

INSTANTIATE_TEST_SUITE_P(cases, rpie_positions, testing::ValuesIn(cases),
                         [](const auto& given) { return case_name(given.param.name); });

// A frame that is the whole object.
Data one_frame(int64_t side, std::vector<complex64> object, std::vector<complex64> probe,
               std::vector<complex64> difference) {
  Data d({"", 1, 1, 1, side, side, side});
  d.object = std::move(object);
  d.probes = std::move(probe);
  d.differences = std::move(difference);
  return d;
}

TEST(rpie_positions_by_hand, a_step_from_1_to_3) {
  // Half the differences along x are 1 in both columns, none along y. wide: G = P = 1, 2: (1*1) / (1 + 4). exact: G is
  // the other column's P = 2, 1: (2*1) / (4 + 1).
  const Data d = one_frame(2, {1.0F, 3.0F, 1.0F, 3.0F}, {1.0F, 2.0F, 1.0F, 2.0F}, {1.0F, 0.0F, 1.0F, 0.0F});
  const auto wide = found(d, PositionGradient::wide), exact = found(d, PositionGradient::exact);
  EXPECT_EQ(wide[0], 0);
  EXPECT_EQ(exact[0], 0);
  EXPECT_WITHIN(std::abs(wide[1] - 0.2 / 1.001), 1e-7);
  EXPECT_WITHIN(std::abs(exact[1] - 0.4 / 1.001), 1e-7);
}

TEST(rpie_positions_by_hand, finds_how_far_a_slope_moved) {
  // An object that rises evenly along y and x; the probe is dark at the rim.
  constexpr int64_t side = 9;
  const complex128 along_y(0.3, 0.1), along_x(-0.2, 0.4);
  const double moved[2] = {0.25, -0.6};
  std::vector<complex64> object, difference, probe = random_complex(side * side, 4);
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) {
      auto& p = probe[static_cast<size_t>(y * side + x)];
      if (y == 0 || x == 0 || y == side - 1 || x == side - 1) p = 0;
      object.emplace_back(along_y * static_cast<double>(y) + along_x * static_cast<double>(x));
      difference.emplace_back(complex128(p) * (along_y * moved[0] + along_x * moved[1]));
    }
  const auto step = found(one_frame(side, object, probe, difference), PositionGradient::wide);
  for (size_t axis = 0; axis < 2; ++axis) EXPECT_WITHIN(std::abs(step[axis] - moved[axis]), 4e-3);  // the ridge
}

TEST(rpie_positions_by_hand, nothing_to_see_moves_nothing) {
  constexpr int64_t side = 5, pixels = side * side;
  const auto any = random_complex(pixels, 7);
  const std::vector<complex64> flat(pixels, complex64(0.4F, 2)), dark(pixels);
  auto endless = any;
  endless[12] = {std::numeric_limits<float>::infinity(), 0};
  for (const PositionGradient gradient : gradients) {
    const std::vector<double> stays{0, 0};
    EXPECT_EQ(found(one_frame(side, flat, any, any), gradient), stays);
    EXPECT_EQ(found(one_frame(side, any, dark, any), gradient), stays);
    EXPECT_EQ(found(one_frame(side, any, any, dark), gradient), stays);
    EXPECT_EQ(found(one_frame(side, endless, any, any), gradient), stays);
    EXPECT_EQ(found(one_frame(side, any, any, endless), gradient), stays);
  }
}

TEST(rpie_positions_by_hand, along_the_lines_of_an_object_nothing_moves) {
  constexpr int64_t side = 8;
  std::vector<complex64> lines;
  for (int64_t i = 0; i < side * side; ++i) lines.emplace_back(static_cast<float>(i / side % 3), 1.0F);
  for (const PositionGradient gradient : gradients) {
    const auto step =
        found(one_frame(side, lines, random_complex(side * side, 8), random_complex(side * side, 9)), gradient);
    EXPECT_GT(std::abs(step[0]), 1e-3);
    EXPECT_EQ(step[1], 0);
  }
}

TEST(rpie_positions_errors, a_frame_that_does_not_fit) {
  const bool cpu = tests::test_device().kind() == DeviceKind::cpu;
  for (const PositionGradient gradient : gradients) {
    const Data good(cases[3]);
    const auto expected = found(good, gradient);
    for (const int what : {0, 1, 2, 3, 4, 5}) {
      Data d = good;
      if (what < 4)
        d.corner[static_cast<size_t>(2 + what % 2)] =
            what < 2 ? -1 : (what == 2 ? d.c.height : d.c.width) - d.c.side + 1;
      if (what >= 4) d.index[1] = what == 4 ? -1 : d.c.probes;
      if (cpu) {
        const std::string message = error_message([&] { found(d, gradient); });
        EXPECT_NE(message.find("position_steps: frame 1"), std::string::npos) << message;
        continue;
      }
      auto others = expected;
      others[2] = others[3] = 0;
      EXPECT_EQ(found(d, gradient), others);
    }
  }
}

TEST(rpie_positions_errors, name_what_does_not_fit) {
  Stream stream(tests::test_device());
  const Tensor<complex64> object(stream.device(), {9, 9}, "object"), probes(stream.device(), {2, 1, 4, 4}, "probes"),
      differences(stream.device(), {2, 1, 4, 4}, "differences");
  const Tensor<int64_t> corner(stream.device(), {2, 2}, "corner"), index(stream.device(), {2}, "index");
  Tensor<double> steps(stream.device(), {2, 2}, "steps"), few(stream.device(), {1, 2}, "few");
  const auto message = [&](const RpieBatch& batch, TensorView<const complex64> with, TensorView<double> out) {
    return error_message(
        [&] { position_steps(stream, object.view(), batch, with, differences.view(), PositionGradient::wide, out); });
  };
  const RpieBatch batch{corner.view(), index.view()};
  EXPECT_NE(message({corner.view().slice(0, 0, 1), index.view()}, probes.view(), steps.view()).find("corner"),
            std::string::npos);
  EXPECT_NE(message(batch, probes.view().reshape({1, 2, 4, 4}), steps.view()).find("probes"), std::string::npos);
  EXPECT_NE(message(batch, probes.view(), few.view()).find("steps"), std::string::npos);
}

}  // namespace
}  // namespace ptyfuse::ops
