#include "kernels/device/buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>

#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using tests::error_message;

TEST(buffer, is_counted_while_it_lives) {
  const Device device = Device::cpu({.threads = 1});
  EXPECT_EQ(device.memory_in_use_bytes(), 0);
  {
    const Buffer a(device, 1000, "a");
    EXPECT_EQ(device.memory_in_use_bytes(), 1000);
    const Tensor<complex64> b(device, {10, 5}, "b");
    EXPECT_EQ(device.memory_in_use_bytes(), 1400);
    EXPECT_EQ(b.buffer().name(), "b");
    EXPECT_EQ(b.buffer().bytes(), 400);
  }
  EXPECT_EQ(device.memory_in_use_bytes(), 0);
  EXPECT_EQ(device.memory_peak_bytes(), 1400);
  { const Buffer c(device, 1399, "c"); }
  EXPECT_EQ(device.memory_peak_bytes(), 1400);
}

TEST(buffer, moves_with_its_count) {
  const Device device = Device::cpu({.threads = 1});
  Buffer a(device, 100, "a");
  void* const data = a.data();
  Buffer b(std::move(a));
  EXPECT_EQ(b.data(), data);
  EXPECT_EQ(b.name(), "a");
  EXPECT_EQ(device.memory_in_use_bytes(), 100);
  b = Buffer(device, 30, "c");
  EXPECT_EQ(device.memory_in_use_bytes(), 30);
  b = Buffer();
  EXPECT_EQ(device.memory_in_use_bytes(), 0);
  EXPECT_EQ(b.data(), nullptr);
}

TEST(buffer, is_aligned_and_may_be_empty) {
  const Device device = Device::cpu({.threads = 1});
  for (const int64_t bytes : {1, 63, 64, 65, 4097}) {
    const Buffer b(device, bytes, "b");
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data()) % 64, 0U) << bytes;
    EXPECT_EQ(b.bytes(), bytes);
  }
  const Tensor<float> none(device, {0, 4}, "none");
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(none.elements(), 0);
}

TEST(buffer, outlives_every_handle_of_its_device) {
  Buffer kept;
  {
    const Device device = Device::cpu({.threads = 2});
    kept = Buffer(device, 64, "kept");
  }
  static_cast<char*>(kept.data())[63] = 1;
  EXPECT_EQ(static_cast<char*>(kept.data())[63], 1);
}

TEST(buffer, says_what_is_out_of_memory) {
  const Device device = Device::cpu({.threads = 1, .memory_limit_bytes = 1000});
  const Buffer a(device, 600, "a");
  EXPECT_EQ(
      error_message([&] { Buffer(device, 401, "network activations"); }),
      "out of device memory: buffer 'network activations' needs 401 bytes, 600 bytes are in use, the limit is 1000 "
      "bytes; use a smaller batch or raise --device-memory");
  EXPECT_EQ(device.memory_in_use_bytes(), 600);
  EXPECT_EQ(device.memory_peak_bytes(), 600);
  const Buffer fits(device, 400, "fits");
  EXPECT_EQ(device.memory_in_use_bytes(), 1000);
  try {
    Buffer(device, 1, "one more");
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::memory);
  }
}

TEST(buffer, large_sizes_are_told_in_mebibytes) {
  const Device device = Device::cpu({.threads = 1, .memory_limit_bytes = int64_t{64} << 20});
  EXPECT_EQ(error_message([&] { Buffer(device, int64_t{3} << 40, "huge"); }),
            "out of device memory: buffer 'huge' needs 3145728 MiB, 0 bytes are in use, the limit is 64 MiB; use a "
            "smaller batch or raise --device-memory");
}

TEST(buffer, says_what_the_system_does_not_hand_out) {
  const Device unlimited = Device::cpu({.threads = 1});
  EXPECT_EQ(error_message([&] { Buffer(unlimited, -1, "negative"); }), "buffer 'negative': negative size");
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's allocator ends the process instead";
#endif
  EXPECT_EQ(
      error_message([&] { Buffer(unlimited, int64_t{1} << 60, "impossible"); }),
      "out of memory on cpu: buffer 'impossible' needs 1099511627776 MiB, this process holds 0 bytes there; use a "
      "smaller batch");
  EXPECT_EQ(unlimited.memory_in_use_bytes(), 0);
}

TEST(buffer, the_account_is_exact_from_several_threads) {
  const Device device = Device::cpu({.threads = 1, .memory_limit_bytes = 4 * 128});
  std::vector<std::thread> users;
  for (int t = 0; t < 4; ++t)
    users.emplace_back([&] {
      for (int i = 0; i < 500; ++i) const Buffer b(device, 128, "b");
    });
  for (std::thread& u : users) u.join();
  EXPECT_EQ(device.memory_in_use_bytes(), 0);
  EXPECT_GE(device.memory_peak_bytes(), 128);
  EXPECT_LE(device.memory_peak_bytes(), 4 * 128);
}

TEST(copies, carry_data_there_and_back) {
  Stream stream(Device::cpu({.threads = 1}));
  Tensor<float> t(stream.device(), {2, 3}, "t");
  const std::vector<float> in = {1, 2, 3, 4, 5, 6};
  copy_to_device(stream, t.view(), in.data(), 6);
  std::vector<float> out(3);
  copy_to_host<float>(stream, out.data(), t.view().slice(0, 1, 2), 3);
  EXPECT_EQ(out, (std::vector<float>{4, 5, 6}));
  fill_zero(stream, t.view().slice(0, 0, 1));
  EXPECT_EQ(t.view()(0, 2), 0);
  EXPECT_EQ(t.view()(1, 0), 4);
}

TEST(copies, say_what_does_not_fit) {
  Stream stream(Device::cpu({.threads = 1}));
  Tensor<float> t(stream.device(), {2, 3}, "t");
  std::vector<float> host(6);
  EXPECT_EQ(error_message([&] { fill_zero(stream, t.view().slice(1, 0, 2)); }),
            "fill_zero: view of [2, 2] is not contiguous");
  EXPECT_EQ(error_message([&] { copy_to_device(stream, t.view(), host.data(), 5); }),
            "copy_to_device: 5 elements into [2, 3]");
  EXPECT_EQ(error_message([&] {
              copy_to_host<float>(stream, host.data(), t.view().permute({1, 0}), 6);
            }),
            "copy_to_host: [3, 2] into 6 elements");
}

}  // namespace
}  // namespace ptyfuse
