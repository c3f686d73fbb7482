#include "io/crc32.h"

#include <array>
#include <cstring>

namespace ptyfuse::io {
namespace {

using Table = std::array<uint32_t, 256>;

// table[k][b]: what byte b does to the sum k bytes later. Eight bytes go in at once (Kounavis and Berry, 2005).
constexpr std::array<Table, 8> make_tables() {
  std::array<Table, 8> tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t value = b;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? 0xEDB88320u : 0);
    tables[0][b] = value;
  }
  for (size_t k = 1; k < 8; ++k)
    for (size_t b = 0; b < 256; ++b) tables[k][b] = tables[k - 1][b] >> 8 ^ tables[0][tables[k - 1][b] & 0xff];
  return tables;
}

constexpr std::array<Table, 8> tables = make_tables();

}  // namespace

uint32_t crc32(const void* data, size_t bytes, uint32_t former) {
  const auto* from = static_cast<const unsigned char*>(data);
  uint32_t sum = ~former;
  for (; bytes >= 8; bytes -= 8, from += 8) {
    uint64_t word = 0;
    std::memcpy(&word, from, sizeof word);
    word ^= sum;
    sum = 0;
    for (size_t k = 0; k < 8; ++k) sum ^= tables[7 - k][word >> 8 * k & 0xff];
  }
  for (; bytes > 0; --bytes, ++from) sum = sum >> 8 ^ tables[0][(sum ^ *from) & 0xff];
  return ~sum;
}

}  // namespace ptyfuse::io
