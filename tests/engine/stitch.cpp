#include "engine/stitch.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/limited_device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using namespace tests;
using Centres = std::vector<std::array<double, 2>>;

io::ComplexImage square_probe(int64_t depth, int64_t side, const std::vector<complex64>& data) {
  return {.depth = depth, .height = side, .width = side, .data = data};
}

TEST(stitcher, canvas_covers_every_patch_from_whole_pixels) {
  const Centres centres = {{10.25, -3}, {7.5, 4.75}, {12, 0}};
  const std::vector<float> weight(16, 1);
  Stitcher stitcher(test_device(), centres, 4, weight, 0);
  Stream stream(test_device());
  stitcher.begin(stream);
  // Corners are centre - 2: rows 5.5 .. 10, columns -5 .. 2.75.
  EXPECT_EQ(stitcher.height(), 10 - 5 + 4);
  EXPECT_EQ(stitcher.width(), 3 + 5 + 4);
  io::Reconstruction out;
  stitcher.finish(stream, out);
  EXPECT_EQ(out.origin_px, (std::array<int64_t, 2>{5, -5}));
  EXPECT_EQ(out.object.height, 9);
  EXPECT_EQ(out.object.width, 12);
  EXPECT_EQ(out.object.depth, 1);
  EXPECT_EQ(out.object.data, std::vector<complex64>(108));
  EXPECT_EQ(out.weight, std::vector<float>(108));
}

TEST(stitcher, odd_sides_have_their_centre_at_half_rounded_down) {
  const Centres centres = {{0, 0}};
  Stitcher stitcher(test_device(), centres, 5, std::vector<float>(25, 1), 0);
  Stream stream(test_device());
  stitcher.begin(stream);
  io::Reconstruction out;
  stitcher.finish(stream, out);
  EXPECT_EQ(out.origin_px, (std::array<int64_t, 2>{-2, -2}));
  EXPECT_EQ(stitcher.height(), 5);
}

/// Patches cut at whole pixels from one object come back as that object wherever the weight reaches.
TEST(stitcher, restores_the_object_its_patches_were_cut_from) {
  constexpr int64_t height = 60, width = 75, side = 16;
  const auto object = random_complex(height * width, 1);
  Centres centres;
  std::vector<complex64> patches;
  for (int64_t y = 0; y + side <= height; y += 5)
    for (int64_t x = 0; x + side <= width; x += 6) {
      centres.push_back({static_cast<double>(y + side / 2), static_cast<double>(x + side / 2)});
      for (int64_t i = 0; i < side; ++i)
        for (int64_t j = 0; j < side; ++j) patches.push_back(object[static_cast<size_t>((y + i) * width + x + j)]);
    }
  const auto count = static_cast<int64_t>(centres.size());
  const auto probe = square_probe(2, side, random_complex(2 * side * side, 2));
  for (const StitchRule rule : {StitchRule::crop, StitchRule::probe}) {
    const auto weight = stitch_weight(rule, 8, probe, false);
    Stream stream(test_device());
    const auto tensor = upload<complex64>(stream, {count, side, side}, patches);
    std::vector<io::Reconstruction> results;
    for (const int64_t batch : {count, int64_t{7}}) {
      Stitcher stitcher(stream.device(), centres, side, weight, 0);
      stitcher.begin(stream);
      for (int64_t s = 0; s < count; s += batch) {
        const int64_t end = std::min(s + batch, count);
        stitcher.add(stream, tensor.view().slice(0, s, end),
                     std::span(centres).subspan(static_cast<size_t>(s), static_cast<size_t>(end - s)));
      }
      stitcher.finish(stream, results.emplace_back());
    }
    const io::Reconstruction& r = results[0];
    EXPECT_EQ(r.origin_px, (std::array<int64_t, 2>{0, 0}));
    int covered = 0;
    for (int64_t y = 0; y < r.object.height; ++y)
      for (int64_t x = 0; x < r.object.width; ++x) {
        const auto i = static_cast<size_t>(y * r.object.width + x);
        const bool inside = y >= 4 && y < r.object.height - 4 && x >= 4 && x < r.object.width - 4;
        ASSERT_EQ(r.weight[i] > 0, inside) << y << ", " << x;
        if (!inside) {
          ASSERT_EQ(r.object.data[i], complex64());
        }
        if (r.weight[i] < 0.05F) continue;
        ++covered;
        ASSERT_LE(std::abs(r.object.data[i] - object[static_cast<size_t>(y * width + x)]), 2e-6);
      }
    EXPECT_GT(covered, 2000);
    EXPECT_EQ(results[0].object.data, results[1].object.data);
    EXPECT_EQ(results[0].weight, results[1].weight);
  }
}

