#include "kernels/emu/traffic_cost.h"

#include <algorithm>
#include <bit>

namespace ptyfuse::emu {
namespace {

/// A small sorted set of units (words, sectors); coalesced addresses come in order, which costs no search.
class Units {
 public:
  /// True where it is new.
  bool insert(uintptr_t unit) {
    if (count_ == 0 || unit > unit_[count_ - 1]) {
      unit_[count_++] = unit;
      return true;
    }
    const auto end = unit_.begin() + static_cast<std::ptrdiff_t>(count_);
    const auto at = std::lower_bound(unit_.begin(), end, unit);
    if (*at == unit) return false;
    std::move_backward(at, end, end + 1);
    *at = unit;
    ++count_;
    return true;
  }
  size_t size() const { return count_; }

 private:
  std::array<uintptr_t, 32 * 5> unit_;  // 16 bytes of 32 lanes, which lie in at most 5 words each
  size_t count_ = 0;
};

Traffic of_request(uint32_t lanes, uint32_t bytes) {
  Traffic t;
  t.requests = 1;
  t.bytes = static_cast<uint64_t>(std::popcount(lanes)) * bytes;
  return t;
}

}  // namespace

Traffic global_traffic(const std::array<uintptr_t, 32>& address, uint32_t lanes, uint32_t bytes) {
  Traffic t = of_request(lanes, bytes);
  Units sectors, distinct;
  for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const uintptr_t a = address[static_cast<size_t>(std::countr_zero(rest))];
    for (uintptr_t s = a / 32; s * 32 < a + bytes; ++s) sectors.insert(s);
    distinct.insert(a);
  }
  t.cost = sectors.size();
  t.ideal = (distinct.size() * bytes + 31) / 32;
  return t;
}

Traffic shared_traffic(const std::array<uintptr_t, 32>& address, uint32_t lanes, uint32_t bytes) {
  Traffic t = of_request(lanes, bytes);
  const uint32_t group = bytes <= 4 ? 32 : 128 / bytes;
  Units words;
  for (uint32_t first = 0; first < 32; first += group) {
    std::array<uint8_t, 32> load{};
    for (uint32_t lane = first; lane < first + group; ++lane) {
      if ((lanes >> lane & 1U) == 0) continue;
      for (uintptr_t w = address[lane] / 4; w * 4 < address[lane] + bytes; ++w)
        if (words.insert(w)) ++load[w % 32];
    }
    t.cost += *std::max_element(load.begin(), load.end());
  }
  t.ideal = (words.size() + 31) / 32;
  return t;
}

}  // namespace ptyfuse::emu
