#include "kernels/ops/reassemble.h"

#include <gtest/gtest.h>

#include <random>

#include "kernels/ops/reassemble_tiles.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"
#include "tests/support/reserved_memory.h"

namespace ptyfuse {
namespace {

using namespace tests;
using complex128 = std::complex<double>;

struct Case {
  const char* name;
  int64_t patches, side, height, width;
  double low_px, high_px;  ///< of the corners
  int64_t border;          ///< zeros on each side of the weight
  double tolerance;        ///< relative L2
};
const Case cases[] = {
    {"one_pixel", 7, 1, 5, 4, -2, 6, 0, 2e-7},   {"one", 1, 8, 12, 13, 0, 4, 0, 2e-7},
    {"odd", 20, 7, 31, 23, -9, 30, 1, 3e-7},     {"square", 40, 64, 150, 140, -20, 90, 0, 4e-7},
    {"crop", 40, 64, 130, 140, 0, 66, 22, 4e-7}, {"none", 0, 8, 9, 9, 0, 1, 0, 0},
    {"no_canvas", 3, 4, 0, 9, 0, 5, 0, 0},       {"many_small", 66000, 2, 40, 41, -3, 42, 0, 3e-6},
    {"outside", 5, 6, 10, 10, 11, 300, 0, 0},
};

struct Inputs {
  std::vector<complex64> patches;
  std::vector<double> corner_px;
  std::vector<float> weight;
};

Inputs random_inputs(const Case& c, unsigned seed) {
  Inputs in{random_complex(c.patches * c.side * c.side, seed), {}, random_floats(c.side * c.side, 0.1, 1, seed + 1)};
  std::mt19937 engine(seed + 2);
  std::uniform_real_distribution<double> uniform(c.low_px, c.high_px);
  for (int64_t i = 0; i < 2 * c.patches; ++i) in.corner_px.push_back(uniform(engine));
  for (int64_t y = 0; y < c.side; ++y)
    for (int64_t x = 0; x < c.side; ++x)
      if (std::min({y, x, c.side - 1 - y, c.side - 1 - x}) < c.border)
        in.weight[static_cast<size_t>(y * c.side + x)] = 0;
  return in;
}

struct Sums {
  std::vector<complex64> weighted;
  std::vector<float> weight;
  friend bool operator==(const Sums&, const Sums&) = default;
};

/// Stitches in batches of `batch` onto a cleared canvas.
Sums run(const Case& c, const Inputs& in, int threads = 2, int64_t batch = 0) {
  Stream stream(test_device(threads));
  const auto patches = upload<complex64>(stream, {c.patches, c.side, c.side}, in.patches);
  const auto weight = upload<float>(stream, {c.side, c.side}, in.weight);
  Tensor<complex64> weighted(stream.device(), {c.height, c.width}, "weighted");
  Tensor<float> sum(stream.device(), {c.height, c.width}, "sum");
  fill_zero(stream, weighted.view());
  fill_zero(stream, sum.view());
  for (int64_t s = 0; s == 0 || s < c.patches; s += std::max<int64_t>(batch, 1)) {
    const int64_t end = batch > 0 ? std::min(s + batch, c.patches) : c.patches;
    ops::reassemble(stream, patches.view().slice(0, s, end),
                    std::span(in.corner_px).subspan(static_cast<size_t>(2 * s), static_cast<size_t>(2 * (end - s))),
                    weight.view(), {weighted.view(), sum.view()});
    if (batch == 0) break;
  }
  return {download(stream, weighted), download(stream, sum)};
}

/// The contract in double: each source pixel goes to four canvas pixels.
void reference(const Case& c, const Inputs& in, std::vector<complex128>* weighted, std::vector<double>* weight) {
  weighted->assign(static_cast<size_t>(c.height * c.width), 0);
  weight->assign(static_cast<size_t>(c.height * c.width), 0);
  for (int64_t s = 0; s < c.patches; ++s)
    for (int64_t i = 0; i < c.side * c.side; ++i) {
      const double y = in.corner_px[static_cast<size_t>(2 * s)] + static_cast<double>(i / c.side),
                   x = in.corner_px[static_cast<size_t>(2 * s + 1)] + static_cast<double>(i % c.side);
      for (int dy = 0; dy < 2; ++dy)
        for (int dx = 0; dx < 2; ++dx) {
          const double cy = std::floor(y) + dy, cx = std::floor(x) + dx;
          if (cy < 0 || cx < 0 || cy >= static_cast<double>(c.height) || cx >= static_cast<double>(c.width)) continue;
          const double w = (1 - std::abs(y - cy)) * (1 - std::abs(x - cx)) * in.weight[static_cast<size_t>(i)];
          const auto at = static_cast<size_t>(static_cast<int64_t>(cy) * c.width + static_cast<int64_t>(cx));
          (*weighted)[at] += w * complex128(in.patches[static_cast<size_t>(s * c.side * c.side + i)]);
          (*weight)[at] += w;
        }
    }
}

TEST(reassemble, by_hand) {
  const Case c{"", 2, 2, 3, 4, 0, 0, 0, 0};
  // Patch 0 with its corner on (0, 1); patch 1 half a pixel down and a quarter right of (1, 1).
  const Inputs in{{{1, 0}, {2, 0}, {3, 0}, {4, 4}, {8, 0}, {0, 0}, {0, 0}, {0, 0}}, {0, 1, 1.5, 1.25}, {1, 2, 1, 1}};
  const Sums out = run(c, in);
  EXPECT_EQ(out.weighted, (std::vector<complex64>{{0, 0},
                                                  {1, 0},
                                                  {4, 0},
                                                  {0, 0},  //
                                                  {0, 0},
                                                  {6, 0},
                                                  {5, 4},
                                                  {0, 0},  //
                                                  {0, 0},
                                                  {3, 0},
                                                  {1, 0},
                                                  {0, 0}}));
  EXPECT_EQ(out.weight, (std::vector<float>{0, 1, 2, 0,                //
                                            0, 1.375F, 1.875F, 0.25F,  //
                                            0, 0.75F, 1.375F, 0.375F}));
}

TEST(reassemble, equals_the_contract_in_double) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Inputs in = random_inputs(c, 1);
    const Sums out = run(c, in);
    std::vector<complex128> weighted;
    std::vector<double> weight;
    reference(c, in, &weighted, &weight);
    EXPECT_WITHIN(relative_l2(out.weighted.data(), weighted.data(), c.height * c.width), c.tolerance);
    EXPECT_WITHIN(relative_l2(out.weight.data(), weight.data(), c.height * c.width), c.tolerance);
  }
}

