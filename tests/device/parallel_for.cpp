#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "kernels/device/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse {
namespace {

using tests::error_message;

struct Part {
  int64_t begin, end;
  int thread;
  friend bool operator==(const Part&, const Part&) = default;
};

/// The runs of one parallel_for, in the order of their threads.
std::vector<Part> partition(const Device& device, int64_t count, int64_t grain) {
  std::mutex mutex;
  std::vector<Part> parts;
  device.parallel_for(count, grain, [&](int64_t begin, int64_t end, int thread) {
    std::lock_guard lock(mutex);
    parts.push_back({begin, end, thread});
  });
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.thread < b.thread; });
  return parts;
}

struct Case {
  int threads;
  int64_t count, grain;
  size_t parts;
};
const Case cases[] = {{1, 10, 1, 1},  {2, 10, 1, 2},     {3, 10, 1, 3},  {3, 2, 1, 2},   {4, 1, 1, 1},
                      {4, 10, 5, 2},  {4, 10, 6, 1},     {4, 9, 100, 1}, {4, 100, 0, 4}, {2, int64_t{1} << 40, 1, 2},
                      {8, 64, 10, 6}, {5, 1000003, 7, 5}};

TEST(parallel_for, partitions_evenly_and_completely) {
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::Message() << c.threads << " threads, " << c.count << " by " << c.grain);
    const Device device = Device::cpu({.threads = c.threads});
    EXPECT_EQ(device.threads(), c.threads);
    const auto parts = partition(device, c.count, c.grain);
    ASSERT_EQ(parts.size(), c.parts);
    int64_t next = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_EQ(parts[i].thread, static_cast<int>(i));
      EXPECT_EQ(parts[i].begin, next);
      const int64_t length = parts[i].end - parts[i].begin, even = c.count / static_cast<int64_t>(c.parts);
      EXPECT_GE(length, even);
      EXPECT_LE(length, even + 1);
      next = parts[i].end;
    }
    EXPECT_EQ(next, c.count);
    EXPECT_EQ(partition(device, c.count, c.grain), parts);
  }
}

TEST(parallel_for, nothing_to_do_calls_nobody) {
  const Device device = Device::cpu({.threads = 3});
  EXPECT_TRUE(partition(device, 0, 1).empty());
  EXPECT_TRUE(partition(device, -5, 1).empty());
}

TEST(parallel_for, works_on_different_threads) {
  const Device device = Device::cpu({.threads = 3});
  std::mutex mutex;
  std::vector<std::thread::id> ids(3);
  device.parallel_for(3, 1, [&](int64_t, int64_t, int thread) {
    std::lock_guard lock(mutex);
    ids[static_cast<size_t>(thread)] = std::this_thread::get_id();
  });
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_NE(ids[1], ids[2]);
  EXPECT_NE(ids[0], ids[2]);
}

TEST(parallel_for, is_done_with_every_run_when_it_returns) {
  const Device device = Device::cpu({.threads = 3});
  std::vector<int> touched(1000);
  for (int round = 1; round <= 400; ++round) {
    device.parallel_for(1000, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) ++touched[static_cast<size_t>(i)];
    });
    if (round % 100 != 0) continue;
    for (const int t : touched) ASSERT_EQ(t, round);
  }
}

TEST(parallel_for, wakes_workers_that_went_to_sleep) {
  const Device device = Device::cpu({.threads = 2});
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    EXPECT_EQ(partition(device, 2, 1).size(), 2U);
  }
}

TEST(parallel_for, passes_exceptions_on_from_any_thread) {
  const Device device = Device::cpu({.threads = 3});
  for (int thrower = 0; thrower < 3; ++thrower) {
    std::atomic<int> others{0};
    EXPECT_EQ(error_message([&] {
                device.parallel_for(3, 1, [&](int64_t, int64_t, int thread) {
                  if (thread == thrower) throw_shape_error("body", "thread " + std::to_string(thread));
                  ++others;
                });
              }),
              "body: thread " + std::to_string(thrower));
    EXPECT_EQ(others, 2);
    EXPECT_EQ(partition(device, 3, 1).size(), 3U) << "the device works on";
  }
  EXPECT_THROW(device.parallel_for(1, 1, [](int64_t, int64_t, int) { throw std::out_of_range("x"); }),
               std::out_of_range);
  EXPECT_THROW(device.parallel_for(3, 1, [](int64_t, int64_t, int) { throw std::bad_alloc(); }), std::bad_alloc);
}

