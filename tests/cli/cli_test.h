#pragma once
// What every test of the command line starts from: a folder of its own and the program.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "io/checkpoint.h"
#include "tests/support/run_command.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::tests {

using Arguments = std::vector<std::string>;

inline Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// On the CPU: these tests are of the command line, and hold results to what the CPU gives.
class CliTest : public testing::Test {
 protected:
  CliTest() { setenv("CUDA_VISIBLE_DEVICES", "", 1); }
  RunningCommand start(const Arguments& arguments, const std::string& out_path = "") const {
    return RunningCommand(Arguments{PTYFUSE_BINARY} + arguments, folder.path(), out_path);
  }
  CommandResult run(const Arguments& arguments) const { return start(arguments).finish(); }
  /// The same with these words before the program's name: a program that starts it, or variables of the environment.
  CommandResult run_under(const Arguments& starter, const Arguments& arguments) const {
    return RunningCommand(starter + Arguments{PTYFUSE_BINARY} + arguments, folder.path()).finish();
  }
  /// A run that must succeed.
  CommandResult run_well(const Arguments& arguments) const {
    const CommandResult result = run(arguments);
    EXPECT_EQ(result.exit_code, 0) << command_line(arguments) << "\n" << result.err;
    EXPECT_EQ(result.signal, 0) << command_line(arguments);
    return result;
  }
  /// A run that must fail with this code and one message that holds all of `parts`, and leave the folder as it was.
  void expect_failure(const Arguments& arguments, int code, const std::vector<std::string>& parts) const {
    expect_failure_under({}, arguments, code, parts);
  }
  /// The same of run_under().
  void expect_failure_under(const Arguments& starter, const Arguments& arguments, int code,
                            const std::vector<std::string>& parts) const {
    SCOPED_TRACE(command_line(arguments));
    const auto before = everything();
    const CommandResult result = run_under(starter, arguments);
    EXPECT_EQ(result.exit_code, code) << "signal " << result.signal << "\n" << result.err;
    expect_one_message(result, parts);
    EXPECT_EQ(everything(), before);
  }
  /// A failed command said one thing, on one line of readable length that holds all of `parts`, and printed no result.
  static void expect_one_message(const CommandResult& result, const std::vector<std::string>& parts) {
    const std::string mark = "ptyfuse: error: ";
    const size_t message = result.err.find(mark);
    EXPECT_NE(message, std::string::npos) << result.err;
    EXPECT_EQ(result.err.find(mark, message + 1), std::string::npos) << result.err;
    for (const std::string& part : parts)
      EXPECT_NE(result.err.find(part), std::string::npos) << "'" << part << "' is not in\n" << result.err;
    for (const char* trace : {"HDF5-DIAG", "errno = ", "terminate called"})
      EXPECT_EQ(result.err.find(trace), std::string::npos) << result.err;
    EXPECT_EQ(result.out, "");
  }

  /// Every path below the folder, hidden ones too.
  std::set<std::string> everything() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path()))
      names.insert(std::filesystem::relative(entry.path(), folder.path()).string());
    return names;
  }
  std::string text(const std::string& name) const {
    std::ifstream file(folder.file(name));
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
  }
  void write(const std::string& name, const std::string& content) const { std::ofstream(folder.file(name)) << content; }
  static std::string command_line(const Arguments& arguments) {
    std::string line = "ptyfuse";
    for (const std::string& a : arguments) line += " " + a;
    return line;
  }

  /// A scan of 48 patterns of 64 x 64 pixels at random positions.
  void simulate_scan(const std::string& name = "scan.h5", const Arguments& more = {}) const {
    run_well(Arguments{"simulate", "-o", name, "--object", "grf", "--size", "128", "--scan", "random", "--patterns",
                       "48", "--margin-px", "36", "--photons", "1e4"} +
             more);
  }
  /// A scan of 20 patterns, for runs that are done many times.
  void simulate_few() const {
    run_well({"simulate", "-o", "scan.h5", "--object", "grf", "--size", "128", "--scan", "random", "--patterns", "20",
              "--margin-px", "36", "--photons", "1e4"});
  }
  /// The smallest network that there is: some tenths of a second an epoch at most.
  static Arguments tiny_training(const std::string& epochs) {
    return {"--gridsize", "1", "--filters-scale", "0.25", "--batch", "8", "--threads", "2", "--epochs", epochs};
  }
  void train(const std::string& run, const std::string& epochs, const std::string& scan = "scan.h5") const {
    run_well(Arguments{"train", scan, "-o", run} + tiny_training(epochs));
  }

  /// Weights, moments and counters are equal bit for bit; times are not compared.
  void expect_same_model(const std::string& a_run, const std::string& b_run,
                         const std::string& file = "/model.h5") const {
    const io::Checkpoint a = io::read_checkpoint(folder.file(a_run + file));
    const io::Checkpoint b = io::read_checkpoint(folder.file(b_run + file));
    EXPECT_EQ(a.step, b.step);
    EXPECT_EQ(a.epoch, b.epoch);
    EXPECT_EQ(a.step_in_epoch, b.step_in_epoch);
    EXPECT_EQ(a.random_state, b.random_state);
    EXPECT_EQ(a.log_scale, b.log_scale);
    EXPECT_EQ(a.normalisation, b.normalisation);
    EXPECT_EQ(a.learning_rate, b.learning_rate);
    const auto expect_same = [](const std::vector<io::NamedTensor>& x, const std::vector<io::NamedTensor>& y) {
      ASSERT_EQ(x.size(), y.size());
      ASSERT_FALSE(x.empty());
      for (size_t i = 0; i < x.size(); ++i) {
        EXPECT_EQ(x[i].name, y[i].name);
        EXPECT_TRUE(x[i].data == y[i].data) << x[i].name;
      }
    };
    expect_same(a.weights, b.weights);
    expect_same(a.adam_m, b.adam_m);
    expect_same(a.adam_v, b.adam_v);
  }

  TemporaryFolder folder;
};

}  // namespace ptyfuse::tests
