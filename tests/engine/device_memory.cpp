#include "engine/device_memory.h"

#include <gtest/gtest.h>

#include "engine/option_table.h"
#include "kernels/device/error.h"
#include "tests/support/device.h"

namespace ptyfuse {
namespace {

TEST(device_memory, sizes_are_rounded_up_to_what_the_option_takes) {
  constexpr int64_t mib = int64_t{1} << 20;
  const std::pair<int64_t, const char*> cases[] = {{1, "1KiB"},         {1024, "1KiB"},
                                                   {1025, "2KiB"},      {64 * mib - 1, "65536KiB"},
                                                   {64 * mib, "64MiB"}, {64 * mib + 1, "65MiB"}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(size_option(bytes), text);
    EXPECT_GE(parse_bytes("device-memory", size_option(bytes)), bytes);
  }
}

TEST(device_memory, a_buffers_advice_can_be_left_out) {
  const Device device = Device::cpu({.threads = 1, .memory_limit_bytes = 1000});
  try {
    Buffer(device, 1001, "frames");
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(without_advice(e.what()),
              "out of device memory: buffer 'frames' needs 1001 bytes, 0 bytes are in use, the limit is 1000 bytes");
  }
  EXPECT_EQ(without_advice("nothing but a fact"), "nothing but a fact");
}

}  // namespace
}  // namespace ptyfuse