TEST(reassemble, does_not_depend_on_threads_or_batches) {
  for (const Case& c : cases) {
    if (c.patches > 1000) continue;
    SCOPED_TRACE(c.name);
    const Inputs in = random_inputs(c, 4);
    const Sums once = run(c, in);
    for (const int threads : {1, 2, 3, 7}) EXPECT_EQ(run(c, in, threads), once) << threads << " threads";
    for (const int64_t batch : {1, 3, 16}) EXPECT_EQ(run(c, in, 2, batch), once) << "batches of " << batch;
  }
}

TEST(reassemble, takes_a_central_crop_without_a_copy) {
  const Case c{"", 9, 16, 40, 50, -3, 30, 4, 0};
  const Inputs in = random_inputs(c, 5);
  const Sums whole = run(c, in);
  Stream stream(test_device());
  const auto patches = upload<complex64>(stream, {9, 16, 16}, in.patches);
  std::vector<float> core;
  for (int64_t y = 4; y < 12; ++y)
    for (int64_t x = 4; x < 12; ++x) core.push_back(in.weight[static_cast<size_t>(y * 16 + x)]);
  std::vector<double> corners = in.corner_px;
  for (double& v : corners) v += 4;
  const auto weight = upload<float>(stream, {8, 8}, core);
  Tensor<complex64> weighted(stream.device(), {40, 50}, "weighted");
  Tensor<float> sum(stream.device(), {40, 50}, "sum");
  fill_zero(stream, weighted.view());
  fill_zero(stream, sum.view());
  ops::reassemble(stream, patches.view().slice(1, 4, 12).slice(2, 4, 12), corners, weight.view(),
                  {weighted.view(), sum.view()});
  EXPECT_WITHIN(relative_l2(download(stream, weighted).data(), whole.weighted.data(), 2000), 1e-6);
  EXPECT_WITHIN(relative_l2(download(stream, sum).data(), whole.weight.data(), 2000), 1e-6);
}