TEST(parallel_for, refuses_a_run_inside_a_run) {
  const Device device = Device::cpu({.threads = 2});
  for (const int64_t count : {1, 2}) {
    try {
      device.parallel_for(count, 1,
                          [&](int64_t, int64_t, int) { device.parallel_for(4, 1, [](int64_t, int64_t, int) {}); });
      FAIL() << "no error";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::device);
      EXPECT_STREQ(e.what(), "parallel_for: called from inside a parallel_for");
    }
  }
  EXPECT_EQ(partition(device, 2, 1).size(), 2U);
}

TEST(parallel_for, another_device_may_work_inside) {
  const Device outer = Device::cpu({.threads = 2}), inner = Device::cpu({.threads = 2});
  std::atomic<int64_t> sum{0};
  outer.parallel_for(2, 1, [&](int64_t, int64_t, int) {
    inner.parallel_for(10, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
  });
  EXPECT_EQ(sum, 20);
}

TEST(parallel_for, refuses_a_run_inside_a_run_of_another_device_inside_its_own) {
  const Device outer = Device::cpu({.threads = 2}), inner = Device::cpu({.threads = 1});
  EXPECT_EQ(error_message([&] {
              outer.parallel_for(1, 1, [&](int64_t, int64_t, int) {
                inner.parallel_for(
                    1, 1, [&](int64_t, int64_t, int) { outer.parallel_for(4, 1, [](int64_t, int64_t, int) {}); });
              });
            }),
            "parallel_for: called from inside a parallel_for");
  EXPECT_EQ(partition(outer, 2, 1).size(), 2U);
  EXPECT_EQ(partition(inner, 1, 1).size(), 1U);
}

TEST(parallel_for, host_threads_take_turns_on_one_device) {
  const Device device = Device::cpu({.threads = 2});
  std::vector<int64_t> counts(4);
  std::vector<std::thread> users;
  std::atomic<int> inside{0}, worst{0};
  for (size_t u = 0; u < counts.size(); ++u)
    users.emplace_back([&, u] {
      for (int round = 0; round < 200; ++round) {
        std::atomic<int64_t> covered{0};
        device.parallel_for(64, 1, [&](int64_t begin, int64_t end, int) {
          const int now = ++inside;
          for (int seen = worst; now > seen && !worst.compare_exchange_weak(seen, now);) {
          }
          covered += end - begin;
          --inside;
        });
        counts[u] += covered;
      }
    });
  for (std::thread& u : users) u.join();
  for (const int64_t c : counts) EXPECT_EQ(c, 200 * 64);
  EXPECT_LE(worst, 2);
}

TEST(parallel_for, several_devices_work_at_once) {
  std::vector<std::thread> users;
  std::vector<int64_t> sums(3);
  for (size_t u = 0; u < sums.size(); ++u)
    users.emplace_back([&, u] {
      const Device device = Device::cpu({.threads = static_cast<int>(u) + 1});
      for (int round = 0; round < 200; ++round) {
        std::vector<int64_t> partial(static_cast<size_t>(device.threads()));
        device.parallel_for(1000, 1, [&](int64_t begin, int64_t end, int thread) {
          for (int64_t i = begin; i < end; ++i) partial[static_cast<size_t>(thread)] += i;
        });
        for (const int64_t p : partial) sums[u] += p;
      }
    });
  for (std::thread& u : users) u.join();
  for (const int64_t s : sums) EXPECT_EQ(s, 200 * 499500);
}

TEST(device, describes_itself) {
  const Device device = Device::cpu({.threads = 2, .memory_limit_bytes = 12345});
  EXPECT_EQ(device.kind(), DeviceKind::cpu);
  EXPECT_EQ(device.name(), "cpu");
  EXPECT_EQ(device.memory_limit_bytes(), 12345);
  EXPECT_NE(device.description().find(", 2 threads, AVX"), std::string::npos) << device.description();
  EXPECT_EQ(device.description().rfind(device.cpu_features().name, 0), 0U);
  EXPECT_NE(Device::cpu({.threads = 1}).description().find(", 1 thread, "), std::string::npos);
  EXPECT_GE(Device::cpu().threads(), 1);
}

TEST(device, copies_are_the_same_device_and_others_are_not) {
  const Device a = Device::cpu({.threads = 1}), b = a, c = Device::cpu({.threads = 1});
  EXPECT_TRUE(a == b);
  EXPECT_FALSE(a == c);
  EXPECT_TRUE(Stream(a).device() == a);
}

TEST(device, says_what_does_not_fit) {
  EXPECT_EQ(error_message([] { Device::cpu({.threads = -1}); }), "threads: expected 0 (all) or a positive number");
  EXPECT_EQ(error_message([] { Device::cpu({.memory_limit_bytes = -1}); }),
            "memory limit: expected 0 (none) or more bytes");
}

}  // namespace
}  // namespace ptyfuse
