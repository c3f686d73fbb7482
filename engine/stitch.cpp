#include "engine/stitch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/device/error.h"
#include "kernels/device/huge_pages.h"

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
  throw Error(
      ErrorKind::memory,
      fmt::format("stitching canvas of {:.0f} x {:.0f} pixels needs {:.0f} bytes, {}; raise that limit, or, where "
                  "positions lie too far apart, check that they are in pixels of the object (units, --order, "
                  "--origin)",
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
    refuse_canvas(height, width,
                  fmt::format("more than the {} bytes that --host-memory leaves it", memory_limit_bytes));
  if (height * width * bytes_per_pixel > countable || std::max({-low[0], -low[1], high[0], high[1]}) > countable)
    refuse_canvas(height, width, "more than any memory");
  origin_ = {static_cast<int64_t>(low[0]), static_cast<int64_t>(low[1])};
  height_ = static_cast<int64_t>(height);
  width_ = static_cast<int64_t>(width);

  crop_low_ = zero_border(weight, side_);
  if (crop_low_ == side_)
    throw_shape_error("stitching", "the weight is zero everywhere: no pixel of a patch would count");
  crop_side_ = side_ - 2 * crop_low_;

  core_.reserve(static_cast<size_t>(crop_side_ * crop_side_));
  for (int64_t y = crop_low_; y < crop_low_ + crop_side_; ++y) {
    const auto row = weight.subspan(static_cast<size_t>(y * side_ + crop_low_), static_cast<size_t>(crop_side_));
    core_.insert(core_.end(), row.begin(), row.end());
  }
}

int64_t Stitcher::least_bytes() const {
  return least_rows() * width_ * static_cast<int64_t>(bytes_per_pixel) +
         static_cast<int64_t>(core_.size() * sizeof(float));
}

void Stitcher::begin(Stream& stream, CanvasOnDevice on_device) {
  if (weighted_.data() == nullptr) {
    try {
      take_memory(on_device);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::memory) throw;
      weight_ = {};
      refuse_canvas(static_cast<double>(height_), static_cast<double>(width_), e.what());
    }
    copy_to_device(stream, weight_.view(), core_.data(), weight_.elements());
  }
  fill_zero(stream, weighted_.view());
  fill_zero(stream, weight_sum_.view());
  loaded_ = 0;
  host_weighted_.clear();
  host_weight_sum_.clear();
  if (band_count() == 1) return;
  take_host_canvas();
}

void Stitcher::take_host_canvas() {
  const auto pixels = static_cast<size_t>(height_ * width_);
  host_weighted_.reserve(pixels);
  host_weight_sum_.reserve(pixels);
  prefer_huge_pages(host_weighted_.data(), height_ * width_ * static_cast<int64_t>(sizeof(complex64)));
  prefer_huge_pages(host_weight_sum_.data(), height_ * width_ * static_cast<int64_t>(sizeof(float)));
  host_weighted_.resize(pixels);
  host_weight_sum_.resize(pixels);
}

void Stitcher::take_memory(CanvasOnDevice on_device) {
  weight_ = Tensor<float>(device_, {crop_side_, crop_side_}, "stitching weight");
  const int64_t least = on_device == CanvasOnDevice::whole ? height_ : least_rows();
  for (int64_t rows = height_; weighted_.data() == nullptr; rows = std::max(rows / 2, least)) {
    try {
      weight_sum_ = Tensor<float>(device_, {rows, width_}, "stitching canvas weight");
      weighted_ = Tensor<complex64>(device_, {rows, width_}, "stitching canvas");
    } catch (const Error& e) {
      weight_sum_ = {};
      if (e.kind() != ErrorKind::memory || rows == least) throw;
    }
  }
}

ops::StitchSums Stitcher::sums() {
  const int64_t rows = std::min(band_rows(), height_ - loaded_ * band_rows());
  return {weighted_.view().slice(0, 0, rows), weight_sum_.view().slice(0, 0, rows)};
}

void Stitcher::store(Stream& stream) {
  const ops::StitchSums on_device = sums();
  const int64_t first = loaded_ * band_rows() * width_, elements = on_device.weight.elements();
  copy_to_host<complex64>(stream, host_weighted_.data() + first, on_device.weighted, elements);
  copy_to_host<float>(stream, host_weight_sum_.data() + first, on_device.weight, elements);
}

void Stitcher::load(Stream& stream, int64_t band) {
  loaded_ = band;
  const ops::StitchSums on_device = sums();
  const int64_t first = loaded_ * band_rows() * width_, elements = on_device.weight.elements();
  copy_to_device(stream, on_device.weighted, host_weighted_.data() + first, elements);
  copy_to_device(stream, on_device.weight, host_weight_sum_.data() + first, elements);
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
  const TensorView<const complex64> cores = patches.slice(1, crop_low_, end).slice(2, crop_low_, end);
  // A band drops what falls outside of it, so that each pixel still sees its patches in their order.
  for (int64_t band = 0; band < band_count(); ++band) {
    const auto top = static_cast<double>(band * band_rows()), bottom = top + static_cast<double>(band_rows());
    std::vector<double> in_band = corner_px;
    bool touched = false;
    for (size_t i = 0; i < in_band.size(); i += 2) {
      touched = touched || (corner_px[i] < bottom && corner_px[i] + static_cast<double>(crop_side_ + 1) > top);
      in_band[i] -= top;
    }
    if (!touched) continue;
    if (band != loaded_) {
      store(stream);
      load(stream, band);
    }
    ops::reassemble(stream, cores, in_band, weight_.view(), sums());
  }
}

void Stitcher::finish(Stream& stream, io::Reconstruction& out) {
  take_host_canvas();
  const int64_t first = loaded_;
  for (int64_t i = 0; i < band_count(); ++i) {
    if (i > 0) load(stream, (first + i) % band_count());
    ops::reassemble_finish(stream, sums(), sums().weighted);
    store(stream);
  }
  out.origin_px = origin_;
  out.object = {.depth = 1, .height = height_, .width = width_, .data = std::move(host_weighted_)};
  out.weight = std::move(host_weight_sum_);
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