TEST(stitcher, places_fractions_by_bilinear_weights) {
  const Centres centres = {{2.25, 2.5}, {5, 5}};
  std::vector<float> weight(16);
  weight[5] = 2;  // row 1, column 1
  Stream stream(test_device());
  Stitcher stitcher(stream.device(), centres, 4, weight, 0);
  stitcher.begin(stream);
  std::vector<complex64> patch(16);
  patch[5] = {3, -1};
  const auto tensor = upload<complex64>(stream, {1, 4, 4}, patch);
  stitcher.add(stream, tensor.view(), std::span(centres).first(1));
  io::Reconstruction out;
  stitcher.finish(stream, out);
  EXPECT_EQ(out.origin_px, (std::array<int64_t, 2>{0, 0}));
  const auto at = [&](int64_t y, int64_t x) { return static_cast<size_t>(y * stitcher.width() + x); };
  EXPECT_EQ(out.weight[at(1, 1)], 0.75F);
  EXPECT_EQ(out.weight[at(1, 2)], 0.75F);
  EXPECT_EQ(out.weight[at(2, 1)], 0.25F);
  EXPECT_EQ(out.weight[at(2, 2)], 0.25F);
  EXPECT_WITHIN(std::abs(out.object.data[at(2, 2)] - complex64(3, -1)), 1e-6);
  double total = 0;
  for (const float w : out.weight) total += w;
  EXPECT_EQ(total, 2);
}

TEST(stitcher, refuses_a_canvas_beyond_memory) {
  const Centres far = {{0, 0}, {1e6, 2e6}};
  const std::vector<float> weight(16, 1);
  const std::string message = error_message([&] { Stitcher(test_device(), far, 4, weight, int64_t{1} << 30); });
  EXPECT_EQ(
      message,
      "stitching canvas of 1000004 x 2000004 pixels needs 24000144000192 bytes, more than the 1073741824 bytes that "
      "--host-memory leaves it; raise that limit, or, where positions lie too far apart, check that they are in "
      "pixels of the object (units, --order, --origin)");
  for (const double reach : {1e12, 1e300}) {
    const Centres farther = {{-reach, 0}, {reach, reach}};
    try {
      Stitcher(test_device(), farther, 4, weight, 0);
      FAIL() << "no error";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::memory);
    }
  }
  const Device small = Device::cpu({.threads = 1, .memory_limit_bytes = 1 << 20});
  const Centres wide = {{0, 0}, {400, 400}};
  const std::string limited = error_message([&] {
    Stream stream(small);
    Stitcher(small, wide, 4, weight, 0).begin(stream);
  });
  EXPECT_NE(limited.find("stitching canvas of 404 x 404 pixels needs 1958592 bytes"), std::string::npos) << limited;
  EXPECT_NE(limited.find("'stitching canvas'"), std::string::npos) << limited;
}

// Patches in no order, so that bands come and go.
TEST(stitcher, a_canvas_in_bands_gives_the_same_bits_within_its_memory) {
  constexpr int64_t side = 16, count = 60, width = 90;
  const auto probe = square_probe(1, side, random_complex(side * side, 3));
  const auto weight = stitch_weight(StitchRule::probe, 8, probe, false);
  const std::vector<float> y = random_floats(count, 0, 900, 4), x = random_floats(count, 0, 7 * (width - side), 5);
  Centres centres = {{0, 0}, {300, width - side}};
  for (size_t s = 0; s < count; ++s) centres.push_back({y[s] / 3.0, x[s] / 7.0});
  const auto patches = random_complex(static_cast<int64_t>(centres.size()) * side * side, 6);
  const auto stitch = [&](const Device& device, CanvasOnDevice on_device, int64_t rows) {
    Stream stream(device);
    const auto end = static_cast<int64_t>(centres.size());
    const auto tensor = upload<complex64>(stream, {end, side, side}, patches);
    Stitcher stitcher(device, centres, side, weight, 0);
    stitcher.begin(stream, on_device);
    EXPECT_EQ(stitcher.band_rows(), rows);
    for (int64_t s = 0; s < end; s += 7) {
      const int64_t some = std::min<int64_t>(7, end - s);
      stitcher.add(stream, tensor.view().slice(0, s, s + some),
                   std::span(centres).subspan(static_cast<size_t>(s), static_cast<size_t>(some)));
    }
    io::Reconstruction out;
    stitcher.finish(stream, out);
    stitcher.begin(stream, on_device);  // another object on the same canvas: nothing of the first is left
    io::Reconstruction none;
    stitcher.finish(stream, none);
    EXPECT_EQ(none.object.data, std::vector<complex64>(out.object.data.size()));
    EXPECT_EQ(none.weight, std::vector<float>(out.weight.size()));
    return out;
  };
  const io::Reconstruction whole = stitch(limited_device(0), CanvasOnDevice::band, 316);
  EXPECT_EQ(whole.object.data, stitch(limited_device(0), CanvasOnDevice::whole, 316).object.data);
  const int64_t others = 8 * 8 * 4 + static_cast<int64_t>(patches.size()) * 8;  // the weight and the patches
  for (const int64_t rows : {158, 39, 9}) {
    SCOPED_TRACE(rows);
    const int64_t limit = rows * width * 12 + others;
    const Device small = limited_device(limit);
    const io::Reconstruction banded = stitch(small, CanvasOnDevice::band, rows);
    EXPECT_EQ(banded.object.data, whole.object.data);
    EXPECT_EQ(banded.weight, whole.weight);
    EXPECT_EQ(banded.origin_px, whole.origin_px);
    EXPECT_LE(small.memory_peak_bytes(), limit);
  }
  EXPECT_EQ(Stitcher(test_device(), centres, side, weight, 0).least_bytes(), 9 * width * 12 + 8 * 8 * 4);
  const Device tiny = Device::cpu({.threads = 1, .memory_limit_bytes = 9 * width * 12});
  const std::string refused = error_message([&] {
    Stream stream(tiny);
    Stitcher(tiny, centres, side, weight, 0).begin(stream, CanvasOnDevice::band);
  });
  EXPECT_NE(refused.find("buffer 'stitching canvas' needs 6480 bytes"), std::string::npos) << refused;
}

