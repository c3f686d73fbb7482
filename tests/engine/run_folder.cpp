// A run's folder keeps its last and its best checkpoint, and says of damage to one what the other holds.
#include "engine/run_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "io/file_error.h"
#include "tests/support/device.h"
#include "tests/support/scans.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse {
namespace {

namespace fs = std::filesystem;

TrainConfig small_config(int64_t epochs) {
  TrainConfig c;
  c.gridsize = 1;
  c.filters_scale = 0.25;
  c.batch = 2;
  c.epochs = epochs;
  c.validation = 0.3;
  c.learning_rate = 0.02;  // so rough that the best epoch is not always the last
  c.early_stopping = false;
  return c;
}

Trainer small_trainer(const TrainConfig& config) {
  return Trainer(tests::test_device(), config, tests::small_scan(9, 64, 1), {});
}

std::string message_of(const std::string& model) {
  try {
    read_model(model);
  } catch (const io::FileError& e) {
    return e.what();
  }
  return "";
}

void damage(const std::string& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(0, std::ios::end);
  const auto middle = static_cast<std::streamoff>(file.tellg() / 2);
  file.seekg(middle);
  const auto byte = static_cast<char>(file.get() ^ 4);
  file.seekp(middle);
  file.put(byte);
}

TEST(run_folder, best_is_the_saved_epoch_of_lowest_validation_loss) {
  for (const int64_t every : {1, 2}) {
    const tests::TemporaryFolder folder;
    TrainConfig config = small_config(6);
    config.checkpoint_every = every;
    Trainer trainer = small_trainer(config);
    RunFolder run(folder.file("RUN"), false);
    run.write_config(trainer, "");
    EXPECT_FALSE(run.holds_checkpoint());
    EXPECT_EQ(best_epoch(run.path()), std::nullopt);
    int64_t best = 0;
    double lowest = 0;
    bool fell_behind = false;
    trainer.run([&](const Trainer& t) {
      run.save(t);
      EXPECT_TRUE(run.holds_checkpoint());
      if (t.history().empty()) return;
      const HistoryRow& row = t.history().back();
      if (best == 0 || row.val_loss < lowest) best = row.epoch, lowest = row.val_loss;
      fell_behind = fell_behind || best != row.epoch;
      EXPECT_EQ(best_epoch(run.path()), best);
      EXPECT_EQ(read_model(run.path()).epoch, row.epoch);
      EXPECT_EQ(read_model(run.path() + "/best.h5").epoch, best);
    });
    EXPECT_TRUE(fell_behind) << "the best epoch was always the last: nothing was told apart";
  }
}

TEST(run_folder, a_stop_within_an_epoch_leaves_the_best_alone) {
  const tests::TemporaryFolder folder;
  Trainer trainer = small_trainer(small_config(6));
  RunFolder run(folder.file("RUN"), false);
  run.write_config(trainer, "");
  while (trainer.history().empty()) trainer.step();
  run.save(trainer);
  fs::remove(run.path() + "/best.h5");
  trainer.step();
  run.save(trainer);
  EXPECT_EQ(best_epoch(run.path()), std::nullopt);
}

TEST(run_folder, damage_to_one_checkpoint_names_the_other) {
  const tests::TemporaryFolder folder;
  Trainer trainer = small_trainer(small_config(1));
  const std::string path = folder.file("RUN"), model = path + "/model.h5", best = path + "/best.h5";
  {
    RunFolder run(path, false);
    run.write_config(trainer, "");
    trainer.run([&](const Trainer& t) { run.save(t); });
  }
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in\n" << text;
  };
  damage(model);
  for (const std::string& named : {path, model}) {
    const std::string said = message_of(named);
    EXPECT_EQ(said.rfind(model + ": ", 0), 0U) << said;
    has(said, "use another checkpoint");
    has(said, best + " is whole, after epoch 1: 'ptyfuse reconstruct " + best + "' takes it");
    has(said, "after 'cp " + best + " " + model + "' --resume goes on from there");
  }
  EXPECT_EQ(read_model(best).epoch, 1);
  fs::remove(model);
  has(message_of(path), "no such file");
  has(message_of(path), best + " is whole");
  EXPECT_THROW(RunFolder(path, false), io::FileError);
  fs::copy_file(best, model);
  damage(best);
  has(message_of(best), model + " is whole, after epoch 1");
  EXPECT_EQ(message_of(best).find("cp "), std::string::npos);
  damage(model);
  has(message_of(path), "no other checkpoint that is whole lies beside it");
}

}  // namespace
}  // namespace ptyfuse
