// Every planted fault must be found, named with kernel, thread and place; its mended twin must pass.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/emu/recorder.h"
#include "tests/emu/device_array.h"
#include "tests/emu/kernels.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

using emu::FindingKind;
using emu::Order;

/// Runs `launch_it` counted, and expects findings of this kind alone, with these words.
template <class LaunchIt>
void expect_found(FindingKind kind, const std::vector<std::string>& words, LaunchIt&& launch_it) {
  const Stream stream(test_device());
  for (const Order order : {Order::mixed, Order::forward, Order::reversed, Order::shuffled}) {
    SCOPED_TRACE("order " + std::to_string(static_cast<int>(order)));
    emu::Recorder recorder({.order = order, .throw_on_finding = false});
    launch_it(stream);
    ASSERT_EQ(recorder.launches().size(), 1U);
    const std::vector<emu::Finding>& findings = recorder.launches()[0].findings;
    ASSERT_FALSE(findings.empty());
    for (const emu::Finding& f : findings) EXPECT_EQ(f.kind, kind) << f.message;
    for (const std::string& word : words)
      EXPECT_NE(findings[0].message.find(word), std::string::npos) << "'" << word << "' in: " << findings[0].message;
  }
}

/// Uncounted launches must end with an error of these words, too, in every order.
template <class LaunchIt>
void expect_error_uncounted(const std::vector<std::string>& words, LaunchIt&& launch_it) {
  const Stream stream(test_device());
  for (const Order order : {Order::mixed, Order::forward, Order::reversed, Order::shuffled}) {
    emu::Recorder recorder({.order = order, .counted = false});
    const std::string message = error_message([&] { launch_it(stream); });
    for (const std::string& word : words)
      EXPECT_NE(message.find(word), std::string::npos) << "'" << word << "' in: " << message;
  }
  const std::string message = error_message([&] { launch_it(stream); });
  for (const std::string& word : words) EXPECT_NE(message.find(word), std::string::npos) << message;
}

TEST(emu_faults, races_are_found_without_a_recorder_where_the_environment_asks) {
  constexpr int length = 96;
  const DeviceArray<float> in(random_floats(length, 1, 2, 1), "in"), out(length, "out");
  const Stream stream(test_device());
  const auto message = [&] {
    return error_message([&] { planted::missing_barrier(stream, in.data(), out.data(), length); });
  };
  EXPECT_EQ(message(), "no error");
  ASSERT_EQ(setenv("PTYFUSE_EMU_WATCHED_THREADS", "1", 1), 0);
  EXPECT_NE(message().find("race in reverse_without_barrier"), std::string::npos);
  ASSERT_EQ(unsetenv("PTYFUSE_EMU_WATCHED_THREADS"), 0);
  EXPECT_EQ(message(), "no error");
}

TEST(emu_faults, missing_barrier_is_a_race) {
  constexpr int length = 96;
  const DeviceArray<float> in(random_floats(length, 1, 2, 1), "in"), out(length, "out");
  const Stream stream(test_device());
  emu::Recorder recorder({.throw_on_finding = false});
  planted::missing_barrier(stream, in.data(), out.data(), length);
  EXPECT_GT(recorder.findings(FindingKind::race), 0);
  const emu::Finding* race = nullptr;
  for (const emu::Finding& f : recorder.launches()[0].findings)
    if (f.kind == FindingKind::race) race = &f;
  ASSERT_NE(race, nullptr);
  for (const char* word : {"race in reverse_without_barrier, block (0, 0, 0): thread (", "shared memory at byte",
                           "tests/emu/planted_faults.cu:", "no barrier between", "times here"})
    EXPECT_NE(race->message.find(word), std::string::npos) << race->message;
}

TEST(emu_faults, missing_barrier_gives_wrong_results_in_every_order) {
  constexpr int length = 96;
  const std::vector<float> host = random_floats(length, 1, 2, 1);
  const DeviceArray<float> in(host, "in");
  const Stream stream(test_device());
  for (const Order order : {Order::forward, Order::reversed, Order::shuffled}) {
    const DeviceArray<float> out(length, "out");
    const emu::Recorder recorder({.order = order, .counted = false});
    planted::missing_barrier(stream, in.data(), out.data(), length);
    int nan = 0;
    for (const float v : out.host()) nan += std::isnan(v);
    EXPECT_GT(nan, length / 4);
  }
}

TEST(emu_faults, missing_warp_barrier_is_a_race) {
  const DeviceArray<float> out(32, "out");
  const Stream stream(test_device());
  {
    emu::Recorder recorder({.throw_on_finding = false});
    planted::missing_warp_barrier(stream, out.data(), false);
    EXPECT_GT(recorder.findings(FindingKind::race), 0) << recorder.text();
  }
  emu::Recorder recorder;
  planted::missing_warp_barrier(stream, out.data(), true);
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(out.host()[i], static_cast<float>((i + 1) % 32));
}

