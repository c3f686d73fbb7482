// Copies from pinned memory, and the events that order them.
#include "kernels/device/pinned_buffer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/device/event.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using tests::download;
using tests::error_message;
using tests::test_device;

float* floats(const PinnedBuffer& buffer) {
  return static_cast<float*>(buffer.data());
}

TEST(pinned_buffer, is_the_hosts_memory_and_not_the_devices) {
  const Device device = test_device();
  for (const int64_t bytes : {1, 64, 4097}) {
    const PinnedBuffer b(device, bytes, "b");
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data()) % 64, 0U) << bytes;
    EXPECT_EQ(b.bytes(), bytes);
    EXPECT_EQ(b.name(), "b");
    std::memset(b.data(), 7, static_cast<size_t>(bytes));
    EXPECT_EQ(static_cast<char*>(b.data())[bytes - 1], 7);
  }
  EXPECT_EQ(device.memory_peak_bytes(), 0);
  EXPECT_EQ(PinnedBuffer(device, 0, "none").data(), nullptr);
}

TEST(pinned_buffer, moves) {
  const Device device = test_device();
  PinnedBuffer a(device, 100, "a");
  void* const data = a.data();
  PinnedBuffer b(std::move(a));
  EXPECT_EQ(b.data(), data);
  EXPECT_EQ(b.bytes(), 100);
  b = PinnedBuffer();
  EXPECT_EQ(b.data(), nullptr);
  EXPECT_EQ(b.bytes(), 0);
}

TEST(pinned_buffer, says_what_is_not_to_be_had) {
  const Device device = test_device();
  EXPECT_EQ(error_message([&] { PinnedBuffer(device, -1, "negative"); }), "pinned buffer 'negative': negative size");
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's allocator ends the process instead";
#endif
  EXPECT_EQ(error_message([&] { PinnedBuffer(device, int64_t{1} << 50, "frames"); }),
            "out of host memory: pinned buffer 'frames' for " + device.name() +
                " needs 1125899906842624 bytes; use a smaller batch");
}

TEST(pinned_copy, carries_a_run_of_the_buffer) {
  Stream stream(test_device());
  const PinnedBuffer pinned(stream.device(), 6 * sizeof(float), "pinned");
  for (int i = 0; i < 6; ++i) floats(pinned)[i] = static_cast<float>(i);
  Tensor<float> there = tests::upload<float>(stream, {4}, {-1, -1, -1, -1}), copy(stream.device(), {4}, "copy");
  enqueue_copy_to_device(stream, there.data() + 1, pinned, 2 * sizeof(float), 3 * sizeof(float));
  enqueue_copy_on_device(stream, copy.data(), there.data(), 4 * sizeof(float));
  EXPECT_EQ(download(stream, there), (std::vector<float>{-1, 2, 3, 4}));
  EXPECT_EQ(download(stream, copy), (std::vector<float>{-1, 2, 3, 4}));
}

TEST(pinned_copy, says_what_the_buffer_does_not_hold) {
  Stream stream(test_device());
  const PinnedBuffer pinned(stream.device(), 8, "frames");
  Tensor<float> there(stream.device(), {4}, "there");
  for (const auto& [offset, bytes] : {std::pair<int64_t, int64_t>{4, 5}, {-1, 2}, {9, 0}, {0, -1}})
    EXPECT_EQ(error_message([&] { enqueue_copy_to_device(stream, there.data(), pinned, offset, bytes); }),
              "enqueue_copy_to_device: " + std::to_string(bytes) + " bytes from byte " + std::to_string(offset) +
                  " of pinned buffer 'frames' of 8");
}

TEST(event, lets_another_stream_begin_behind_a_copy) {
  const Device device = test_device();
  Stream copies(device), compute(device);
  constexpr int64_t count = 1 << 20;
  const PinnedBuffer pinned(device, count * static_cast<int64_t>(sizeof(float)), "pinned");
  Tensor<float> slot(device, {count}, "slot"), out(device, {count}, "out");
  Event there(device);
  for (int round = 0; round < 3; ++round) {
    there.synchronise();  // the former round's copy has read the buffer; before the first round nobody waits
    for (int64_t i = 0; i < count; ++i) floats(pinned)[i] = static_cast<float>(i + round);
    enqueue_copy_to_device(copies, slot.data(), pinned, 0, pinned.bytes());
    there.record(copies);
    there.hold_back(compute);
    enqueue_copy_on_device(compute, out.data(), slot.data(), pinned.bytes());
    const std::vector<float> found = download(compute, out);
    EXPECT_EQ(found.front(), static_cast<float>(round));
    EXPECT_EQ(found.back(), static_cast<float>(count - 1 + round));
  }
}

#ifdef PTYFUSE_EMU
// What other tests of staging rely on: nothing is copied before something waits for it.
TEST(event, the_emulated_gpu_copies_from_pinned_memory_as_late_as_it_may) {
  const Device device = Device::cuda();
  Stream copies(device), compute(device);
  const PinnedBuffer pinned(device, sizeof(float), "pinned");
  Tensor<float> slot(device, {1}, "slot");
  Event first(device), second(device);
  *floats(pinned) = 1;
  enqueue_copy_to_device(copies, slot.data(), pinned, 0, sizeof(float));
  first.record(copies);
  enqueue_copy_to_device(copies, slot.data(), pinned, 0, sizeof(float));
  second.record(copies);
  EXPECT_NE(download(compute, slot), std::vector<float>{1});
  first.hold_back(compute);
  EXPECT_EQ(download(compute, slot), std::vector<float>{1});
  *floats(pinned) = 2;
  EXPECT_EQ(download(compute, slot), std::vector<float>{1});
  second.synchronise();
  EXPECT_EQ(download(compute, slot), std::vector<float>{2});
  *floats(pinned) = 3;
  first.synchronise();
  EXPECT_EQ(download(compute, slot), std::vector<float>{2});
}
#endif

}  // namespace
}  // namespace ptyfuse
