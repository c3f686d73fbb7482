#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/scan.h"

namespace ptyfuse::io {

/// Number types that frames may be stored in.
enum class FrameType { u8, u16, u32, u64, i8, i16, i32, i64, f32, f64 };

int64_t frame_type_bytes(FrameType type);
/// "uint16"
std::string frame_type_name(FrameType type);

/// Calls body with a value-initialised number of the C++ type that `type` stands for.
template <class Body>
decltype(auto) with_frame_type(FrameType type, Body&& body) {
  switch (type) {
    case FrameType::u8:
      return body(uint8_t{});
    case FrameType::u16:
      return body(uint16_t{});
    case FrameType::u32:
      return body(uint32_t{});
    case FrameType::u64:
      return body(uint64_t{});
    case FrameType::i8:
      return body(int8_t{});
    case FrameType::i16:
      return body(int16_t{});
    case FrameType::i32:
      return body(int32_t{});
    case FrameType::i64:
      return body(int64_t{});
    case FrameType::f32:
      return body(float{});
    case FrameType::f64:
      break;
  }
  return body(double{});
}

/// Calls body(begin, count) for each run of `frames` whose numbers follow one another: frames[begin, begin+count).
template <class Body>
void for_each_run(std::span<const int64_t> frames, Body&& body) {
  for (size_t begin = 0, end = 0; begin < frames.size(); begin = end) {
    for (end = begin + 1; end < frames.size() && frames[end] == frames[end - 1] + 1;) ++end;
    body(begin, end - begin);
  }
}

/// Turns stored frames into amplitude with DC at the centre, in one pass over the data.
class FrameConverter {
 public:
  /// mask: [N*N] with DC at the centre, 1 = use; empty: all. path and dataset are for messages.
  FrameConverter(std::string path, std::string dataset, FrameType type, Domain domain, DcPlace dc, int64_t side_px,
                 std::vector<uint8_t> mask);

  /// raw: `count` frames [count,N,N] in memory order, the first being number `first` of the scan. out [count,N,N].
  /// FileError: a used pixel that is negative, NaN or infinite; frame and pixel are named.
  void convert(const void* raw, int64_t first, int64_t count, std::span<float> out) const;

 private:
  template <class T>
  void convert_frame(const T* in, int64_t frame, float* out) const;
  template <class T>
  [[noreturn]] void refuse(const T* in, int64_t frame) const;

  std::string path_, dataset_;
  FrameType type_;
  Domain domain_;
  DcPlace dc_;
  int64_t side_;
  std::vector<uint8_t> mask_;
};

/// Moves the zero frequency of an [N,N] image from the corner to the centre, index N/2.
std::vector<uint8_t> shift_to_centre(const std::vector<uint8_t>& image, int64_t side_px);

}  // namespace ptyfuse::io