TEST(reassemble, never_reads_where_the_weight_is_zero) {
  const Case c{"", 4, 12, 30, 30, 0, 17, 3, 0};
  Inputs in = random_inputs(c, 6);
  for (size_t i = 0; i < in.patches.size(); ++i) {
    const size_t y = i / 12 % 12, x = i % 12;
    if (std::min({y, x, 11 - y, 11 - x}) < 3) in.patches[i] = {NAN, NAN};
  }
  for (const complex64 v : run(c, in).weighted) ASSERT_TRUE(std::isfinite(v.real()) && std::isfinite(v.imag()));
}

TEST(reassemble, is_linear_in_the_patches_and_its_transpose_samples) {
  // <T(w p), z> = sum over patches of <p, w * samples of z>, with the samples taken in double.
  const Case c{"", 12, 9, 30, 27, -5, 25, 0, 0};
  const Inputs in = random_inputs(c, 7);
  const Sums out = run(c, in);
  const auto z = random_complex(c.height * c.width, 8);
  complex128 forward, backward;
  double scale = 0;
  for (size_t i = 0; i < z.size(); ++i) {
    forward += std::conj(complex128(out.weighted[i])) * complex128(z[i]);
    scale += std::abs(complex128(out.weighted[i]) * complex128(z[i]));
  }
  for (int64_t s = 0; s < c.patches; ++s)
    for (int64_t i = 0; i < c.side * c.side; ++i) {
      const double y = in.corner_px[static_cast<size_t>(2 * s)] + static_cast<double>(i / c.side),
                   x = in.corner_px[static_cast<size_t>(2 * s + 1)] + static_cast<double>(i % c.side);
      complex128 sample;
      for (int64_t cy = 0; cy < c.height; ++cy)
        for (int64_t cx = 0; cx < c.width; ++cx) {
          const double wy = 1 - std::abs(y - static_cast<double>(cy)), wx = 1 - std::abs(x - static_cast<double>(cx));
          if (wy > 0 && wx > 0) sample += wy * wx * complex128(z[static_cast<size_t>(cy * c.width + cx)]);
        }
      backward += std::conj(complex128(in.patches[static_cast<size_t>(s * c.side * c.side + i)])) *
                  static_cast<double>(in.weight[static_cast<size_t>(i)]) * sample;
    }
  EXPECT_WITHIN(std::abs(forward - backward), 1e-7 * scale);
}

TEST(reassemble, drops_what_is_far_outside) {
  const Case c{"", 6, 4, 8, 8, 0, 0, 0, 0};
  Inputs in = random_inputs(c, 9);
  in.corner_px = {1e300, 0, 0, -1e300, -4, 2, 2, 8, 1e10, 1e10, 8, 8};
  const Sums out = run(c, in);
  for (const float w : out.weight) EXPECT_EQ(w, 0);
  for (const complex64 v : out.weighted) EXPECT_EQ(v, complex64());
}

