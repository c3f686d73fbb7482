// Disks that are full, fail or cannot be written, files that go or are locked, memory that is not there: one clear
// message, outputs whole or absent, the last good checkpoint whole, and the run goes on bit for bit afterwards.
#include <sys/file.h>

#include <limits>

#include "tests/cli/faults.h"

namespace ptyfuse::tests {
namespace {

using cli_faults = FaultTest;

const std::string no_space = "No space left on device", disk_error = "Input/output error",
                  read_only = "Read-only file system";

/// A scan and a training run small enough to be done a score of times: four epochs of three steps.
class cli_faults_in_training : public FaultTest {
 protected:
  cli_faults_in_training() {
    simulate_few();
    run_well(training("UNDISTURBED"));
  }
  static Arguments training(const std::string& run) {
    return Arguments{"train", "scan.h5", "-o", run, "--early-stopping", "off"} + tiny_training("4");
  }
  /// What is left of a run that ended early is whole, and the run goes on from there to the same end. Its step.
  int64_t expect_goes_on(const std::string& run) const {
    int64_t step = -1;
    const bool saved = std::filesystem::exists(folder.file(run + "/model.h5"));
    if (saved) step = io::read_checkpoint(folder.file(run + "/model.h5")).step;
    run_well(training(run) + (saved ? Arguments{"--resume"} : Arguments{}));
    expect_same_model(run, "UNDISTURBED");
    expect_same_model(run, "UNDISTURBED", "/best.h5");
    EXPECT_FALSE(holds_temporary_file());
    std::filesystem::remove_all(folder.file(run));
    return step;
  }
};

TEST_F(cli_faults_in_training, a_disk_that_fails_ends_it_with_the_last_checkpoint_whole) {
  const int64_t writes = count(calls_on("model.h5", training("COUNTED")), "write");
  ASSERT_GT(writes, 50) << "five checkpoints of many datasets";
  const std::string model = "RUN/model.h5: ";
  const struct {
    Fault fault;
    std::vector<std::string> message;
  } cases[] = {
      {{"write", "model.h5", 1, "ENOSPC"}, {model, no_space}},
      {{"write", "model.h5", writes / 2, "ENOSPC"}, {model, no_space}},
      {{"write", "model.h5", writes, "ENOSPC"}, {model, no_space}},
      {{"write", "model.h5", writes / 3, "EIO", 1}, {model, disk_error}},
      {{"write", "model.h5", 2 * writes / 3, "EIO", 1}, {model, disk_error}},
      {{"sync", "model.h5", 3, "EIO"}, {model + "cannot be written to disk", disk_error}},
      {{"rename", "model.h5", 3, "EIO"}, {model + "cannot be put in place", disk_error}},
      {{"open", ".model.h5.", 3, "ENOSPC"}, {model, no_space}},
      {{"open", ".model.h5.", 9, "EROFS"}, {model, read_only}},
      {{"write", "best.h5", writes / 10, "ENOSPC"}, {"RUN/best.h5: ", no_space}},
      {{"write", "history.csv", 2, "ENOSPC"}, {"RUN/history.csv: ", no_space}},
      {{"write", "history.png", 2, "ENOSPC"}, {"RUN/history.png: ", no_space}},
      {{"write", "config.toml", 1, "ENOSPC"}, {"RUN/config.toml: ", no_space}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message() << c.fault);
    const CommandResult result = run_under(with(c.fault), training("RUN"));
    EXPECT_EQ(result.exit_code, 1) << result.err;
    expect_one_message(result, c.message);
    EXPECT_FALSE(holds_temporary_file());
    EXPECT_LT(expect_goes_on("RUN"), 12);
  }
  // A log that cannot be written ends no run.
  std::filesystem::create_directory(folder.file("RUN"));
  std::filesystem::create_symlink("/dev/full", folder.file("RUN/log.txt"));
  run_well(training("RUN"));
  expect_same_model("RUN", "UNDISTURBED");
}

TEST_F(cli_faults_in_training, killed_at_any_call_that_writes_a_checkpoint_it_goes_on_bit_for_bit) {
  const int64_t writes = count(calls_on("model.h5", training("COUNTED")), "write");
  const Fault faults[] = {
      {"open", ".model.h5.", 1, "KILL"}, {"write", "model.h5", writes / 2, "KILL"}, {"sync", "model.h5", 2, "KILL"},
      {"rename", "model.h5", 1, "KILL"}, {"rename", "model.h5", 4, "KILL"},         {"rename", "best.h5", 1, "KILL"},
      {"sync", "best.h5", 2, "KILL"},    {"rename", "history.csv", 3, "KILL"},
  };
  for (const Fault& fault : faults) {
    SCOPED_TRACE(testing::Message() << fault);
    EXPECT_EQ(run_under(with(fault), training("RUN")).signal, SIGKILL);
    expect_goes_on("RUN");
  }
}

// After a power cut only what was synced is there: the file before its name points to it, then the folder.
TEST_F(cli_faults_in_training, a_checkpoint_is_on_the_disk_before_its_name_is) {
  const std::vector<std::string> calls = calls_on("RUN", training("RUN"));
  int renames = 0;
  for (size_t i = 1; i + 2 < calls.size(); ++i) {
    if (!calls[i].starts_with("rename ")) continue;
    ++renames;
    const std::string name = std::filesystem::path(calls[i]).filename().string();
    EXPECT_TRUE(calls[i - 1].starts_with("sync ") && calls[i - 1].find("/." + name + ".") != std::string::npos)
        << calls[i - 1];
    EXPECT_TRUE(calls[i + 1].starts_with("open ") && calls[i + 2].starts_with("sync ") &&
                calls[i + 2].ends_with("/RUN"))
        << calls[i + 1] << "; " << calls[i + 2];
  }
  EXPECT_GE(renames, 16) << "five models and histories, four pictures, one configuration, the best";
}

TEST_F(cli_faults_in_training, a_checkpoint_that_cannot_be_read_is_not_begun_anew) {
  run_well(training("RUN"));
  for (const Fault& fault : {Fault{"open", "RUN/model.h5", 1, "EACCES"}, Fault{"read", "RUN/model.h5", 1, "EIO"}})
    expect_failure_under(with(fault), {"train", "-o", "RUN", "--resume"}, 1,
                         {"RUN/model.h5: ", "RUN/best.h5 is whole"});
  expect_same_model("RUN", "UNDISTURBED");
}

TEST_F(cli_faults_in_training, a_loss_that_is_not_finite_ends_it_with_the_last_checkpoint_whole) {
  run_well(training("RUN"));
  const std::string model = folder.file("RUN/model.h5");
  io::Checkpoint spoilt = io::read_checkpoint(model);
  spoilt.weights.front().data.front() = std::numeric_limits<float>::quiet_NaN();
  io::write_checkpoint(model, spoilt);
  const std::string before = text("RUN/model.h5");
  expect_failure({"train", "-o", "RUN", "--resume", "--epochs", "6"}, 1,
                 {"the loss is not finite in epoch 5, step 1; the last checkpoint is kept", "--lr"});
  EXPECT_TRUE(text("RUN/model.h5") == before);
}

TEST_F(cli_faults_in_training, damage_to_one_checkpoint_is_told_and_the_other_one_serves) {
  run_well(training("RUN"));
  const std::string model = folder.file("RUN/model.h5");
  {
    std::fstream file(model, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(model) / 2));
    file.write("damage", 6);
  }
  const std::vector<std::string> words{"RUN/model.h5: ", "; RUN/best.h5 is whole, after epoch ",
                                       "'cp RUN/best.h5 RUN/model.h5' --resume"};
  expect_failure({"train", "-o", "RUN", "--resume"}, 1, words);
  expect_failure({"reconstruct", "RUN", "scan.h5", "-o", "r.h5"}, 1, words);
  expect_failure({"info", "RUN"}, 1, words);
  expect_failure({"train", "scan.h5", "-o", "RUN"}, 1, {"RUN: holds a training run already"});
  run_well({"reconstruct", "RUN/best.h5", "scan.h5", "-o", "r.h5"});
  std::filesystem::copy_file(folder.file("RUN/best.h5"), model, std::filesystem::copy_options::overwrite_existing);
  expect_goes_on("RUN");
}

TEST_F(cli_faults, outputs_appear_whole_or_not_at_all) {
  simulate_few();
  run_well({"refine", "scan.h5", "-o", "r.h5", "--sweeps", "1"});
  train("RUN", "1");
  const struct {
    Arguments arguments;
    const char* output;
  } cases[] = {
      {{"simulate", "-o", "new.h5", "--size", "128", "--patterns", "20"}, "new.h5"},
      {{"refine", "scan.h5", "-o", "new.h5", "--sweeps", "1"}, "new.h5"},
      {{"reconstruct", "RUN", "scan.h5", "-o", "new.h5"}, "new.h5"},
      {{"convert", "scan.h5", "-o", "new.h5"}, "new.h5"},
      {{"convert", "scan.h5", "-o", "new.npz"}, "new.npz"},
      {{"evaluate", "r.h5", "--truth", "scan.h5", "-o", "new.json"}, "new.json"},
  };
  for (const auto& c : cases) {
    const std::string output = c.output;
    const int64_t writes = count(calls_on("." + output, c.arguments), "write");
    std::filesystem::remove(folder.file(output));
    ASSERT_GT(writes, 0);
    for (const Fault& fault :
         {Fault{"write", "." + output, 1, "ENOSPC"}, Fault{"write", "." + output, writes, "ENOSPC"},
          Fault{"write", "." + output, (writes + 1) / 2, "EIO", 1}, Fault{"sync", output, 1, "EIO"},
          Fault{"rename", output, 1, "EIO"}, Fault{"open", "." + output, 1, "EROFS"}}) {
      SCOPED_TRACE(testing::Message() << fault);
      const char* reason = fault.what == "ENOSPC" ? "No space left on device"
                           : fault.what == "EIO"  ? "Input/output error"
                                                  : "Read-only file system";
      expect_failure_under(with(fault), c.arguments, 1, {output + ": ", reason});
    }
  }
}

// Frames of 3 MiB: more than the program may keep, and than HDF5 keeps for itself, so that a thread of the loader's
// reads them again in each epoch.
TEST_F(cli_faults, a_scan_that_fails_or_goes_while_it_trains) {
  run_well({"simulate", "-o", "large.h5", "--size", "192", "--scan", "random", "--patterns", "200"});
  const auto training = [](const std::string& scan) {
    return Arguments{"train", scan, "-o", "RUN", "--host-memory", "2MiB", "--early-stopping", "off"} +
           tiny_training("2");
  };
  const int64_t reads = count(calls_on("large.h5", training("large.h5")), "read");
  ASSERT_GT(reads, 500) << "once before training, and in each epoch";
  std::filesystem::rename(folder.file("RUN"), folder.file("UNDISTURBED"));
  for (const int64_t nth : {reads / 2, reads - 10}) {
    SCOPED_TRACE(nth);
    const CommandResult result = run_under(with({"read", "large.h5", nth, "EIO"}), training("large.h5"));
    EXPECT_EQ(result.exit_code, 1) << result.err;
    expect_one_message(result, {"large.h5: diffraction: cannot be read", disk_error});
    EXPECT_FALSE(holds_temporary_file());
    run_well({"train", "-o", "RUN", "--resume"});
    expect_same_model("RUN", "UNDISTURBED");
    std::filesystem::remove_all(folder.file("RUN"));
  }
  std::filesystem::copy_file(folder.file("large.h5"), folder.file("copy.h5"));
  RunningCommand command = start(training("copy.h5"));
  ASSERT_TRUE(command.wait_for_message("epoch 1/2")) << command.finish().err;
  std::filesystem::remove(folder.file("copy.h5"));  // the system keeps what is open
  EXPECT_EQ(command.finish().exit_code, 0);
  expect_same_model("RUN", "UNDISTURBED");
}

TEST_F(cli_faults, a_scan_that_cannot_be_read_gives_no_result) {
  simulate_few();
  train("RUN", "1");
  const Arguments commands[] = {{"reconstruct", "RUN", "scan.h5", "-o", "new.h5"},
                                {"refine", "scan.h5", "-o", "new.h5", "--sweeps", "1"},
                                {"convert", "scan.h5", "-o", "new.h5"},
                                {"info", "scan.h5"}};
  for (const Arguments& command : commands) {
    const int64_t reads = count(calls_on("scan.h5", command), "read");
    std::filesystem::remove(folder.file("new.h5"));
    for (const int64_t nth : {int64_t{1}, reads / 2, reads})
      expect_failure_under(with({"read", "scan.h5", nth, "EIO"}), command, 1, {"scan.h5: ", disk_error});
  }
}

TEST_F(cli_faults, a_scan_that_another_program_writes_is_waited_for) {
  simulate_few();
  const int file = ::open(folder.file("scan.h5").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::flock(file, LOCK_EX), 0);
  for (const Arguments& command : {Arguments{"info", "scan.h5"}, Arguments{"train", "scan.h5", "-o", "RUN"},
                                   Arguments{"refine", "scan.h5", "-o", "r.h5"}})
    expect_failure(command, 1, {"scan.h5: another program is writing this file", "wait for it"});
  ::close(file);
  run_well({"info", "scan.h5"});
}

TEST_F(cli_faults, a_study_keeps_the_arms_that_are_done_when_the_disk_is_full) {
  simulate_few();
  run_well({"refine", "scan.h5", "-o", "one.h5", "--sweeps", "1"});
  run_well({"refine", "scan.h5", "-o", "two.h5", "--sweeps", "2"});
  const Arguments study{"study", "compare", "-o", "STUDY", "--scan", "scan.h5", "--inputs", "one.h5", "two.h5"};
  const struct {
    Fault fault;
    const char *arms_failed, *file;
    bool first_arm_kept;
  } cases[] = {
      {{"write", "arms/.two.", 1, "ENOSPC"}, "1 of 2 arms failed", "STUDY/arms/two", true},
      {{"write", "arms/.", 1, "ENOSPC"}, "2 of 2 arms failed", "STUDY/arms/one", false},
      {{"write", "STUDY/.report.md", 1, "ENOSPC"}, "", "STUDY/report.md", true},
      {{"write", "STUDY/", 1, "ENOSPC"}, "", "STUDY/study", false},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message() << c.fault);
    const CommandResult full = run_under(with(c.fault), study);
    EXPECT_EQ(full.exit_code, 1) << full.err;
    for (const std::string& part : {std::string(c.arms_failed), std::string(c.file), no_space})
      EXPECT_NE(full.err.find(part), std::string::npos) << part << " is not in\n" << full.err;
    for (const char* trace : {"HDF5-DIAG", "errno = ", "terminate called"})
      EXPECT_EQ(full.err.find(trace), std::string::npos) << full.err;
    EXPECT_FALSE(holds_temporary_file());
    EXPECT_EQ(std::filesystem::exists(folder.file("STUDY/arms/one.json")), c.first_arm_kept);
    const CommandResult rest = run_well(study);
    EXPECT_EQ(rest.err.find("arms are done already") != std::string::npos, c.first_arm_kept) << rest.err;
    EXPECT_NE(rest.out.find("2 of 2 arms"), std::string::npos) << rest.out;
    std::filesystem::remove_all(folder.file("STUDY"));
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they reserve terabytes of addresses
TEST_F(cli_faults, memory_that_is_not_there_is_said) {
  simulate_few();
  train("RUN", "1");
  const Arguments commands[] = {{"train", "scan.h5", "-o", "NEW", "--gridsize", "1", "--filters-scale", "0.25",
                                 "--epochs", "1", "--threads", "1"},
                                {"reconstruct", "RUN", "scan.h5", "-o", "new.h5", "--threads", "1"},
                                {"refine", "scan.h5", "-o", "new.h5", "--sweeps", "1", "--threads", "1"}};
  constexpr int cannot_start = 127;  // the system's loader has not even room for the libraries
  int failed = 0;
  for (const Arguments& command : commands)
    for (int mib = 64; mib <= 256; mib += 4) {
      SCOPED_TRACE(testing::Message() << command_line(command) << " in " << mib << " MiB");
      const CommandResult result =
          run_under({"/bin/sh", "-c", fmt::format("ulimit -v {} && exec \"$@\"", mib * 1024), "sh"}, command);
      if (result.exit_code == cannot_start) continue;
      const bool done = result.exit_code == 0;
      if (!done) {
        EXPECT_FALSE(std::filesystem::exists(folder.file("new.h5")));
        // HDF5 1.10 itself may crash where it gets no memory: nothing of ours can catch that.
        if (result.signal == 0) {
          ++failed;
          EXPECT_EQ(result.exit_code, 1) << result.err;
          expect_one_message(result, {"memory"});
          EXPECT_FALSE(holds_temporary_file());
        }
      }
      std::filesystem::remove(folder.file("new.h5"));
      std::filesystem::remove_all(folder.file("NEW"));
      if (done) break;
    }
  EXPECT_GT(failed, 0);
}

TEST_F(cli_faults, out_of_memory_names_what_the_command_has) {
  const Arguments starter{"/bin/sh", "-c", "ulimit -v 1000000 && exec \"$@\"", "sh"};
  expect_failure_under(starter, {"simulate", "-o", "new.h5", "--size", "16384", "--threads", "1"}, 1,
                       {"out of memory; less needs less: --size, --images, --patterns, --N\n"});
}
#endif

TEST_F(cli_faults, too_little_device_memory_names_what_fits) {
  simulate_few();
  expect_failure(Arguments{"train", "scan.h5", "-o", "RUN", "--device-memory", "4MiB"} + tiny_training("1"), 1,
                 {"--batch", "--device-memory"});
}

}  // namespace
}  // namespace ptyfuse::tests
