#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <string>

namespace ptyfuse::fuzz {

/// Takes an input apart: decisions from its front; zeros when it is used up.
class ByteSource {
 public:
  explicit ByteSource(std::span<const uint8_t> bytes) : left_(bytes) {}
  bool empty() const { return left_.empty(); }
  std::span<const uint8_t> rest() const { return left_; }

  template <class T>
  T take() {
    T value{};
    const size_t n = std::min(sizeof value, left_.size());
    if (n > 0) std::memcpy(&value, left_.data(), n);
    left_ = left_.subspan(n);
    return value;
  }
  /// 0 to n-1
  size_t below(size_t n) { return take<uint8_t>() % n; }
  bool flip() { return below(2) == 1; }
  template <class List>
  auto& pick(List& list) {
    return list[below(std::size(list))];
  }
  /// Up to `most` characters, their number first.
  std::string text(size_t most) {
    const size_t n = std::min(below(most + 1), left_.size());
    std::string out(reinterpret_cast<const char*>(left_.data()), n);
    left_ = left_.subspan(n);
    return out;
  }

 private:
  std::span<const uint8_t> left_;
};

}  // namespace ptyfuse::fuzz
