// Signals, sudden death, and going on afterwards.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <random>

#include "io/reconstruction_file.h"
#include "tests/cli/cli_test.h"

namespace ptyfuse::tests {
namespace {

using cli_stopping = CliTest;

bool holds_temporary_file(const std::set<std::string>& names) {
  for (const std::string& name : names)
    if (name.ends_with(".tmp")) return true;
  return false;
}

TEST_F(cli_stopping, training_saves_and_goes_on_bit_for_bit) {
  simulate_scan();
  train("UNDISTURBED", "10");
  for (const int signal : {SIGINT, SIGTERM}) {
    SCOPED_TRACE(signal);
    const std::string run = "RUN" + std::to_string(signal);
    RunningCommand training = start(Arguments{"train", "scan.h5", "-o", run} + tiny_training("10"));
    ASSERT_TRUE(training.wait_for_message("epoch 1/10")) << training.finish().err;
    training.send(signal);
    const CommandResult stopped = training.finish();
    EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
    EXPECT_NE(stopped.err.find("the state is saved, --resume goes on"), std::string::npos) << stopped.err;
    EXPECT_EQ(stopped.out, "");
    EXPECT_FALSE(holds_temporary_file(everything()));
    const io::Checkpoint saved = io::read_checkpoint(folder.file(run + "/model.h5"));
    EXPECT_GE(saved.epoch, 1);
    EXPECT_LT(saved.epoch, 10);
    const CommandResult resumed = run_well({"train", "-o", run, "--resume"});
    EXPECT_NE(resumed.err.find("epoch 10/10"), std::string::npos);
    EXPECT_EQ(resumed.err.find("epoch 1/10"), std::string::npos);
    expect_same_model(run, "UNDISTURBED");
    // An ended run has nothing left to do.
    run_well({"train", "-o", run, "--resume"});
    expect_same_model(run, "UNDISTURBED");
  }
}

TEST_F(cli_stopping, a_terminal_that_goes_stops_it_like_a_signal_unless_it_was_told_to_stay) {
  simulate_scan();
  RunningCommand training = start(Arguments{"train", "scan.h5", "-o", "RUN"} + tiny_training("10"));
  ASSERT_TRUE(training.wait_for_message("epoch 1/10")) << training.finish().err;
  training.send(SIGHUP);
  EXPECT_EQ(training.finish().exit_code, 130);
  EXPECT_LT(io::read_checkpoint(folder.file("RUN/model.h5")).epoch, 10);

  RunningCommand told(
      Arguments{"/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh", PTYFUSE_BINARY, "train", "scan.h5", "-o", "TOLD"} +
          tiny_training("10"),
      folder.path());
  ASSERT_TRUE(told.wait_for_message("epoch 1/10")) << told.finish().err;
  told.send(SIGHUP);
  EXPECT_EQ(told.finish().exit_code, 0);
  EXPECT_EQ(io::read_checkpoint(folder.file("TOLD/model.h5")).epoch, 10);
}

TEST_F(cli_stopping, a_reader_that_goes_stops_nothing) {
  simulate_few();
  // Both streams go to a program that reads one line; the work goes on to its end.
  const Arguments starter{"/bin/bash", "-c", "set -o pipefail; \"$@\" 2>&1 | head -1", "bash"};
  const CommandResult refined =
      run_under(starter, {"refine", "scan.h5", "-o", "R.h5", "--sweeps", "20", "--threads", "1", "--verbose"});
  EXPECT_EQ(refined.exit_code, 0) << refined.err;
  EXPECT_EQ(io::read_reconstruction(folder.file("R.h5")).residual.size(), 21U);
}

TEST_F(cli_stopping, a_killed_run_goes_on_bit_for_bit) {
  simulate_scan();
  const std::string epochs = "16";
  train("UNDISTURBED", epochs);
  std::mt19937 random(20);
  std::uniform_int_distribution<int> wait_ms(20, 400);
  const Arguments fresh = Arguments{"train", "scan.h5", "-o", "RUN"} + tiny_training(epochs);
  for (int kill = 0; kill < 6; ++kill) {
    const bool there = std::filesystem::exists(folder.file("RUN/model.h5"));
    const int64_t before = there ? io::read_checkpoint(folder.file("RUN/model.h5")).step : 0;
    RunningCommand training = start(fresh + (there ? Arguments{"--resume"} : Arguments{}));
    std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms(random)));
    training.send(SIGKILL);
    training.finish();
    if (std::filesystem::exists(folder.file("RUN/model.h5"))) {
      EXPECT_GE(io::read_checkpoint(folder.file("RUN/model.h5")).step, before) << "a whole model at every moment";
    }
  }
  const bool there = std::filesystem::exists(folder.file("RUN/model.h5"));
  if (there) write("RUN/.model.h5.1-0badcafe.tmp", "what a killed run may leave");
  run_well(fresh + (there ? Arguments{"--resume"} : Arguments{}));
  expect_same_model("RUN", "UNDISTURBED");
  EXPECT_FALSE(holds_temporary_file(everything()));

