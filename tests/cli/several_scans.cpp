// Several scans reconstructed by one process.
#include <gtest/gtest.h>

#include <csignal>

#include "io/reconstruction_file.h"
#include "tests/cli/cli_test.h"

namespace ptyfuse::tests {
namespace {

class cli_several_scans : public CliTest {
 protected:
  void simulate_patterns(const std::string& name, const std::string& patterns, const std::string& side) const {
    run_well({"simulate", "-o", name, "--object", "grf", "--size", "256", "--scan", "random", "--patterns", patterns,
              "--N", side});
  }
};

TEST_F(cli_several_scans, give_what_each_alone_gives) {
  simulate_scan("a.h5");
  simulate_scan("b.h5", {"--object-seed", "2", "--seed", "1"});
  train("RUN", "1", "a.h5");
  const Arguments settings{"--polish", "1", "--threads", "2"};
  const CommandResult both =
      run_well(Arguments{"reconstruct", "RUN", "a.h5", "b.h5", "-o", "OUT/", "--png", "OUT"} + settings);
  EXPECT_NE(both.err.find("scan 1 of 2: a.h5\n"), std::string::npos) << both.err;
  EXPECT_NE(both.err.find("scan 2 of 2: sweep 1/1"), std::string::npos) << both.err;
  EXPECT_NE(both.out.find("OUT/a.h5: object of "), std::string::npos) << both.out;
  EXPECT_NE(both.out.find("OUT/b.h5: object of "), std::string::npos) << both.out;
  EXPECT_NE(both.out.find("OUT: 2 of 2 scans reconstructed in "), std::string::npos) << both.out;
  for (const char* stem : {"a", "b"}) {
    SCOPED_TRACE(stem);
    const std::string name = stem;
    run_well(Arguments{"reconstruct", "RUN", name + ".h5", "-o", "alone.h5", "--force"} + settings);
    const io::Reconstruction alone = io::read_reconstruction(folder.file("alone.h5")),
                             among = io::read_reconstruction(folder.file("OUT/" + name + ".h5"));
    EXPECT_FALSE(alone.object.empty());
    EXPECT_TRUE(among.object.data == alone.object.data);
    EXPECT_TRUE(among.weight == alone.weight);
    EXPECT_EQ(among.residual, alone.residual);
    EXPECT_EQ(text("OUT/" + name + ".png").substr(1, 3), "PNG");
  }
}

TEST_F(cli_several_scans, one_that_fails_leaves_the_others) {
  simulate_scan("a.h5");
  simulate_patterns("few.h5", "3", "64");
  simulate_patterns("wide.h5", "4", "128");
  train("RUN", "1", "a.h5");
  run_well({"convert", "a.h5", "-o", "b.h5"});
  write("damaged.h5", text("a.h5").substr(0, 20000));
  const CommandResult result = run({"reconstruct", "RUN", "missing.h5", "a.h5", "damaged.h5", "wide.h5", "few.h5",
                                    "b.h5", "-o", "OUT", "--frames", "3:", "--quiet"});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  std::istringstream lines(result.err);
  for (const char* begin : {"ptyfuse: scan 1 of 6 failed: missing.h5: ", "ptyfuse: scan 3 of 6 failed: damaged.h5: ",
                            "ptyfuse: scan 4 of 6 failed: wide.h5: diffraction: patterns of 128 pixels",
                            "ptyfuse: scan 5 of 6 failed: few.h5: frames \"3:\": nothing is left of 3",
                            "ptyfuse: error: 4 of 6 scans failed: missing.h5, damaged.h5, wide.h5, few.h5; the "}) {
    std::string line;
    EXPECT_TRUE(std::getline(lines, line));
    EXPECT_EQ(line.rfind(begin, 0), 0U) << line;
  }
  EXPECT_NE(result.out.find("OUT: 2 of 6 scans reconstructed"), std::string::npos) << result.out;
  std::set<std::string> found;
  for (const std::string& name : everything())
    if (name.starts_with("OUT/")) found.insert(name);
  EXPECT_EQ(found, (std::set<std::string>{"OUT/a.h5", "OUT/b.h5"}));
  EXPECT_TRUE(io::read_reconstruction(folder.file("OUT/a.h5")).object.data ==
              io::read_reconstruction(folder.file("OUT/b.h5")).object.data);

  const auto before = everything();
  EXPECT_EQ(run({"reconstruct", "RUN", "missing.h5", "gone.h5", "-o", "EMPTY"}).exit_code, 1);
  EXPECT_EQ(everything(), before);
}

TEST_F(cli_several_scans, what_stands_in_the_way_is_said_before_any_work) {
  simulate_scan("a.h5");
  train("RUN", "1", "a.h5");
  std::filesystem::create_directory(folder.file("more"));
  run_well({"convert", "a.h5", "-o", "more/a.h5"});
  run_well({"convert", "a.h5", "-o", "b.h5"});
  std::filesystem::create_directory(folder.file("OUT"));
  write("OUT/b.h5", "a former result");
  write("file", "no folder");
  const Arguments two{"reconstruct", "RUN", "a.h5", "b.h5", "-o"};
  expect_failure({"reconstruct", "RUN", "a.h5", "more/a.h5", "-o", "NEW"}, 2,
                 {"a.h5 and more/a.h5 would both become NEW/a.h5"});
  expect_failure(two + Arguments{"OUT"}, 1, {"OUT/b.h5: exists already; pass --force"});
  expect_failure(two + Arguments{"file"}, 1, {"file: is a file; several scans need a folder"});
  expect_failure(two + Arguments{"r.h5"}, 2, {"r.h5: several scans were named", "STEM.h5"});
  expect_failure(two + Arguments{"NEW", "--png", "r.png"}, 2, {"r.png: several scans were named", "STEM.png"});
  expect_failure(two + Arguments{"no/NEW"}, 1, {"no/NEW: its folder 'no' does not exist"});
  expect_failure(two + Arguments{".", "--force"}, 2, {"./a.h5: the output would replace a.h5"});
  run_well({"convert", "a.h5", "-o", "more/model.h5"});
  const std::string model = text("RUN/model.h5");
  for (const char* run : {"RUN", "RUN/model.h5"})
    expect_failure({"reconstruct", run, "more/model.h5", "b.h5", "-o", "RUN", "--force"}, 2,
                   {"RUN/model.h5: the output would replace RUN"});
  EXPECT_EQ(text("RUN/model.h5"), model);
  expect_failure(two + Arguments{"NEW", "--crop", "63"}, 2, {"--crop 63"});
  expect_failure({"reconstruct", "RUN", "a.h5", "-o", "OUT"}, 1, {"OUT: is a folder"});
  EXPECT_EQ(text("OUT/b.h5"), "a former result");
  run_well(two + Arguments{"OUT", "--force"});
  EXPECT_FALSE(io::read_reconstruction(folder.file("OUT/b.h5")).object.empty());
}

TEST_F(cli_several_scans, those_finished_are_kept_when_stopped) {
  simulate_scan("scan.h5");
  train("RUN", "1");
  simulate_patterns("a.h5", "3", "64");
  simulate_patterns("long.h5", "2000", "64");
  RunningCommand command = start({"reconstruct", "RUN", "a.h5", "long.h5", "-o", "OUT", "--polish", "300"});
  ASSERT_TRUE(command.wait_for_message("scan 2 of 2: sweep 1/")) << command.finish().err;
  command.send(SIGINT);
  const CommandResult result = command.finish();
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_NE(result.err.find("ptyfuse: stopped: scan 2 of 2, long.h5, was not finished; OUT holds the results of 1"),
            std::string::npos)
      << result.err;
  EXPECT_TRUE(std::filesystem::exists(folder.file("OUT/a.h5")));
  EXPECT_FALSE(std::filesystem::exists(folder.file("OUT/long.h5")));
}

TEST_F(cli_several_scans, a_picture_that_fails_leaves_its_result) {
  simulate_scan("scan.h5");
  train("RUN", "1");
  simulate_patterns("a.h5", "3", "64");
  simulate_patterns("b.h5", "300", "64");
  RunningCommand command =
      start({"reconstruct", "RUN", "a.h5", "b.h5", "-o", "OUT", "--png", "PICTURES", "--polish", "20"});
  ASSERT_TRUE(command.wait_for_message("scan 2 of 2: sweep 1/")) << command.finish().err;
  std::filesystem::remove_all(folder.file("PICTURES"));
  const CommandResult result = command.finish();
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_NE(result.err.find("ptyfuse: scan 2 of 2: the picture failed: PICTURES/b.png: "), std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("ptyfuse: error: 1 of 2 pictures failed, whose results are whole: b.h5"), std::string::npos)
      << result.err;
  EXPECT_NE(result.out.find("OUT: 2 of 2 scans reconstructed"), std::string::npos) << result.out;
  EXPECT_FALSE(io::read_reconstruction(folder.file("OUT/b.h5")).object.empty());
}

}  // namespace
}  // namespace ptyfuse::tests