TEST(reassemble, reaches_elements_past_2_to_the_31) {
  // Two patches far apart in memory, and a canvas of 2^31 pixels and more of which they cover the last.
  Stream stream(test_device());
  if (!reads_host_memory(stream.device())) GTEST_SKIP() << "gigabytes of addresses without memory are the host's";
  const int64_t patch_stride = (int64_t{1} << 31) + 3, side = 46342;
  const ReservedMemory<complex64> patch_memory(patch_stride + 4), weighted_memory(side * side);
  const ReservedMemory<float> weight_memory(side * side);
  ASSERT_TRUE(patch_memory.data() && weighted_memory.data() && weight_memory.data());
  const TensorView<complex64> patches(patch_memory.data(), {2, 2, 2}, {patch_stride, 2, 1});
  for (int i = 0; i < 4; ++i) {
    patches(0, i / 2, i % 2) = static_cast<float>(1 + i);
    patches(1, i / 2, i % 2) = static_cast<float>(10 + i);
  }
  const auto weight = upload<float>(stream, {2, 2}, {1, 1, 1, 1});
  const ops::StitchSums sums{{weighted_memory.data(), {side, side}}, {weight_memory.data(), {side, side}}};
  const double last = static_cast<double>(side - 2), corners[] = {last, last, last, last - 1};
  ops::reassemble(stream, patches, corners, weight.view(), sums);
  EXPECT_EQ(sums.weighted(side - 2, side - 3), complex64(10));
  EXPECT_EQ(sums.weighted(side - 2, side - 2), complex64(1 + 11));
  EXPECT_EQ(sums.weighted(side - 1, side - 1), complex64(4));
  EXPECT_EQ(sums.weight(side - 1, side - 2), 2);
}

TEST(reassemble_finish, divides_and_leaves_zero_where_nothing_covers) {
  Stream stream(test_device());
  auto weighted = upload<complex64>(stream, {1, 3}, {{4, -2}, {0, 0}, {3, 0}});
  auto weight = upload<float>(stream, {1, 3}, {2, 0, 1e-9F});
  Tensor<complex64> object(stream.device(), {1, 3}, "object");
  ops::reassemble_finish(stream, {weighted.view(), weight.view()}, object.view());
  const auto out = download(stream, object);
  EXPECT_EQ(out[0], complex64(2, -1));
  EXPECT_EQ(out[1], complex64(0, 0));
  EXPECT_WITHIN(std::abs(out[2] - complex64(1.5e9F, 0)), 300);
  ops::reassemble_finish(stream, {weighted.view(), weight.view()}, weighted.view());
  EXPECT_EQ(download(stream, weighted), out);
}

TEST(reassemble_finish, equals_the_quotient_at_every_pixel) {
  Stream stream(test_device());
  std::mt19937 random(11);
  std::uniform_real_distribution<float> value(-2, 2);
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{1, 1}, {5, 7}, {33, 64}, {70, 61}}) {
    SCOPED_TRACE(std::to_string(height) + " x " + std::to_string(width));
    std::vector<complex64> sums(static_cast<size_t>(height * width));
    std::vector<float> weights(sums.size());
    for (size_t i = 0; i < sums.size(); ++i) {
      weights[i] = i % 9 == 4 ? 0 : 0.1F + std::abs(value(random));
      sums[i] = weights[i] == 0 ? complex64() : complex64(value(random), value(random));
    }
    auto weighted = upload<complex64>(stream, {height, width}, sums);
    auto weight = upload<float>(stream, {height, width}, weights);
    Tensor<complex64> object(stream.device(), {height, width}, "object");
    ops::reassemble_finish(stream, {weighted.view(), weight.view()}, object.view());
    const auto out = download(stream, object);
    for (size_t i = 0; i < sums.size(); ++i) {
      const complex128 expected = complex128(sums[i]) / (static_cast<double>(weights[i]) + 1e-9);
      EXPECT_WITHIN(std::abs(complex128(out[i]) - expected), 1e-6 * std::abs(expected));
    }
  }
}