  const std::string history = text("RUN/history.csv");
  EXPECT_EQ(history.rfind("epoch,step,seconds,loss,val_loss,learning_rate,patterns_per_s\n", 0), 0U);
  EXPECT_EQ(std::count(history.begin(), history.end(), '\n'), 17);
}

TEST_F(cli_stopping, a_model_is_whole_whenever_one_looks) {
  simulate_scan();
  RunningCommand training = start(Arguments{"train", "scan.h5", "-o", "RUN"} + tiny_training("12"));
  const std::string model = folder.file("RUN/model.h5");
  ASSERT_TRUE(training.wait_until([&] { return std::filesystem::exists(model); }));
  int64_t looks = 0, last = 0;
  while (training.running()) {
    const int64_t step = io::read_checkpoint(model).step;
    EXPECT_GE(step, last);
    last = step;
    ++looks;
  }
  EXPECT_GT(looks, 3);
  EXPECT_EQ(training.finish().exit_code, 0);
}

TEST_F(cli_stopping, more_epochs_lengthen_a_run_bit_for_bit_unless_its_schedule_is_made_for_their_number) {
  simulate_scan();
  train("UNDISTURBED", "4");
  train("RUN", "2");
  run_well({"train", "-o", "RUN", "--resume", "--epochs", "4"});
  expect_same_model("RUN", "UNDISTURBED");

  run_well(Arguments{"train", "scan.h5", "-o", "COSINE", "--schedule", "cosine"} + tiny_training("2"));
  expect_failure({"train", "-o", "COSINE", "--resume", "--epochs", "4"}, 2,
                 {"--epochs 4: the cosine schedule of the run in COSINE falls over its 2 epochs"});
  run_well({"train", "-o", "COSINE", "--resume", "--epochs", "2"});
}

TEST_F(cli_stopping, a_resumed_run_may_be_asked_again_for_what_was_decided_at_its_start) {
  simulate_scan();
  simulate_scan("other.h5", {"--object-seed", "2"});
  run_well(Arguments{"train", "scan.h5", "-o", "RUN", "--clip", "norm"} + tiny_training("1"));
  run_well({"train", "scan.h5", "-o", "RUN", "--resume", "--pad-object", "auto", "--precision", "auto", "--clip-at",
            "auto", "--N", "0", "--epochs", "2"});
  EXPECT_EQ(io::read_checkpoint(folder.file("RUN/model.h5")).epoch, 2);
  expect_failure({"train", "-o", "RUN", "--resume", "--clip-at", "2"}, 2, {"--clip-at 2", "was started with 1"});
  expect_failure({"train", "other.h5", "-o", "RUN", "--resume", "--epochs", "3"}, 1,
                 {"other.h5: these scans hold other patterns than the run was started on", "start another run"});
}

