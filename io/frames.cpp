#include "io/frames.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "io/file_error.h"

namespace ptyfuse::io {

int64_t frame_type_bytes(FrameType type) {
  return with_frame_type(type, [](auto zero) { return static_cast<int64_t>(sizeof(zero)); });
}

std::string frame_type_name(FrameType type) {
  return with_frame_type(type, [](auto zero) {
    using T = decltype(zero);
    const char* kind = std::is_floating_point_v<T> ? "float" : std::is_signed_v<T> ? "int" : "uint";
    return kind + std::to_string(8 * sizeof(T));
  });
}

FrameConverter::FrameConverter(std::string path, std::string dataset, FrameType type, Domain domain, DcPlace dc,
                               int64_t side_px, std::vector<uint8_t> mask)
    : path_(std::move(path)),
      dataset_(std::move(dataset)),
      type_(type),
      domain_(domain),
      dc_(dc),
      side_(side_px),
      mask_(std::move(mask)) {}

namespace {

/// A run of pixels; returns how many used ones are not legal. mask may be null.
template <bool counts, bool masked, class T>
int64_t convert_run(const T* in, const uint8_t* mask, float* out, int64_t n) {
  constexpr float largest = std::numeric_limits<float>::max();
  int bad = 0;
#pragma omp simd reduction(+ : bad)
  for (int64_t i = 0; i < n; ++i) {
    float value = static_cast<float>(in[i]);
    if constexpr (masked) value = mask[i] ? value : 0.0f;
    bad += !(value >= 0.0f && value <= largest);
    out[i] = counts ? std::sqrt(value) : value;
  }
  return bad;
}

template <class T>
int64_t convert_run(Domain domain, const T* in, const uint8_t* mask, float* out, int64_t n) {
  if (domain == Domain::counts)
    return mask ? convert_run<true, true>(in, mask, out, n) : convert_run<true, false>(in, mask, out, n);
  return mask ? convert_run<false, true>(in, mask, out, n) : convert_run<false, false>(in, mask, out, n);
}

}  // namespace

template <class T>
void FrameConverter::convert_frame(const T* in, int64_t frame, float* out) const {
  const uint8_t* mask = mask_.empty() ? nullptr : mask_.data();
  int64_t bad = 0;
  if (dc_ == DcPlace::centre) {
    bad = convert_run(domain_, in, mask, out, side_ * side_);
  } else {
    const int64_t low = side_ / 2, high = side_ - low;  // the first `high` of a line go to its end
    for (int64_t y = 0; y < side_; ++y) {
      const int64_t to = ((y + low) % side_) * side_;
      const T* line = in + y * side_;
      bad += convert_run(domain_, line, mask ? mask + to + low : nullptr, out + to + low, high);
      bad += convert_run(domain_, line + high, mask ? mask + to : nullptr, out + to, low);
    }
  }
  if (bad > 0) refuse(in, frame);
}

template <class T>
void FrameConverter::refuse(const T* in, int64_t frame) const {
  const int64_t shift = dc_ == DcPlace::corner ? side_ / 2 : 0;
  for (int64_t y = 0; y < side_; ++y)
    for (int64_t x = 0; x < side_; ++x) {
      const size_t masked_at = static_cast<size_t>((y + shift) % side_ * side_ + (x + shift) % side_);
      if (!mask_.empty() && !mask_[masked_at]) continue;
      const float value = static_cast<float>(in[y * side_ + x]);
      if (value >= 0 && value <= std::numeric_limits<float>::max()) continue;
      const char* noun = domain_ == Domain::counts ? "count" : "amplitude";
      const std::string what = std::isnan(value) ? "NaN" : std::isinf(value) ? "infinite" : "negative";
      throw FileError(path_, dataset_,
                      fmt::format("frame {}, pixel [{}, {}] is {} ({}); a {} must be finite and not negative; repair "
                                  "the pixel or exclude it with the dataset 'mask'",
                                  frame, y, x, what, in[y * side_ + x], noun));
    }
  throw FileError(path_, dataset_, fmt::format("frame {} holds a value that is not a number", frame));
}

void FrameConverter::convert(const void* raw, int64_t first, int64_t count, std::span<float> out) const {
  const int64_t pixels = side_ * side_;
  with_frame_type(type_, [&](auto zero) {
    const auto* in = static_cast<const decltype(zero)*>(raw);
    for (int64_t f = 0; f < count; ++f) convert_frame(in + f * pixels, first + f, out.data() + f * pixels);
  });
}

std::vector<uint8_t> shift_to_centre(const std::vector<uint8_t>& image, int64_t side_px) {
  std::vector<uint8_t> out(image.size());
  const int64_t low = side_px / 2;
  for (int64_t y = 0; y < side_px; ++y)
    for (int64_t x = 0; x < side_px; ++x)
      out[static_cast<size_t>((y + low) % side_px * side_px + (x + low) % side_px)] =
          image[static_cast<size_t>(y * side_px + x)];
  return out;
}

}  // namespace ptyfuse::io
