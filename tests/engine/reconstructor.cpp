// From a model and a scan to an object: what is left when asked to stop.
#include "engine/reconstructor.h"

#include <gtest/gtest.h>

#include <numeric>

#include "engine/trainer.h"
#include "engine/training_set.h"
#include "tests/support/device.h"
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