TEST(reassemble, says_what_does_not_fit) {
  Stream stream(test_device());
  Tensor<complex64> patches(stream.device(), {2, 4, 4}, "patches"), wide(stream.device(), {2, 4, 5}, "wide"),
      weighted(stream.device(), {9, 9}, "weighted");
  Tensor<float> weight(stream.device(), {4, 4}, "weight"), five(stream.device(), {5, 5}, "five"),
      sum(stream.device(), {9, 9}, "sum"), other(stream.device(), {9, 8}, "other");
  std::vector<double> corners(4);
  const ops::StitchSums sums{weighted.view(), sum.view()};
  EXPECT_EQ(error_message([&] { ops::reassemble(stream, wide.view(), corners, weight.view(), sums); }),
            "reassemble: patches of shape [2, 4, 5], expected [S,M,M]");
  EXPECT_EQ(error_message([&] { ops::reassemble(stream, patches.view(), corners, five.view(), sums); }),
            "reassemble: weight of shape [5, 5], expected contiguous [4, 4]");
  EXPECT_EQ(
      error_message([&] { ops::reassemble(stream, patches.view(), std::span(corners).first(3), weight.view(), sums); }),
      "reassemble: 3 corner coordinates for patches [2, 4, 4], expected [y,x] of each");
  EXPECT_EQ(error_message([&] {
              ops::reassemble(stream, patches.view(), corners, weight.view(), {weighted.view(), other.view()});
            }),
            "reassemble: sums of shape [9, 9] and [9, 8], expected one canvas [H,W]");
  EXPECT_EQ(error_message([&] {
              ops::reassemble(stream, patches.view().permute({0, 2, 1}), corners, weight.view(), sums);
            }),
            "reassemble: pixels of a patch's row do not lie side by side");
  EXPECT_EQ(error_message([&] { ops::reassemble_finish(stream, sums, wide.view().slice(0, 0, 1)); }),
            "reassemble_finish: object of shape [1, 4, 5], expected contiguous [9, 9]");
  corners[2] = NAN;
  EXPECT_EQ(error_message([&] { ops::reassemble(stream, patches.view(), corners, weight.view(), sums); }),
            "reassemble: the corner of patch 1 is not finite");
}

TEST(reassemble_tiles, lists_patches_in_order_for_each_tile_they_touch) {
  const double corners[] = {0, 0, 3.5, 2, 20, 20, 6, 6};
  const ops::StitchTiles lists = ops::sort_into_tiles(corners, 4, 10, 8, 4, 4);
  struct Expected {
    int64_t y, x;
    std::vector<int32_t> patches;
  };
  const Expected expected[] = {{0, 0, {0, 1}}, {0, 4, {1}}, {4, 0, {1}}, {4, 4, {1, 3}}, {8, 4, {3}}};
  ASSERT_EQ(lists.tiles.size(), std::size(expected));
  for (size_t t = 0; t < lists.tiles.size(); ++t) {
    const ops::StitchTile& tile = lists.tiles[t];
    EXPECT_EQ(tile.y, expected[t].y);
    EXPECT_EQ(tile.x, expected[t].x);
    EXPECT_EQ(std::vector<int32_t>(lists.patches.begin() + tile.begin, lists.patches.begin() + tile.end),
              expected[t].patches);
  }
  ASSERT_EQ(lists.placements.size(), 4U);
  const ops::PatchPlacement& p = lists.placements[1];
  EXPECT_EQ(p.row, 3);
  EXPECT_EQ(p.column, 2);
  EXPECT_EQ(p.stay_y, 0.5F);
  EXPECT_EQ(p.move_y, 0.5F);
  EXPECT_EQ(p.stay_x, 1);
  EXPECT_EQ(p.move_x, 0);
  EXPECT_TRUE(ops::sort_into_tiles(std::span(corners).subspan(4, 2), 4, 10, 8, 4, 4).tiles.empty());
}

TEST(reassemble, names_its_cost) {
  EXPECT_EQ(ops::reassemble_cost({3, 4, 4}).bytes, 32 * 48);
  EXPECT_EQ(ops::reassemble_cost({3, 4, 4}).flop, 23 * 48);
}

}  // namespace
}  // namespace ptyfuse
