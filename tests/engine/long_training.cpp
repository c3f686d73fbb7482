// Training goes on and on: memory and file handles stay as they are, and the loss a number over doses and probe scales.
// tests/long_training does the same for 10,000 steps and more settings.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "engine/simulator.h"
#include "engine/trainer.h"
#include "tests/support/device.h"
#include "tests/support/scans.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse {
namespace {

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t whole = 0, resident = 0;
  file >> whole >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t open_files() {
  int64_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

TEST(long_training, memory_and_open_files_stay_as_they_are) {
  TrainConfig c;
  c.gridsize = 1;
  c.filters_scale = 0.25;
  c.batch = 1;
  c.validation = 0;
  c.epochs = 40;
  c.early_stopping = false;
  const Device device = tests::test_device();
  struct Use {
    int64_t resident, files, device;
  };
  std::vector<Use> after_epoch;
  Trainer trainer(device, c, tests::small_scan(16, 64, 1), {});
  trainer.run([&](const Trainer&) {
    after_epoch.push_back({resident_bytes(), open_files(), device.memory_in_use_bytes()});
  });
  ASSERT_GE(after_epoch.size(), 40U);
  const Use& early = after_epoch[10];
  const Use& late = after_epoch.back();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their own memory grows
  EXPECT_LT(late.resident - early.resident, int64_t{4} << 20);
#endif
  EXPECT_EQ(late.files, early.files);
  EXPECT_EQ(late.device, early.device);
}

TEST(long_training, losses_are_numbers_over_probe_scales_and_doses) {
  const tests::TemporaryFolder folder;
  int trained = 0;
  for (const double probe_scale : {2.0, 10.0})
    for (const double photons : {1e2, 1e9}) {
      SimulateConfig s;
      s.object = ObjectKind::grf;
      s.size_px = 160;
      s.scan = ScanKind::random;
      s.patterns = 12;
      s.probe_scale = probe_scale;
      s.photons = photons;
      const std::string file = folder.file(fmt::format("{}-{}.h5", probe_scale, photons));
      simulate(tests::test_device(), s, file, false, {});
      for (const int64_t gridsize : {1, 2})
        for (const bool mae : {false, true})
          for (const double assumed : {0.0, probe_scale}) {
            TrainConfig c;
            c.gridsize = gridsize;
            c.nll_weight = mae ? 0 : 1;
            c.mae_weight = mae ? 1 : 0;
            c.probe_scale = assumed;
            c.filters_scale = 0.25;
            c.batch = 2;
            c.epochs = 2;
            c.validation = 0.2;
            Trainer trainer(tests::test_device(), c, io::open_scan(file), {});
            trainer.run([](const Trainer&) {});
            ASSERT_EQ(trainer.history().size(), 2U);
            for (const HistoryRow& row : trainer.history())
              EXPECT_TRUE(std::isfinite(row.loss) && std::isfinite(row.val_loss))
                  << "probe scale " << probe_scale << " (told " << assumed << "), " << photons << " photons, gridsize "
                  << gridsize << (mae ? ", MAE" : ", NLL");
            ++trained;
          }
    }
  EXPECT_EQ(trained, 32);
}

}  // namespace
}  // namespace ptyfuse
