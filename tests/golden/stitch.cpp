// stitch.h5: recorded whole-scan stitching, by the operation and by the engine's Stitcher.
#include "engine/stitch.h"

#include "kernels/ops/reassemble.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/golden.h"

namespace ptyfuse {
namespace {

using namespace tests;

/// One case: the reference's canvas is a square of side M + 2 pad about the mean position.
struct Recorded {
  int64_t crop, side, patch_side, count;
  std::vector<complex64> patches, image;
  std::vector<float> weight;
  std::vector<std::array<double, 2>> corner_px;  ///< of the cropped patches, on the canvas

  Recorded(const GoldenFile& file, const std::string& name)
      : crop(file.attribute<int64_t>(name + "/image", "M").at(0)),
        side(file.shape(name + "/image").at(0)),
        patch_side(file.shape(name + "/patches").at(1)),
        count(file.shape(name + "/patches").at(0)),
        patches(file.read<complex64>(name + "/patches")),
        image(file.read<complex64>(name + "/image")),
        weight(file.read<float>(name + "/weight")) {
    const auto xy = file.read<double>(name + "/positions_xy");
    double mean[2] = {};
    for (size_t i = 0; i < xy.size(); ++i) mean[i % 2] += xy[i] / static_cast<double>(count);
    const double pad = static_cast<double>((side - crop) / 2);
    for (size_t s = 0; s < xy.size(); s += 2) corner_px.push_back({pad + xy[s + 1] - mean[1], pad + xy[s] - mean[0]});
  }
};

/// Compares on the recorded canvas, the image where it is covered.
void expect_recorded(const Recorded& r, std::vector<complex64> image, const std::vector<float>& weight) {
  std::vector<complex64> recorded = r.image;
  size_t covered = 0;
  for (size_t i = 0; i < image.size(); ++i) {
    if (r.weight[i] > 1e-3F) {
      ++covered;
    } else {
      image[i] = recorded[i] = 0;
    }
  }
  EXPECT_GT(covered, image.size() / 10);
  EXPECT_WITHIN(max_difference(image.data(), recorded.data(), r.side * r.side), 1e-4);
  EXPECT_WITHIN(max_difference(weight.data(), r.weight.data(), r.side * r.side), 1e-4);
}

TEST(golden, reassemble) {
  SKIP_WITHOUT_GOLDEN("stitch.h5");
  const GoldenFile file("stitch.h5");
  for (const std::string& name : file.children()) {
    SCOPED_TRACE(name);
    const Recorded r(file, name);
    Stream stream(test_device());
    const auto patches = upload<complex64>(stream, {r.count, r.patch_side, r.patch_side}, r.patches);
    const auto ones =
        upload<float>(stream, {r.crop, r.crop}, std::vector<float>(static_cast<size_t>(r.crop * r.crop), 1));
    Tensor<complex64> weighted(stream.device(), {r.side, r.side}, "weighted"),
        object(stream.device(), {r.side, r.side}, "o");
    Tensor<float> weight(stream.device(), {r.side, r.side}, "weight");
    fill_zero(stream, weighted.view());
    fill_zero(stream, weight.view());
    std::vector<double> corners;
    for (const auto& c : r.corner_px) corners.insert(corners.end(), {c[0], c[1]});
    const int64_t low = r.patch_side / 2 - r.crop / 2;
    const ops::StitchSums sums{weighted.view(), weight.view()};
    ops::reassemble(stream, patches.view().slice(1, low, low + r.crop).slice(2, low, low + r.crop), corners,
                    ones.view(), sums);
    ops::reassemble_finish(stream, sums, object.view());
    expect_recorded(r, download(stream, object), download(stream, weight));
  }
}

TEST(golden, stitcher) {
  SKIP_WITHOUT_GOLDEN("stitch.h5");
  const GoldenFile file("stitch.h5");
  for (const std::string& name : file.children()) {
    SCOPED_TRACE(name);
    const Recorded r(file, name);
    Stream stream(test_device());
    const auto patches = upload<complex64>(stream, {r.count, r.patch_side, r.patch_side}, r.patches);
    std::vector<std::array<double, 2>> centres = r.corner_px;
    for (auto& c : centres)
      for (double& v : c) v += static_cast<double>(r.crop / 2);
    const io::ComplexImage probe{.depth = 1,
                                 .height = r.patch_side,
                                 .width = r.patch_side,
                                 .data = std::vector<complex64>(static_cast<size_t>(r.patch_side * r.patch_side), 1)};
    Stitcher stitcher(stream.device(), centres, r.patch_side, stitch_weight(StitchRule::crop, r.crop, probe, true), 0);
    stitcher.begin(stream);
    const size_t half = centres.size() / 2;
    const int64_t first = static_cast<int64_t>(half);
    stitcher.add(stream, patches.view().slice(0, 0, first), std::span(centres).first(half));
    stitcher.add(stream, patches.view().slice(0, first, r.count), std::span(centres).subspan(half));
    io::Reconstruction out;
    stitcher.finish(stream, out);
    std::vector<complex64> image(r.image.size());
    std::vector<float> weight(r.weight.size());
    double dropped = 0;
    for (int64_t y = 0; y < out.object.height; ++y)
      for (int64_t x = 0; x < out.object.width; ++x) {
        const int64_t cy = y + out.origin_px[0], cx = x + out.origin_px[1];
        const auto from = static_cast<size_t>(y * out.object.width + x);
        if (cy < 0 || cx < 0 || cy >= r.side || cx >= r.side) {
          dropped += out.weight[from];
          continue;
        }
        image[static_cast<size_t>(cy * r.side + cx)] = out.object.data[from];
        weight[static_cast<size_t>(cy * r.side + cx)] = out.weight[from];
      }
    EXPECT_EQ(dropped, 0);
    expect_recorded(r, image, weight);
  }
}

}  // namespace
}  // namespace ptyfuse