TEST_F(cli_stopping, a_second_run_in_the_same_folder_is_refused) {
  simulate_scan();
  RunningCommand first =
      start(Arguments{"train", "scan.h5", "-o", "RUN", "--early-stopping", "off"} + tiny_training("1000"));
  ASSERT_TRUE(first.wait_for_message("epoch 1/1000")) << first.finish().err;
  const CommandResult second = run({"train", "-o", "RUN", "--resume"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_NE(second.err.find("RUN: another run is at work in this folder"), std::string::npos) << second.err;
  run_well({"info", "RUN"});
  first.send(SIGINT);
  EXPECT_EQ(first.finish().exit_code, 130);
}

TEST_F(cli_stopping, a_configuration_fed_back_repeats_the_run) {
  simulate_scan();
  run_well(Arguments{"train", "scan.h5", "-o", "RUN", "--seed", "5", "--loss", "mae", "--subsample", "40"} +
           tiny_training("3"));
  run_well({"train", "-o", "AGAIN", "--config", "RUN/config.toml"});
  expect_same_model("RUN", "AGAIN");
  EXPECT_EQ(text("RUN/config.toml"), text("AGAIN/config.toml"));
}

TEST_F(cli_stopping, sweeps_leave_the_object_so_far) {
  simulate_scan();
  train("RUN", "1");
  const struct {
    Arguments arguments;
    const char* message;
  } cases[] = {
      {{"refine", "scan.h5", "-o", "r.h5", "--png", "r.png", "--sweeps", "10000000"}, "of 10000000 sweeps"},
      {{"refine", "scan.h5", "-o", "r.h5", "--png", "r.png", "--sweeps", "10000000", "--update-probe"},
       "and 'refine --start r.h5' goes on"},
      {{"reconstruct", "RUN", "scan.h5", "-o", "r.h5", "--png", "r.png", "--polish", "10000000"},
       "r.h5 holds the polished object, after "},
  };
  for (const auto& c : cases)
    for (const int signal : {SIGTERM, SIGINT}) {
      SCOPED_TRACE(command_line(c.arguments));
      RunningCommand command = start(c.arguments);
      ASSERT_TRUE(command.wait_for_message("sweep 2/")) << command.finish().err;
      command.send(signal);
      const CommandResult result = command.finish();
      EXPECT_EQ(result.exit_code, 130) << result.err;
      EXPECT_NE(result.err.find("ptyfuse: stopped: "), std::string::npos) << result.err;
      EXPECT_NE(result.err.find(c.message), std::string::npos) << result.err;
      EXPECT_EQ(result.out, "");
      EXPECT_FALSE(holds_temporary_file(everything()));
      EXPECT_TRUE(std::filesystem::exists(folder.file("r.png")));
      const io::Reconstruction saved = io::read_reconstruction(folder.file("r.h5"));
      ASSERT_GE(saved.residual.size(), 3U);
      EXPECT_LT(saved.residual.back(), saved.residual.front());
      EXPECT_NE(result.err.find(fmt::format("after {} of 10000000", saved.residual.size() - 1)), std::string::npos)
          << result.err;
      // R of what was written is that of the last whole sweep, or lower by what was done of the next; a start from a
      // file fits its scale to the counts anew, which costs less than 1 %.
      run_well({"refine", "scan.h5", "-o", "again.h5", "--start", "r.h5", "--sweeps", "0", "--force"});
      const double again = io::read_reconstruction(folder.file("again.h5")).residual.at(0);
      EXPECT_LT(again, saved.residual.back() * 1.01);
      std::filesystem::remove(folder.file("r.h5"));
      std::filesystem::remove(folder.file("r.png"));
    }
}

TEST_F(cli_stopping, other_commands_leave_nothing) {
  simulate_scan();
  const auto before = everything();
  struct Case {
    Arguments arguments;
    const char* wait_for;  ///< message; empty: an unfinished file
  };
  const Case cases[] = {
      {{"simulate", "-o", "long.h5", "--scan", "random", "--patterns", "60000", "--size", "256"}, ""},
      {{"simulate", "-o", "long.h5", "--scan", "random", "--patterns", "2000000", "--size", "256"}, "no usable GPU"},
      // minutes of drawing before the file is begun
      {{"simulate", "-o", "long.h5", "--object", "siemens", "--size", "16384", "--scan", "random"}, "no usable GPU"},
  };
  for (const Case& c : cases)
    for (const int signal : {SIGTERM, SIGINT}) {
      SCOPED_TRACE(command_line(c.arguments));
      RunningCommand command = start(c.arguments);
      ASSERT_TRUE(*c.wait_for != '\0' ? command.wait_for_message(c.wait_for) : command.wait_until([&] {
        return holds_temporary_file(everything());
      })) << command.finish().err;
      command.send(signal);
      const CommandResult result = command.finish();
      EXPECT_EQ(result.exit_code, 130) << result.err;
      EXPECT_NE(result.err.find("ptyfuse: stopped: "), std::string::npos) << result.err;
      EXPECT_EQ(result.out, "");
      EXPECT_EQ(everything(), before);
    }
}

}  // namespace
}  // namespace ptyfuse::tests