TEST(emu_faults, race_in_device_memory) {
  const DeviceArray<float> out(32, "sums");
  expect_found(FindingKind::race, {"race in write_same_word", "writes 4 bytes of buffer 'sums' at byte", "wrote them"},
               [&](const Stream& stream) { planted::race_in_device_memory(stream, out.data()); });
}

TEST(emu_faults, race_between_blocks_unless_atomic) {
  const DeviceArray<float> out(1, "out"), counter(std::vector<float>{0}, "counter");
  expect_found(FindingKind::race, {"race in count_blocks<false>", "of block (0, 0, 0)", "blocks have no order"},
               [&](const Stream& stream) { planted::race_of_blocks(stream, out.data(), false, counter.data()); });
  const Stream stream(test_device());
  emu::Recorder recorder;
  planted::race_of_blocks(stream, out.data(), true, counter.data());
  EXPECT_EQ(counter.host()[0], 4);
  EXPECT_EQ(recorder.total().atomics, 4U);
}

TEST(emu_faults, stray_write_breaks_a_guard) {
  for (const int64_t at : {32, 100, -1, -60}) {
    const DeviceArray<float> out(32, "image");
    const auto launch_it = [&](const Stream& stream) { planted::write_beyond_buffer(stream, out.data(), 32, at); };
    expect_error_uncounted(
        {"stray write in write_one", "buffer 'image' of 128 bytes, at byte " + std::to_string(4 * at)}, launch_it);
    expect_found(FindingKind::out_of_bounds,
                 {"out of bounds in write_one, block (1, 0, 0): thread (0, 0, 0) at tests/emu/planted_faults.cu:",
                  "writes 4 bytes outside of every buffer; nearest is byte " + std::to_string(4 * at) +
                      " of buffer 'image', which has 128 bytes"},
                 launch_it);
  }
}

TEST(emu_faults, wild_write_is_named_before_it_happens) {
  const DeviceArray<float> out(32, "image");
  expect_found(FindingKind::out_of_bounds, {"outside of every buffer"},
               [&](const Stream& stream) { planted::write_beyond_buffer(stream, out.data(), 32, int64_t{1} << 40); });
}

TEST(emu_faults, read_beyond_a_buffer) {
  const DeviceArray<float> in(random_floats(32, 0, 1, 1), "in"), out(32, "out");
  expect_found(
      FindingKind::out_of_bounds,
      {"out of bounds in read_one, block (0, 0, 0): thread (5, 0, 0)", "reads 4 bytes", "byte 128 of buffer 'in'"},
      [&](const Stream& stream) { planted::read_beyond_buffer(stream, in.data(), out.data(), 32); });
  // Uncounted, the guards' NaN shows in the result.
  planted::read_beyond_buffer(Stream(test_device()), in.data(), out.data(), 32);
  EXPECT_TRUE(std::isnan(out.host()[5]));
  EXPECT_FALSE(std::isnan(out.host()[6]));
}

TEST(emu_faults, write_beyond_shared_memory) {
  const DeviceArray<float> out(1, "out");
  for (const int at : {32, 200, -1}) {
    const auto launch_it = [&](const Stream& stream) { planted::write_beyond_shared(stream, out.data(), at); };
    expect_found(FindingKind::out_of_bounds,
                 {"writes 4 bytes of shared memory at byte " + std::to_string(4 * at), "which has 128 bytes"},
                 launch_it);
    expect_error_uncounted(
        {"stray write in write_shared, block (0, 0, 0)", "128 bytes at offset " + std::to_string(4 * at)}, launch_it);
  }
}

TEST(emu_faults, index_beyond_a_local_array) {
  const DeviceArray<float> in(random_floats(32, 0, 1, 1), "in"), out(32, "out");
  const auto launch_it = [&](int length) {
    return
        [&, length](const Stream& stream) { planted::write_beyond_local_array(stream, in.data(), out.data(), length); };
  };
  const std::vector<std::string> words = {"out of bounds in sum_local_array, block (0, 0, 0): thread (",
                                          "tests/emu/planted_faults.cu:", "takes element 4 of 'float [4]'"};
  expect_found(FindingKind::out_of_bounds, words, launch_it(5));
  expect_error_uncounted(words, launch_it(5));
  const Stream stream(test_device());
  const emu::Recorder recorder;
  launch_it(4)(stream);
}

