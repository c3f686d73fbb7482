// The emulated device's memory, and recorders.
#include "kernels/emu/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>

#include "kernels/emu/recorder.h"
#include "tests/emu/device_array.h"
#include "tests/emu/kernels.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

TEST(emu_memory, is_aligned_and_poisoned) {
  for (const int64_t bytes : {1, 3, 4, 100, 4096, 1000001}) {
    void* const memory = emu::allocate(bytes, "buffer");
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 256, 0U);
    std::vector<uint8_t> host(static_cast<size_t>(bytes));
    emu::copy_to_host(host.data(), memory, bytes);
    for (size_t i = 0; i < host.size(); ++i) ASSERT_EQ(host[i], i % 2 == 0 ? 0xa5 : 0xff);
    if (bytes >= 4) {
      float value;
      std::memcpy(&value, host.data(), sizeof value);
      EXPECT_TRUE(std::isnan(value));
    }
    EXPECT_EQ(emu::release(memory), "");
  }
  EXPECT_EQ(emu::release(nullptr), "");
  EXPECT_EQ(emu::release(emu::allocate(0, "empty")), "");
}

TEST(emu_memory, tells_the_first_damaged_guard_byte) {
  for (const int64_t bytes : {0, 1, 7, 64, 1001})
    for (const int64_t at : {int64_t{-512}, int64_t{-1}, bytes, bytes + 1, bytes + 500}) {
      auto* const memory = static_cast<uint8_t*>(emu::allocate(bytes, "image"));
      const auto damage = [&] {
        const emu::DeviceAccess access;
        memory[at] ^= 0x10;
      };
      damage();
      const std::vector<emu::GuardDamage> damages = emu::check_guards();
      ASSERT_EQ(damages.size(), 1U) << bytes << " bytes, byte " << at;
      EXPECT_EQ(damages[0].offset_bytes, at);
      EXPECT_EQ(damages[0].allocation.name, "image");
      EXPECT_TRUE(emu::check_guards().empty()) << "told once";
      damage();
      EXPECT_EQ(emu::release(memory), "buffer 'image' of " + std::to_string(bytes) + " bytes: guard byte at offset " +
                                          std::to_string(at) + " was overwritten");
    }
}

TEST(emu_memory, is_closed_to_the_host) {
  const DeviceArray<float> first(std::vector<float>{1, 2}, "first"), second(std::vector<float>(1 << 20, 3), "second");
  const auto read = [](const DeviceArray<float>& array, size_t at) {
    return const_cast<const volatile float*>(array.data())[at];
  };
  EXPECT_EXIT(static_cast<void>(read(first, 1)), testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EXIT(static_cast<void>(read(second, (1 << 20) - 1)), testing::KilledBySignal(SIGSEGV), "");
  {
    const emu::DeviceAccess outer;
    { const emu::DeviceAccess inner; }
    EXPECT_EQ(read(first, 1), 2);
    const DeviceArray<float> third(3 << 20, "third");  // an allocation meanwhile is open, too
    EXPECT_TRUE(std::isnan(read(third, (3 << 20) - 1)));
  }
  transpose_naive(Stream(test_device()), second.data(), second.data() + (1 << 19), 32);
  EXPECT_EXIT(static_cast<void>(read(second, 0)), testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EQ(second.host()[1 << 19], 3);
}

TEST(emu_memory, is_used_again) {
  std::vector<void*> kept;
  for (int i = 0; i < 40; ++i) {
    void* const memory = emu::allocate(64 << 20, "passing");
    EXPECT_EQ(emu::release(memory), "");
    kept.push_back(emu::allocate(100, "kept"));
  }
  std::sort(kept.begin(), kept.end());
  EXPECT_EQ(std::adjacent_find(kept.begin(), kept.end()), kept.end());
  for (void* memory : kept) EXPECT_EQ(emu::release(memory), "");
}

TEST(emu_memory, copies_stay_inside_a_buffer) {
  const DeviceArray<float> array(8, "array");
  float host[16] = {};
  EXPECT_EQ(error_message([&] { emu::copy_to_device(array.data(), host, 36); }),
            "copy to device: 36 bytes run over the end of buffer 'array'");
  EXPECT_EQ(error_message([&] { emu::copy_to_host(host, array.data() + 4, 20); }),
            "copy to host: 20 bytes run over the end of buffer 'array'");
  EXPECT_EQ(error_message([&] { emu::fill_bytes(host, 0, 4); }), "fill: 4 bytes do not lie in device memory");
  emu::fill_bytes(array.data(), 0, 32);
  emu::copy_to_host(host, array.data() + 4, 16);
  EXPECT_EQ(host[3], 0);
  EXPECT_EQ(error_message([&] { static_cast<void>(emu::release(array.data() + 1)); }),
            "release: not an allocation of the emulated device");
  EXPECT_EQ(error_message([&] { emu::allocate(-1, "buffer"); }), "buffer 'buffer': negative size");
}

TEST(emu_recorder, the_innermost_counts_and_shuffles_repeat) {
  const Stream stream(test_device());
  const DeviceArray<float> in(random_floats(1024, 0, 1, 1), "in"), out(1024, "out");
  emu::Recorder outer;
  transpose_naive(stream, in.data(), out.data(), 32);
  {
    emu::Recorder inner({.counted = false});
    transpose_naive(stream, in.data(), out.data(), 32);
    EXPECT_EQ(inner.total().launches, 1U);
    EXPECT_EQ(inner.total().blocks, 0U);
  }
  transpose_naive(stream, in.data(), out.data(), 32);
  EXPECT_EQ(outer.total("naive").launches, 2U);
  EXPECT_EQ(outer.total("naive").blocks, 2U);
  EXPECT_THROW(outer.total("other"), Error);  // a limit held to nothing would hold
}

TEST(emu_memory, copies_on_the_device_have_both_ends_there) {
  const DeviceArray<float> from(random_floats(4, 0, 1, 1), "from"), to(4, "to");
  const std::vector<float> host(4);
  EXPECT_NO_THROW(emu::copy_on_device(to.data(), from.data(), 16));
  EXPECT_THROW(emu::copy_on_device(to.data(), host.data(), 16), Error);
  EXPECT_THROW(emu::copy_on_device(to.data(), from.data() + 1, 16), Error);
}

}  // namespace
}  // namespace ptyfuse::tests
