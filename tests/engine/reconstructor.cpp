// From a model and a scan to an object: what is left when asked to stop.
#include "engine/reconstructor.h"

#include <gtest/gtest.h>

#include <numeric>

#include "engine/trainer.h"
#include "engine/training_set.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"
#include "tests/support/scans.h"

namespace ptyfuse {
namespace {

io::Checkpoint untrained_model(int64_t gridsize = 1) {
  TrainConfig c;
  c.gridsize = gridsize;
  c.filters_scale = 0.25;
  return Trainer(tests::test_device(), c, tests::small_scan(9, 64, 1), {}).checkpoint();
}

const auto open_scan = [] { return tests::small_scan(9, 64, 1); };

// Which region is compared with a true object follows from these positions.
TEST(reconstructor, places_patches_at_the_groups_centres_and_refined_ones_at_frames) {
  const io::Checkpoint model = untrained_model(2);
  const io::ScanInfo info = open_scan()->info();
  std::vector<int64_t> frames(static_cast<size_t>(info.frames));
  std::iota(frames.begin(), frames.end(), 0);
  GroupingConfig grouping;
  grouping.members = 4;
  const std::vector<PositionPx> centres = make_scan_groups(info, frames, grouping).centre_px;
  ReconstructConfig config;
  const io::Reconstruction network = Reconstructor(tests::test_device(), model, config).run(open_scan, {});
  EXPECT_EQ(network.positions_px, centres);
  EXPECT_NE(network.positions_px, info.positions_px);
  EXPECT_EQ(network.pattern_count, info.frames);
  config.polish_sweeps = 1;
  EXPECT_EQ(Reconstructor(tests::test_device(), model, config).run(open_scan, {}).positions_px, info.positions_px);
}

TEST(reconstructor, gives_what_it_has_when_asked_to_stop_in_the_polish) {
  const io::Checkpoint model = untrained_model();
  const io::Reconstruction network = Reconstructor(tests::test_device(), model, {}).run(open_scan, {});
  ASSERT_EQ(network.residual.size(), 1U);
  for (const size_t sweeps : {0, 2}) {
    SCOPED_TRACE(sweeps);
    bool network_done = false;
    size_t swept = 0;
    RunControl control;
    control.progress = [&](const ProgressEvent& event) {
      network_done = event.task == "refine" || event.done == event.total;
      swept += event.task == "refine" ? 1 : 0;
    };
    control.cancelled = [&] { return network_done && swept == sweeps; };
    ReconstructConfig config;
    config.polish_sweeps = 5;
    const io::Reconstruction stopped = Reconstructor(tests::test_device(), model, config).run(open_scan, control);
    ASSERT_EQ(stopped.residual.size(), sweeps + 1);
    if (sweeps > 0) {  // asked at the end of a sweep: the same as if no more had been wanted
      config.polish_sweeps = static_cast<int64_t>(sweeps);
      const io::Reconstruction whole = Reconstructor(tests::test_device(), model, config).run(open_scan, {});
      EXPECT_EQ(stopped.object.data, whole.object.data);
      EXPECT_EQ(stopped.weight, whole.weight);
      EXPECT_EQ(stopped.residual, whole.residual);
    }
    EXPECT_EQ(stopped.residual[0], network.residual[0]);
    EXPECT_EQ(stopped.object.data == network.object.data, sweeps == 0);
    EXPECT_EQ(stopped.weight == network.weight, sweeps == 0);
  }
}

TEST(reconstructor, refuses_what_cannot_be_polished_before_any_work) {
  io::ScanInfo info = open_scan()->info();
  info.object_index.assign(static_cast<size_t>(info.frames), 0);
  info.object_index.back() = 1;
  std::vector<float> amplitude(static_cast<size_t>(info.frames * 64 * 64), 1.0F);
  RunControl control;
  bool worked = false;
  control.progress = [&](const ProgressEvent&) { worked = true; };
  ReconstructConfig config;
  config.polish_sweeps = 1;
  try {
    Reconstructor(tests::test_device(), untrained_model(), config)
        .run([&] { return io::scan_from_memory(info, amplitude); }, control);
    ADD_FAILURE() << "polished two images";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("one image, this one has 2"), std::string::npos) << e.what();
  }
  EXPECT_FALSE(worked);
}

/// Bytes of "--device-memory 96KiB".
int64_t bytes_behind(const std::string& text, const std::string& words) {
  const size_t at = text.find(words);
  return at == std::string::npos ? -1 : parse_bytes("device-memory", text.substr(at + words.size()));
}

// On the CPU, whose account is that of any device.
TEST(reconstructor, shrinks_batch_and_canvas_to_the_devices_memory_and_gives_the_same_object) {
  for (const int64_t gridsize : {1, 2}) {
    SCOPED_TRACE(gridsize);
    const io::Checkpoint model = untrained_model(gridsize);
    ReconstructConfig config;
    config.batch = 8;
    config.report_residual = false;
    const auto run = [&](const Device& device, const RunControl& control) {
      return Reconstructor(device, model, config).run(open_scan, control);
    };
    const auto limited = [](int64_t bytes) { return Device::cpu({.threads = 2, .memory_limit_bytes = bytes}); };
    const Device unlimited = limited(0);
    const io::Reconstruction expected = run(unlimited, {});
    const int64_t all = unlimited.memory_peak_bytes();

    const std::string refused = tests::error_message([&] { run(limited(1 << 20), {}); });
    const int64_t least = bytes_behind(refused, "The least that works is --device-memory ");
    ASSERT_GT(least, 1 << 20) << refused;
    ASSERT_LT(least, all / 2);
    EXPECT_NE(refused.find("buffer '"), std::string::npos) << refused;
    EXPECT_EQ(refused.find("use a smaller batch"), std::string::npos) << refused;
    // It is rounded up to whole KiB.
    EXPECT_EQ(bytes_behind(tests::error_message([&] { run(limited(least - 1024), {}); }), "--device-memory "), least);

    for (const int64_t limit : {least, (least + all) / 2, all}) {
      SCOPED_TRACE(limit);
      const Device device = limited(limit);
      std::string notices;
      RunControl control;
      control.notice = [&](const std::string& line) { notices += line + "\n"; };
      const io::Reconstruction found = run(device, control);
      EXPECT_EQ(found.object.data, expected.object.data);
      EXPECT_EQ(found.weight, expected.weight);
      EXPECT_EQ(found.origin_px, expected.origin_px);
      EXPECT_LE(device.memory_peak_bytes(), limit);
      EXPECT_EQ(notices.find("holds batches of") != std::string::npos, limit < all) << notices;
      EXPECT_EQ(notices.find("rows at a time") != std::string::npos, limit == least) << notices;
    }
  }
}

TEST(reconstructor, leaves_r_out_where_the_object_does_not_fit) {
  const io::Checkpoint model = untrained_model();
  ReconstructConfig config;
  config.report_residual = false;
  const std::string refused = tests::error_message([&] {
    Reconstructor(Device::cpu({.threads = 2, .memory_limit_bytes = 1 << 20}), model, config).run(open_scan, {});
  });
  const int64_t least = bytes_behind(refused, "The least that works is --device-memory ");
  ASSERT_GT(least, 0) << refused;
  config.report_residual = true;
  const Device device = Device::cpu({.threads = 2, .memory_limit_bytes = least});
  io::ScanInfo info = open_scan()->info();
  std::string notices;
  RunControl control;
  control.notice = [&](const std::string& line) { notices += line; };
  const io::Reconstruction found = Reconstructor(device, model, config).run(open_scan, control);
  EXPECT_FALSE(found.object.empty());
  EXPECT_EQ(found.residual.empty(), notices.find("R is left out: ") != std::string::npos) << notices;
}

// Also a scan that fails, or is of another size, on the way.
TEST(reconstructor, gives_one_scan_after_another_the_bits_of_each_alone) {
  const io::Checkpoint model = untrained_model();
  ReconstructConfig config;
  config.batch = 8;
  const Device device = tests::test_device();
  const auto scan_of = [](int64_t frames, uint64_t seed, double step_px) {
    return [=] { return tests::small_scan(frames, 64, seed, step_px); };
  };
  const auto other_probe = [] {
    const std::unique_ptr<io::ScanReader> scan = tests::small_scan(9, 64, 1);
    io::ScanInfo info = scan->info();
    for (auto& p : info.probe.data) p *= 2.0F;
    std::vector<float> amplitude(static_cast<size_t>(9 * 64 * 64));
    scan->read_amplitude(0, 9, amplitude);
    return io::scan_from_memory(std::move(info), std::move(amplitude));
  };
  const std::function<std::unique_ptr<io::ScanReader>()> scans[] = {scan_of(9, 1, 3), scan_of(20, 2, 5),
                                                                    scan_of(5, 3, 2), other_probe, scan_of(9, 1, 3)};
  Reconstructor several(device, model, config);
  std::vector<int64_t> memory;
  for (const auto& scan : scans) {
    SCOPED_TRACE(memory.size());
    const io::Reconstruction found = several.run(scan, {});
    memory.push_back(device.memory_in_use_bytes());
    const io::Reconstruction alone = Reconstructor(device, model, config).run(scan, {});
    EXPECT_EQ(found.object.data, alone.object.data);
    EXPECT_EQ(found.weight, alone.weight);
    EXPECT_EQ(found.probe.data, alone.probe.data);
    EXPECT_EQ(found.residual, alone.residual);

    EXPECT_NE(tests::error_message([&] {
                several.run([] { return tests::small_scan(4, 128, 1); }, {});
              }).find("patterns of 128 pixels, but the model was trained on 64"),
              std::string::npos);
    RunControl stop;
    stop.cancelled = [] { return true; };
    EXPECT_THROW(several.run(scan, stop), Error);
  }
  EXPECT_EQ(memory.back(), memory.front());
}

TEST(reconstructor, stops_before_the_polish_without_a_result) {
  RunControl control;
  control.cancelled = [] { return true; };
  try {
    Reconstructor(tests::test_device(), untrained_model(), {}).run(open_scan, control);
    ADD_FAILURE() << "not stopped";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::cancelled);
    EXPECT_STREQ(e.what(), "reconstruction stopped; nothing was written");
  }
}

}  // namespace
}  // namespace ptyfuse