TEST(emu_faults, unaligned_vector_access) {
  const DeviceArray<float> in(random_floats(32, 0, 1, 1), "in"), out(32, "out");
  const auto launch_it = [&](const Stream& stream) { planted::unaligned_vector(stream, in.data(), out.data(), 1); };
  const std::vector<std::string> words = {"unaligned access in copy_vector<float4>, block (0, 0, 0): thread (0, 0, 0)",
                                          "planted_faults.cu:", "16 bytes of buffer 'in' at byte 4", "not a multiple"};
  expect_found(FindingKind::unaligned, words, launch_it);
  expect_error_uncounted(words, launch_it);
  expect_found(FindingKind::unaligned, {"8 bytes of buffer 'in' at byte 4"},
               [&](const Stream& stream) { planted::unaligned_double(stream, in.data(), out.data(), 1); });
  const Stream stream(test_device());
  const emu::Recorder recorder;
  planted::unaligned_vector(stream, in.data(), out.data(), 4);
  EXPECT_EQ(out.host()[0], in.host()[4]);
}

TEST(emu_faults, divergent_barriers) {
  const DeviceArray<float> out(64, "out");
  const auto check = [&](const std::vector<std::string>& words, auto&& launch_it) {
    expect_found(FindingKind::divergent_barrier, words, launch_it);
    expect_error_uncounted(words, launch_it);
  };
  check({"divergent barrier in half_at_barrier, block (0, 0, 0): thread (0, 0, 0) at",
         "planted_faults.cu:", "thread (40, 0, 0) has returned"},
        [&](const Stream& stream) { planted::divergent_barrier(stream, out.data()); });
  check({"leave_before_barrier", "thread (37, 0, 0) has returned"},
        [&](const Stream& stream) { planted::return_before_barrier(stream, out.data()); });
  check({"barrier_in_each_branch", "thread (1, 0, 0) at", "waits at another block barrier"},
        [&](const Stream& stream) { planted::two_barriers_in_branches(stream, out.data()); });
}

TEST(emu_faults, divergent_collectives) {
  const DeviceArray<float> out(32, "out");
  const auto check = [&](const std::vector<std::string>& words, auto&& launch_it) {
    expect_found(FindingKind::divergent_collective, words, launch_it);
    expect_error_uncounted(words, launch_it);
  };
  check({"half_at_shuffle", "thread (0, 0, 0) at", "planted_faults.cu:", "thread (20, 0, 0) at",
         "waits at another block barrier"},
        [&](const Stream& stream) { planted::divergent_shuffle(stream, out.data()); });
  check({"leave_before_shuffle", "planted_faults.cu:", "thread (9, 0, 0) has returned"},
        [&](const Stream& stream) { planted::return_before_shuffle(stream, out.data()); });
}

TEST(emu_faults, uninitialised_shared_memory) {
  const DeviceArray<float> out(32, "out");
  expect_found(FindingKind::uninitialised_shared,
               {"uninitialised shared memory in read_unwritten, block (0, 0, 0): thread (7, 0, 0)",
                "reads 4 bytes of shared memory at byte 28, which this block never wrote"},
               [&](const Stream& stream) { planted::uninitialised_shared(stream, out.data()); });
  planted::uninitialised_shared(Stream(test_device()), out.data());
  EXPECT_TRUE(std::isnan(out.host()[7]));
  EXPECT_EQ(out.host()[6], 1);
}

TEST(emu_faults, asynchronous_copies_without_wait_or_barrier) {
  const DeviceArray<float> in(random_floats(4 * 32, 1, 2, 1), "in"), out(32, "out");
  const auto not_waited = [&](const Stream& stream) { planted::copy_not_waited(stream, in.data(), out.data()); };
  expect_found(FindingKind::async_copy, {"asynchronous copy in copy_and_read<false>", "ends without waiting"},
               not_waited);
  expect_error_uncounted({"ends without waiting"}, not_waited);
  for (const float v : out.host()) EXPECT_TRUE(std::isnan(v));
  const Stream stream(test_device());
  emu::Recorder recorder({.throw_on_finding = false});
  planted::copy_without_barrier(stream, in.data(), out.data());
  EXPECT_GT(recorder.findings(FindingKind::race), 0) << recorder.text();
}

TEST(emu_faults, trap_and_stack) {
  expect_error_uncounted({"trap in trap_at, block (0, 0, 0): thread (13, 0, 0)", "planted_faults.cu:"},
                         [](const Stream& stream) { planted::trap_if(stream, 13); });
  planted::trap_if(Stream(test_device()), 32);
  const DeviceArray<float> out(1, "out");
  expect_error_uncounted({"stack overflow in fill_stack"},
                         [&](const Stream& stream) { planted::deep_stack(stream, out.data()); });
}

TEST(emu_faults, a_recorder_throws_unless_told_not_to) {
  const DeviceArray<float> out(32, "out");
  const Stream stream(test_device());
  emu::Recorder recorder;
  EXPECT_NE(error_message([&] { planted::uninitialised_shared(stream, out.data()); }).find("uninitialised"),
            std::string::npos);
  EXPECT_EQ(recorder.findings(FindingKind::uninitialised_shared), 1);
}

}  // namespace
}  // namespace ptyfuse::tests
