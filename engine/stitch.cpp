#include "engine/stitch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/device/error.h"
#include "kernels/ops/reassemble.h"

namespace ptyfuse {
namespace {

constexpr double bytes_per_pixel = sizeof(complex64) + sizeof(float);

/// Zero rows and columns that a weight of side x side has on every one of its four sides.
int64_t zero_border(std::span<const float> weight, int64_t side) {
  int64_t border = side;
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x)
      if (weight[static_cast<size_t>(y * side + x)] != 0) border = std::min({border, y, x, side - 1 - y, side - 1 - x});
  return border;
}

[[noreturn]] void refuse_canvas(double height, double width, const std::string& why) {
  throw Error(ErrorKind::memory,
              fmt::format("stitching canvas of {:.0f} x {:.0f} pixels needs {:.0f} bytes, {}; positions lie too far "
                          "apart: check that they are in pixels of the object (units, --order, --origin)",
                          height, width, height * width * bytes_per_pixel, why));
}

}  // namespace

Stitcher::Stitcher(const Device& device, std::span<const std::array<double, 2>> centres_px, int64_t side_px,
                   std::span<const float> weight, int64_t memory_limit_bytes)
    : device_(device), side_(side_px) {
  if (side_px < 1 || static_cast<int64_t>(weight.size()) != side_px * side_px)
    throw_shape_error("stitching",
                      fmt::format("weight of {} elements, expected {} x {}", weight.size(), side_px, side_px));
  if (centres_px.empty()) throw_shape_error("stitching", "no positions, expected at least one");
  double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
  for (size_t s = 0; s < centres_px.size(); ++s)
    for (size_t a = 0; a < 2; ++a) {
      const double corner = centres_px[s][a] - static_cast<double>(side_px / 2);
      if (!std::isfinite(corner))
        throw Error(ErrorKind::numeric, fmt::format("stitching: position {} is not finite: [{}, {}]", s,
                                                    centres_px[s][0], centres_px[s][1]));
      low[a] = std::min(low[a], std::floor(corner));
      high[a] = std::max(high[a], std::ceil(corner));
    }
  const double height = high[0] - low[0] + static_cast<double>(side_px),
               width = high[1] - low[1] + static_cast<double>(side_px);
  // Beyond 2^53 bytes or whole pixels no double counts exactly, and no machine has the memory.
  constexpr double countable = 9007199254740992.0;
  if (memory_limit_bytes > 0 && height * width * bytes_per_pixel > static_cast<double>(memory_limit_bytes))
    refuse_canvas(height, width, fmt::format("the limit is {} bytes", memory_limit_bytes));
  if (height * width * bytes_per_pixel > countable || std::max({-low[0], -low[1], high[0], high[1]}) > countable)
    refuse_canvas(height, width, "more than any memory");
  origin_ = {static_cast<int64_t>(low[0]), static_cast<int64_t>(low[1])};
  height_ = static_cast<int64_t>(height);
  width_ = static_cast<int64_t>(width);

  crop_low_ = zero_border(weight, side_);
  if (crop_low_ == side_)
    throw_shape_error("stitching", "the weight is zero everywhere: no pixel of a patch would count");
  crop_side_ = side_ - 2 * crop_low_;

  try {
    weight_ = Tensor<float>(device_, {crop_side_, crop_side_}, "stitching weight");
    weighted_ = Tensor<complex64>(device_, {height_, width_}, "stitching canvas");
    weight_sum_ = Tensor<float>(device_, {height_, width_}, "stitching canvas weight");
  } catch (const Error& e) {
    refuse_canvas(height, width, e.what());
  }
  std::vector<float> core;
  core.reserve(static_cast<size_t>(crop_side_ * crop_side_));
  for (int64_t y = crop_low_; y < crop_low_ + crop_side_; ++y) {
    const auto row = weight.subspan(static_cast<size_t>(y * side_ + crop_low_), static_cast<size_t>(crop_side_));
    core.insert(core.end(), row.begin(), row.end());
  }
  Stream stream(device_);
  copy_to_device(stream, weight_.view(), core.data(), static_cast<int64_t>(core.size()));
  fill_zero(stream, weighted_.view());
  fill_zero(stream, weight_sum_.view());
  stream.synchronise();
}