TEST(stitcher, says_what_does_not_fit) {
  const Centres centres = {{3, 3}, {5, 5}};
  const std::vector<float> weight(16, 1), none(16);
  EXPECT_EQ(error_message([&] { Stitcher(test_device(), centres, 5, weight, 0); }),
            "stitching: weight of 16 elements, expected 5 x 5");
  EXPECT_EQ(error_message([&] { Stitcher(test_device(), {}, 4, weight, 0); }),
            "stitching: no positions, expected at least one");
  EXPECT_EQ(error_message([&] { Stitcher(test_device(), centres, 4, none, 0); }),
            "stitching: the weight is zero everywhere: no pixel of a patch would count");
  const Centres broken = {{3, 3}, {NAN, 5}};
  EXPECT_EQ(error_message([&] { Stitcher(test_device(), broken, 4, weight, 0); }),
            "stitching: position 1 is not finite: [nan, 5]");
  Stream stream(test_device());
  Stitcher stitcher(stream.device(), centres, 4, weight, 0);
  stitcher.begin(stream);
  const auto patches = upload<complex64>(stream, {1, 4, 4}, std::vector<complex64>(16));
  EXPECT_EQ(error_message([&] { stitcher.add(stream, patches.view(), centres); }),
            "stitching: patches of shape [1, 4, 4], expected [2, 4, 4]");
  const Centres outside = {{3, 5.5}};
  EXPECT_EQ(error_message([&] { stitcher.add(stream, patches.view(), outside); }),
            "stitching: a patch at [3, 5.5] px lies outside of the canvas that the positions given at the start span");
}

double sum(const std::vector<float>& v) {
  double total = 0;
  for (const float x : v) total += x;
  return total;
}

TEST(stitch_weight, is_the_square_or_the_probes_power) {
  const std::vector<complex64> ones(static_cast<size_t>(2 * 64 * 64), complex64(1, 2));
  const auto probe = square_probe(2, 64, ones);
  const auto crop = stitch_weight(StitchRule::crop, 0, probe, true);
  EXPECT_EQ(sum(crop), 20 * 20);
  EXPECT_EQ(crop[22 * 64 + 22], 1);
  EXPECT_EQ(crop[21 * 64 + 22], 0);
  EXPECT_EQ(crop[41 * 64 + 41], 1);
  EXPECT_EQ(crop[42 * 64 + 41], 0);
  EXPECT_EQ(sum(stitch_weight(StitchRule::crop, 32, probe, true)), 32 * 32);
  EXPECT_EQ(sum(stitch_weight(StitchRule::probe, 0, probe, true)), 20 * 20);
  EXPECT_EQ(sum(stitch_weight(StitchRule::probe, 0, probe, false)), 64 * 64);
  EXPECT_EQ(sum(stitch_weight(StitchRule::probe, 48, probe, true)), 48 * 48);
  const io::ComplexImage side_only{.depth = 0, .height = 64, .width = 64, .data = {}};
  EXPECT_EQ(stitch_weight(StitchRule::crop, 0, side_only, false), crop);
  auto uneven = square_probe(1, 64, std::vector<complex64>(64 * 64, complex64(0, 1e-8F)));
  uneven.data[32 * 64 + 32] = 2e-8F;
  const auto weight = stitch_weight(StitchRule::probe, 0, uneven, false);
  EXPECT_EQ(weight[32 * 64 + 32], 1);
  EXPECT_NEAR(weight[32 * 64 + 31], 0.25, 1e-6);
  const auto large = square_probe(1, 128, std::vector<complex64>(128 * 128, 1));
  EXPECT_EQ(sum(stitch_weight(StitchRule::probe, 0, large, true)), 40 * 40);
}

TEST(stitch_weight, says_what_does_not_fit) {
  const auto probe = square_probe(1, 16, std::vector<complex64>(256, 1));
  EXPECT_EQ(error_message([&] { stitch_weight(StitchRule::crop, 18, probe, true); }),
            "stitching: --crop 18 px, expected an even number up to the patch's side 16");
  EXPECT_EQ(error_message([&] { stitch_weight(StitchRule::crop, 7, probe, true); }),
            "stitching: --crop 7 px, expected an even number up to the patch's side 16");
  EXPECT_EQ(error_message([&] { stitch_weight(StitchRule::probe, 0, {}, true); }),
            "stitching: probe of 0 x 0 pixels, expected a square");
}

}  // namespace
}  // namespace ptyfuse
