// Several processes on one run folder or one study: one writes, others may read.
#include <nlohmann/json.hpp>

#include "io/reconstruction_file.h"
#include "tests/cli/cli_test.h"

namespace ptyfuse::tests {
namespace {

class cli_side_by_side : public CliTest {
 protected:
  cli_side_by_side() { simulate_few(); }
  static Arguments long_training() {
    return Arguments{"train", "scan.h5", "-o", "RUN", "--early-stopping", "off"} + tiny_training("100000");
  }
};

TEST_F(cli_side_by_side, of_two_trainings_begun_at_once_one_goes_on) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    RunningCommand a = start(long_training()), b = start(long_training());
    ASSERT_TRUE(a.wait_until([&] { return !a.running() || !b.running(); })) << "both go on";
    RunningCommand &winner = a.running() ? a : b, &loser = a.running() ? b : a;
    const CommandResult refused = loser.finish();
    EXPECT_EQ(refused.exit_code, 1) << refused.err;
    expect_one_message(refused, {"RUN: "});
    EXPECT_TRUE(refused.err.find("another run is at work in this folder") != std::string::npos ||
                refused.err.find("holds a training run already") != std::string::npos)
        << refused.err;
    ASSERT_TRUE(winner.wait_for_message("epoch 1/")) << winner.finish().err;
    winner.send(SIGTERM);
    EXPECT_EQ(winner.finish().exit_code, 130);
    EXPECT_GT(io::read_checkpoint(folder.file("RUN/model.h5")).step, 0);
    std::filesystem::remove_all(folder.file("RUN"));
  }
}

TEST_F(cli_side_by_side, a_killed_trainings_folder_is_free_at_once) {
  RunningCommand first = start(long_training());
  ASSERT_TRUE(first.wait_for_message("epoch 1/")) << first.finish().err;
  const CommandResult refused = run({"train", "-o", "RUN", "--resume"});  // the first goes on writing meanwhile
  EXPECT_EQ(refused.exit_code, 1);
  expect_one_message(refused, {"RUN: another run is at work in this folder"});
  first.send(SIGKILL);
  first.finish();
  RunningCommand second = start({"train", "-o", "RUN", "--resume"});
  ASSERT_TRUE(second.wait_for_message("epoch ")) << second.finish().err;
  second.send(SIGINT);
  EXPECT_EQ(second.finish().exit_code, 130);
}

TEST_F(cli_side_by_side, a_run_is_used_while_it_is_trained) {
  RunningCommand training = start(long_training());
  ASSERT_TRUE(training.wait_for_message("epoch 1/")) << training.finish().err;
  int64_t steps = 0;
  for (int look = 0; look < 6; ++look) {
    const auto facts = nlohmann::json::parse(run_well({"info", "RUN", "--json"}).out);
    EXPECT_GE(facts["steps"].get<int64_t>(), steps);
    steps = facts["steps"];
    run_well({"info", "RUN/best.h5"});
    run_well({"reconstruct", "RUN", "scan.h5", "-o", "r.h5", "--force", "--threads", "1"});
    EXPECT_EQ(io::read_reconstruction(folder.file("r.h5")).pattern_count, 20);
  }
  EXPECT_TRUE(training.running()) << training.finish().err;
  training.send(SIGTERM);
  EXPECT_EQ(training.finish().exit_code, 130);
  EXPECT_GT(io::read_checkpoint(folder.file("RUN/model.h5")).step, steps);
}

TEST_F(cli_side_by_side, of_two_studies_in_one_folder_one_goes_on) {
  const Arguments study{"study",    "sparse", "-o",       "STUDY",  "--scan",          "scan.h5",
                        "--sweeps", "1",      "--epochs", "100000", "--filters-scale", "0.25"};
  RunningCommand first = start(study);
  ASSERT_TRUE(first.wait_until([&] { return std::filesystem::exists(folder.file("STUDY/data")); }))
      << first.finish().err;
  const CommandResult second = run(study);
  EXPECT_EQ(second.exit_code, 1);
  expect_one_message(second, {"STUDY: another run is at work in this folder"});
  first.send(SIGTERM);
  EXPECT_EQ(first.finish().exit_code, 130);
}

}  // namespace
}  // namespace ptyfuse::tests