void Stitcher::add(Stream& stream, TensorView<const complex64> patches,
                   std::span<const std::array<double, 2>> centres_px) {
  if (!(patches.shape() == Shape{static_cast<int64_t>(centres_px.size()), side_, side_}))
    throw_shape_error("stitching", "patches of shape " + patches.shape().str() + ", expected " +
                                       Shape{static_cast<int64_t>(centres_px.size()), side_, side_}.str());
  std::vector<double> corner_px;
  corner_px.reserve(2 * centres_px.size());
  const int64_t extent[2] = {height_, width_};
  for (const std::array<double, 2>& centre : centres_px)
    for (size_t a = 0; a < 2; ++a) {
      const double corner = centre[a] - static_cast<double>(side_ / 2) - static_cast<double>(origin_[a]);
      if (!(corner >= 0 && corner <= static_cast<double>(extent[a] - side_)))
        throw_shape_error("stitching",
                          fmt::format("a patch at [{}, {}] px lies outside of the canvas that the positions "
                                      "given at the start span",
                                      centre[0], centre[1]));
      corner_px.push_back(corner + static_cast<double>(crop_low_));
    }
  const int64_t end = crop_low_ + crop_side_;
  ops::reassemble(stream, patches.slice(1, crop_low_, end).slice(2, crop_low_, end), corner_px, weight_.view(),
                  {weighted_.view(), weight_sum_.view()});
}

void Stitcher::finish(Stream& stream, io::Reconstruction& out) {
  out.origin_px = origin_;
  out.object = {.depth = 1, .height = height_, .width = width_, .data = {}};
  out.object.data.resize(static_cast<size_t>(height_ * width_));
  out.weight.resize(static_cast<size_t>(height_ * width_));
  // By runs of rows: no second canvas on the device.
  constexpr int64_t pixels = int64_t{1} << 20;
  const int64_t rows = std::clamp<int64_t>(pixels / width_, 1, height_);
  Tensor<complex64> object(device_, {rows, width_}, "stitched rows");
  for (int64_t begin = 0; begin < height_; begin += rows) {
    const int64_t end = std::min(begin + rows, height_), elements = (end - begin) * width_;
    const TensorView<complex64> part = object.view().slice(0, 0, end - begin);
    const TensorView<float> weight = weight_sum_.view().slice(0, begin, end);
    ops::reassemble_finish(stream, {weighted_.view().slice(0, begin, end), weight}, part);
    copy_to_host<complex64>(stream, out.object.data.data() + begin * width_, part, elements);
    copy_to_host<float>(stream, out.weight.data() + begin * width_, weight, elements);
    stream.synchronise();
  }
}

std::vector<float> stitch_weight(StitchRule rule, int64_t crop_px, const io::ComplexImage& probe, bool pad_object) {
  const int64_t side = probe.height;
  if (side < 1 || probe.width != side)
    throw_shape_error("stitching",
                      fmt::format("probe of {} x {} pixels, expected a square", probe.height, probe.width));
  int64_t crop = crop_px;
  if (crop == 0) {
    constexpr int64_t reference_crop = 20;
    const int64_t padded = 5 * side / 16;
    crop = rule == StitchRule::crop ? std::min(reference_crop, side)
           : pad_object             ? std::max<int64_t>(padded - padded % 2, 2)
                                    : side;
  }
  if (crop < 1 || crop > side || (side - crop) % 2 != 0)
    throw_shape_error("stitching",
                      fmt::format("--crop {} px, expected an even number up to the patch's side {}", crop, side));
  std::vector<double> power(static_cast<size_t>(side * side), rule == StitchRule::crop ? 1.0 : 0.0);
  if (rule == StitchRule::probe)
    for (size_t i = 0; i < probe.data.size(); ++i)
      power[i % power.size()] += std::norm(std::complex<double>(probe.data[i]));
  // The sum of weights is compared with a fixed small number: it must not depend on the probe's unit.
  const double peak = *std::max_element(power.begin(), power.end());
  const int64_t low = (side - crop) / 2;
  std::vector<float> weight(power.size());
  if (!(peak > 0)) return weight;
  for (int64_t y = low; y < low + crop; ++y)
    for (int64_t x = low; x < low + crop; ++x) {
      const auto i = static_cast<size_t>(y * side + x);
      weight[i] = static_cast<float>(power[i] / peak);
    }
  return weight;
}

}  // namespace ptyfuse
