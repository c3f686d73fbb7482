#include "engine/loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <numeric>
#include <thread>

#include "engine/random.h"
#include "io/file_error.h"
#include "kernels/device/error.h"
#include "tests/support/compare.h"

namespace ptyfuse {
namespace {

using Batches = std::vector<std::vector<int64_t>>;

// What a reader was asked for; outlives it.
struct ReaderLog {
  std::mutex mutex;
  std::vector<std::pair<int64_t, int64_t>> calls;  // first, count
  std::atomic<int> inside{0};
  std::atomic<bool> two_at_once{false};
  int64_t frames_read() {
    std::lock_guard lock(mutex);
    int64_t n = 0;
    for (const auto& call : calls) n += call.second;
    return n;
  }
};

float value(int64_t frame, int64_t pixel) {
  return static_cast<float>(frame * 100 + pixel);
}

class CountingReader : public io::ScanReader {
 public:
  CountingReader(int64_t frames, int64_t side, ReaderLog& log, int64_t bad_frame = -1) : log_(log), bad_(bad_frame) {
    info_.frames = frames;
    info_.side_px = side;
    info_.positions_px.resize(static_cast<size_t>(frames));
  }
  const io::ScanInfo& info() const override { return info_; }
  void read_amplitude(int64_t first, int64_t count, std::span<float> out) override {
    if (log_.inside.fetch_add(1) != 0) log_.two_at_once = true;
    {
      std::lock_guard lock(log_.mutex);
      log_.calls.emplace_back(first, count);
    }
    const int64_t pixels = info_.side_px * info_.side_px;
    EXPECT_EQ(static_cast<int64_t>(out.size()), count * pixels);
    EXPECT_TRUE(first >= 0 && first + count <= info_.frames);
    for (int64_t f = 0; f < count; ++f)
      for (int64_t p = 0; p < pixels; ++p) out[static_cast<size_t>(f * pixels + p)] = value(first + f, p);
    log_.inside.fetch_sub(1);
    if (bad_ >= first && bad_ < first + count) throw io::FileError("scan.h5", "diffraction", "frame is broken");
  }

