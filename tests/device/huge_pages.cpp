#include "kernels/device/huge_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

namespace ptyfuse {
namespace {

constexpr uintptr_t mib = uintptr_t{1} << 20;

struct Mapping {
  uintptr_t size;
  void* memory;
  explicit Mapping(uintptr_t bytes)
      : size(bytes), memory(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  ~Mapping() { munmap(memory, size); }
  uintptr_t begin() const { return reinterpret_cast<uintptr_t>(memory); }
};

/// Bytes of [begin, end) in mappings that carry the advice ("hg" in smaps).
uintptr_t advised(uintptr_t begin, uintptr_t end) {
  std::ifstream maps("/proc/self/smaps");
  uintptr_t sum = 0, low = 0, high = 0;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t a = 0, b = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &a, &b) == 2) {
      low = std::max(a, begin);
      high = std::min(b, end);
    } else if (line.starts_with("VmFlags:") && line.find(" hg") != std::string::npos && low < high) {
      sum += high - low;
    }
  }
  return sum;
}

TEST(huge_pages, whole_ones_inside_of_the_block_and_no_more) {
  if (std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled").fail()) GTEST_SKIP() << "none on this system";
  const Mapping map(16 * mib);
  // The block begins and ends inside of a page of 2 MiB.
  const uintptr_t first = (map.begin() + 2 * mib - 1) / (2 * mib) * (2 * mib);
  const uintptr_t begin = first + 64, bytes = 6 * mib;
  prefer_huge_pages(reinterpret_cast<void*>(begin), static_cast<int64_t>(bytes));
  EXPECT_EQ(advised(map.begin(), first + 2 * mib), 0u);
  EXPECT_EQ(advised(first + 2 * mib, first + 6 * mib), 4 * mib);
  EXPECT_EQ(advised(first + 6 * mib, map.begin() + map.size), 0u);
}

TEST(huge_pages, small_blocks_are_left_alone) {
  const Mapping map(8 * mib);
  const uintptr_t first = (map.begin() + 2 * mib - 1) / (2 * mib) * (2 * mib);
  prefer_huge_pages(reinterpret_cast<void*>(first + 4096), static_cast<int64_t>(3 * mib));
  prefer_huge_pages(reinterpret_cast<void*>(first), 0);
  EXPECT_EQ(advised(map.begin(), map.begin() + map.size), 0u);
}

}  // namespace
}  // namespace ptyfuse