 private:
  io::ScanInfo info_;
  ReaderLog& log_;
  int64_t bad_;
};

std::vector<int64_t> all_frames(int64_t count) {
  std::vector<int64_t> out(static_cast<size_t>(count));
  std::iota(out.begin(), out.end(), int64_t{0});
  return out;
}

Batches shuffled(int64_t frames, int64_t batch, uint64_t seed) {
  Batches out;
  for (int64_t f : Random(seed).permutation(frames)) {
    if (out.empty() || static_cast<int64_t>(out.back().size()) == batch) out.emplace_back();
    out.back().push_back(f);
  }
  return out;
}

void expect_served(Loader& loader, const Batches& batches) {
  const int64_t pixels = loader.info().side_px * loader.info().side_px;
  for (const auto& batch : batches) {
    const auto got = loader.next();
    ASSERT_EQ(static_cast<int64_t>(got.size()), static_cast<int64_t>(batch.size()) * pixels);
    for (size_t i = 0; i < batch.size(); ++i)
      for (int64_t p = 0; p < pixels; ++p)
        ASSERT_EQ(got[i * static_cast<size_t>(pixels) + static_cast<size_t>(p)], value(batch[i], p));
  }
  EXPECT_THROW(loader.next(), Error);
}

struct Case {
  const char* name;
  int64_t frames, side, batch;
  int64_t memory_frames;  // host memory, in frames
  bool read_ahead;
  bool resident;
};

TEST(loader, serves_any_order_within_its_memory) {
  const Case cases[] = {
      {"all fits", 40, 4, 7, 80, true, true},
      {"half fits", 40, 4, 7, 79, true, false},
      {"little fits", 300, 3, 8, 60, true, false},
      {"no room to read ahead", 60, 4, 8, 17, true, false},
      {"three batches", 60, 4, 8, 24, true, false},
      {"without a thread", 300, 3, 8, 60, false, false},
      {"one frame at a time", 20, 5, 1, 3, true, false},
      {"one pixel", 500, 1, 16, 200, true, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    ReaderLog log;
    const int64_t frame_bytes = c.side * c.side * 4, memory = c.memory_frames * frame_bytes;
    Loader loader(std::make_unique<CountingReader>(c.frames, c.side, log), all_frames(c.frames),
                  {.host_memory_bytes = memory, .read_ahead = c.read_ahead});
    EXPECT_EQ(loader.resident(), c.resident);
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      const Batches batches = shuffled(c.frames, c.batch, epoch);
      loader.start(batches);
      expect_served(loader, batches);
    }
    EXPECT_LE(loader.held_bytes(), memory);
    EXPECT_GE(loader.held_bytes(), c.batch * frame_bytes);
    EXPECT_EQ(log.frames_read(), c.resident ? c.frames : 3 * c.frames);
    EXPECT_FALSE(log.two_at_once);
  }
}

TEST(loader, reads_a_block_of_overlapping_groups_once) {
  // Every frame is in four groups; blocks hold 30 frames, so most repeats meet within one.
  ReaderLog log;
  Batches batches;
  for (int64_t f = 0; f + 4 <= 100; ++f) batches.push_back({f + 3, f, f + 1, f + 2});
  Loader loader(std::make_unique<CountingReader>(100, 4, log), all_frames(100), {.host_memory_bytes = 128 * 64});
  ASSERT_FALSE(loader.resident());
  loader.start(batches);
  expect_served(loader, batches);
  EXPECT_LE(loader.held_bytes(), 128 * 64);
  EXPECT_LT(log.frames_read(), 150);
  EXPECT_LT(log.calls.size(), 20u);  // runs, not single frames
}

TEST(loader, reads_only_the_frames_chosen) {
  for (int64_t memory : {int64_t{1} << 20, int64_t{20 * 64}}) {
    ReaderLog log;
    std::vector<int64_t> chosen;
    for (int64_t f = 5; f < 90; f += 3) chosen.push_back(f);
    Loader loader(std::make_unique<CountingReader>(100, 4, log), chosen, {.host_memory_bytes = memory});
    EXPECT_EQ(loader.frames(), chosen);
    const Batches batches{{5, 8, 11}, {89, 5}, {}, {50, 47, 44}, {5, 5, 5}};
    loader.start(batches);
    expect_served(loader, batches);
    for (const auto& [first, count] : log.calls) {
      EXPECT_EQ(count, 1);
      EXPECT_EQ((first - 5) % 3, 0);
    }
    EXPECT_THROW(loader.start({{6}}), Error);
    EXPECT_THROW(loader.start({{100}}), Error);
    EXPECT_THROW(loader.start({{-1}}), Error);
  }
}

TEST(loader, a_walk_can_be_abandoned) {
  ReaderLog log;
  Loader loader(std::make_unique<CountingReader>(200, 4, log), all_frames(200), {.host_memory_bytes = 60 * 64});
  for (uint64_t i = 0; i < 20; ++i) {
    loader.start(shuffled(200, 5, i));
    for (uint64_t n = 0; n < i % 4; ++n) loader.next();
    if (i % 7 == 3) loader.statistics(all_frames(10));
  }
  const Batches batches = shuffled(200, 5, 99);
  loader.start(batches);
  expect_served(loader, batches);
  loader.start(batches);
  EXPECT_FALSE(log.two_at_once);
}

TEST(loader, passes_on_what_the_reader_throws) {
  for (bool ahead : {true, false}) {
    ReaderLog log;
    Loader loader(std::make_unique<CountingReader>(100, 4, log, 50), all_frames(100),
                  {.host_memory_bytes = 40 * 64, .read_ahead = ahead});
    Batches batches;
    for (int64_t f = 0; f < 100; f += 2) batches.push_back({f, f + 1});
    loader.start(batches);
    int64_t served = 0;
    try {
      for (;; ++served) loader.next();
    } catch (const io::FileError& e) {
      EXPECT_NE(std::string(e.what()).find("broken"), std::string::npos);
    }
    EXPECT_LE(served, 25);
    EXPECT_THROW(loader.next(), io::FileError);
    loader.start({{1, 2}});  // usable again
    expect_served(loader, {{1, 2}});
  }
  ReaderLog log;
  EXPECT_THROW(Loader(std::make_unique<CountingReader>(10, 4, log, 5), all_frames(10), {}), io::FileError);
}

TEST(loader, refuses_a_batch_that_memory_cannot_hold) {
  ReaderLog log;
  Loader loader(std::make_unique<CountingReader>(100, 4, log), all_frames(100), {.host_memory_bytes = 15 * 64});
  try {
    loader.start(shuffled(100, 8, 1));
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::memory);
    EXPECT_NE(std::string(e.what()).find("--host-memory"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("--batch"), std::string::npos);
  }
}

TEST(loader, zero_is_no_limit_of_memory) {
  ReaderLog log;
  Loader loader(std::make_unique<CountingReader>(100, 4, log), all_frames(100), {.host_memory_bytes = 0});
  EXPECT_TRUE(loader.resident());
  loader.start({{1, 2}});
  expect_served(loader, {{1, 2}});
}

TEST(loader, refuses_frames_that_do_not_ascend_or_exist) {
  ReaderLog log;
  for (const std::vector<int64_t>& frames : {std::vector<int64_t>{1, 1}, {2, 1}, {-1}, {10}})
    EXPECT_THROW(Loader(std::make_unique<CountingReader>(10, 4, log), frames, {}), Error);
  Loader none(std::make_unique<CountingReader>(10, 4, log), {}, {});
  EXPECT_THROW(none.next(), Error);
}

TEST(loader, statistics_are_those_of_the_frames_given) {
  const std::vector<int64_t> chosen{0, 3, 4, 5, 9};
  const std::vector<int64_t> asked{9, 3, 4, 3, 0};
  double power = 0;
  std::vector<double> mean(9, 0.0);
  for (int64_t f : asked)
    for (int64_t p = 0; p < 9; ++p) {
      power += static_cast<double>(value(f, p)) * value(f, p);
      mean[static_cast<size_t>(p)] += value(f, p) / 5.0;
    }
  for (int64_t memory : {int64_t{1} << 20, int64_t{4 * 36}}) {
    ReaderLog log;
    Loader loader(std::make_unique<CountingReader>(10, 3, log), chosen, {.host_memory_bytes = memory});
    const auto statistics = loader.statistics(asked);
    EXPECT_WITHIN(std::abs(statistics.sum_of_squares / power - 1), 1e-14);
    for (size_t p = 0; p < 9; ++p) EXPECT_WITHIN(std::abs(statistics.mean_amplitude[p] - mean[p]), 1e-9);
    EXPECT_EQ(statistics.all_zero_frames, 0);
    EXPECT_LE(loader.held_bytes(), memory);
    EXPECT_THROW(loader.statistics(std::vector<int64_t>{1}), Error);
  }
  ReaderLog log;
  Loader zero(std::make_unique<CountingReader>(3, 1, log), all_frames(3), {});
  EXPECT_EQ(zero.statistics(std::vector<int64_t>{0, 1, 0}).all_zero_frames, 1);  // value(0, 0) is 0
}

}  // namespace
}  // namespace ptyfuse
