// Wrong and right usage: arguments, configuration files, help.
#include <gtest/gtest.h>

#include "tests/cli/cli_test.h"

namespace ptyfuse::tests {
namespace {

const char* const commands[] = {"simulate", "info",    "train", "reconstruct", "refine",
                                "evaluate", "convert", "study", "bench",       "devices"};

using cli_usage = CliTest;

TEST_F(cli_usage, help_teaches_with_examples) {
  const CommandResult all = run_well({"--help"});
  EXPECT_EQ(all.err, "");
  for (const char* command : commands) {
    EXPECT_NE(all.out.find(command), std::string::npos);
    const CommandResult help = run_well({command, "--help"});
    EXPECT_NE(help.out.find("Example"), std::string::npos) << command;
    EXPECT_NE(help.out.find(std::string("  ptyfuse ") + command), std::string::npos) << command;
    for (const char* global : {"--device", "--threads", "--seed", "--config", "--quiet", "--verbose"})
      EXPECT_NE(help.out.find(global), std::string::npos) << command << " " << global;
    EXPECT_EQ(help.err, "");
  }
}

TEST_F(cli_usage, help_says_what_each_argument_is) {
  const struct {
    const char *command, *line;
  } cases[] = {
      {"evaluate", "--truth FILE[:DATASET] REQUIRED"},
      {"evaluate", "RECON FILE[:DATASET] REQUIRED"},
      {"reconstruct", "RUN FOLDER REQUIRED"},
      {"refine", "SCAN FILE REQUIRED"},
      {"train", "--probe FILE[:DATASET]"},
      {"train", "\nOptimisation:\n  --epochs"},
  };
  for (const auto& c : cases) {
    const CommandResult help = run_well({c.command, "--help"});
    EXPECT_NE(help.out.find(c.line), std::string::npos) << c.line << "\n" << help.out;
  }
}

TEST_F(cli_usage, version) {
  EXPECT_EQ(run_well({"--version"}).out, "ptyfuse " PTYFUSE_VERSION "\n");
}

TEST_F(cli_usage, devices_says_what_auto_chooses) {
  const CommandResult result = run_well({"devices", "--threads", "1"});
  EXPECT_NE(result.out.find("1 thread"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("auto chooses"), std::string::npos) << result.out;
}

TEST_F(cli_usage, wrong_arguments_exit_with_2) {
  simulate_scan();
  simulate_scan("several.h5", {"--images", "2"});
  run_well({"refine", "scan.h5", "-o", "recon.h5", "--sweeps", "1"});
  struct Case {
    Arguments arguments;
    std::vector<std::string> message;
  };
  const Case cases[] = {
      {{}, {"a command is needed", "train", "See 'ptyfuse --help'"}},
      {{"--quiet"}, {"a command is needed"}},
      {{"frobnicate"}, {"'frobnicate' is not a command", "simulate, info, train"}},
      {{"tarin"}, {"did you mean 'train'?"}},
      {{"train", "scan.h5", "-o", "RUN", "--epocs", "3"}, {"--epocs; did you mean '--epochs'?"}},
      {{"train", "scan.h5", "-o", "RUN", "--lear-rate=3"}, {"not expected: --lear-rate=3\n"}},
      {{"simulate", "-o", "s.h5", "--object", "sinus"}, {"'sinus' is not one of lines, grf, siemens", "no file"}},
      {{"train"}, {"--output", "See 'ptyfuse train --help'"}},
      {{"train", "-o", "RUN"}, {"no scan was named"}},
      {{"info"}, {"FILE", "See 'ptyfuse info --help'"}},
      {{"info", "--nonsense"}, {"--nonsense", "not expected"}},
      {{"refine", "--nonsense", "3"}, {"--nonsense", "not expected"}},
      {{"train", "scan.h5", "-o", "RUN", "--nonsense"}, {"--nonsense"}},
      {{"train", "scan.h5", "-o", "RUN", "--gridsize", "3"}, {"--gridsize: '3' is not between 1 and 2"}},
      {{"train", "scan.h5", "-o", "RUN", "--lr", "fast"}, {"--lr: 'fast' is not a number"}},
      {{"train", "scan.h5", "-o", "RUN", "--epochs", "1.5"}, {"--epochs: '1.5' is not a whole number"}},
      {{"train", "scan.h5", "-o", "RUN", "--method", "magic"}, {"--method: 'magic' is not one of pinn, supervised"}},
      {{"train", "scan.h5", "-o", "RUN", "--host-memory", "much"}, {"--host-memory: 'much' is not a size", "4GiB"}},
      {{"train", "scan.h5", "-o", "RUN", "--frames", "ten"}, {"--frames \"ten\"", "A:B:STEP"}},
      {{"train", "scan.h5", "-o", "RUN", "--frames", "0:9:0"}, {"--frames \"0:9:0\"", "STEP must be 1 or more"}},
      {{"train", "scan.h5", "-o", "RUN", "--domain", "photons"}, {"--domain: 'photons' is not one of", "counts"}},
      {{"train", "scan.h5", "-o", "RUN", "--seed", "-1"}, {"--seed: '-1'"}},
      {{"refine", "scan.h5", "-o", "r.h5", "--device", "cuda:one"}, {"--device: 'cuda:one' is not one of auto, cpu"}},
      {{"devices", "--device", "cuda:abc"}, {"--device: 'cuda:abc' is not one of auto, cpu"}},
      {{"convert", "scan.h5", "-o", "s.npz", "--device", "cuda:-1"}, {"--device: 'cuda:-1' is not one of auto, cpu"}},
      {{"refine", "scan.h5", "-o", "r.h5", "--device", "gpu"}, {"--device: 'gpu' is not one of auto, cpu, cuda"}},
      {{"refine", "scan.h5", "-o", "r.h5", "--png", "./r.h5"}, {"r.h5: two outputs have this name"}},
      {{"refine", "scan.h5", "-o", "r.h5", "--beta", "2"}, {"--beta: '2' is not between 0 and 1"}},
      {{"evaluate", "scan.h5", "-o", "m.json"}, {"--truth FILE[:DATASET] is needed: the true object"}},
      {{"evaluate", "scan.h5", "--truth", "scan.h5", "-o", "m.json", "--crop", "5"}, {"--crop", "Y0:Y1,X0:X1"}},
      {{"convert", "scan.h5", "-o", "s.npz", "--from", "npz"}, {"--from: scan.h5 is a ptyfuse-scan file"}},
      {{"train", "scan.h5", "-o", "RUN", "--tv-weight", "-1"}, {"--tv-weight: '-1' is not at least 0"}},
      {{"simulate", "-o", "s.h5", "--scan", "random", "--gridsize", "2"}, {"--gridsize 2", "--scan grid"}},
      {{"train", "scan.h5", "-o", "RUN", "--nll-weight", "0"}, {"both 0", "give one of them a positive value"}},
      {{"train", "scan.h5", "-o", "RUN", "--network", "shared", "--object-big", "off"}, {"--object-big on"}},
      {{"train", "scan.h5", "-o", "RUN", "--method", "supervised", "--tv-weight", "1"}, {"--tv-weight", "pinn"}},
      {{"train", "scan.h5", "-o", "RUN", "--clip-at", "0"}, {"--clip-at: '0' is not at least"}},
      {{"info", "several.h5", "--probe-diameter-px", "20"}, {"several.h5", "one object", "a scan file for each"}},
      {{"info", "recon.h5", "--probe-diameter-px", "20"}, {"recon.h5: is not a scan"}},
      {{"simulate", "-o", "s.h5", "--scan", "random", "--patterns", "99999999999999"},
       {"--patterns: '99999999999999'", "10000000"}},
      {{"train", "scan.h5", "-o", "RUN", "--groups", "99999999999999999"}, {"--groups: '99999999999999999'"}},
      {{"bench", "--case", "nothing"}, {"--case nothing", "unet_forward"}},
      {{"bench", "--N", "67"}, {"--N: '67' is not 64, 128 or 256"}},
      {{"bench", "--case", "physics", "--record", ""}, {"--record: \"\" is no name"}},
      {{"train", "scan.h5", "-o", ""}, {"--output: \"\" is no name"}},
      {{"train", "", "-o", "RUN"}, {"SCAN: \"\" is no name"}},
      {{"train", "scan.h5", "-o", "RUN", "--config", ""}, {"--config: \"\" is no name"}},
      {{"info", ""}, {"FILE: \"\" is no name"}},
      {{"reconstruct", "", "scan.h5", "-o", "r.h5"}, {"RUN: \"\" is no name"}},
      {{"train", "scan.h5", "-o", "RUN", "--schedule", "cosin"}, {"'cosin' is not one of", "did you mean 'cosine'?"}},
      {{"bench", "--case", "adam", "--record", "r.h5"}, {"--record", "unet_forward"}},
      {{"bench", "--case", "physics", "--record", "r.h5", "--json", "j.jsonl"}, {"--record", "--json"}},
  };
  for (const Case& c : cases) expect_failure(c.arguments, 2, c.message);
}

TEST_F(cli_usage, a_gpu_that_is_not_there_is_a_failure) {
  simulate_scan();
  const CommandResult result = run({"train", "scan.h5", "-o", "RUN", "--device", "cuda:77"});
  EXPECT_EQ(result.exit_code, 1);
  const bool named = result.err.find("no usable GPU: ") != std::string::npos ||
                     result.err.find("cuda:77: there is no such GPU; this machine has cuda:0") != std::string::npos;
  EXPECT_TRUE(named) << result.err;
}

TEST_F(cli_usage, configuration_files) {
  simulate_scan();
  write("good.toml", "epochs = 1\ngridsize = 1\nfilters-scale = 0.25\nthreads = 2\nseed = 7\n");
  run_well({"train", "scan.h5", "-o", "RUN", "--config", "good.toml", "--epochs", "2", "--quiet"});
  const std::string settings = text("RUN/config.toml");
  for (const char* line : {"\nepochs = 2\n", "\nseed = 7\n", "\nthreads = 2\n", "\ngridsize = 1\n"})
    EXPECT_NE(settings.find(line), std::string::npos) << line << settings;
  EXPECT_EQ(io::read_checkpoint(folder.file("RUN/model.h5")).epoch, 2);
  run_well({"info", "RUN", "--config", "/dev/null", "--seed", "3"});

  write("unknown.toml", "epocs = 1\n");
  write("broken.toml", "epochs = 1\ngridsize = = 1\n");
  write("value.toml", "epochs = \"many\"\n");
  write("table.toml", "[train]\nepochs = 1\n");
  struct Case {
    const char* file;
    std::vector<std::string> message;
  };
  const Case cases[] = {
      {"unknown.toml", {"unknown.toml: 'epocs' is not a setting of 'ptyfuse train'; did you mean 'epochs'?"}},
      {"broken.toml", {"broken.toml: line 2: not TOML"}},
      {"value.toml", {"--epochs: 'many' is not a whole number"}},
      {"table.toml", {"table.toml: 'train' must be a number, a string, true or false"}},
      {"absent.toml", {"absent.toml: cannot be read", "TOML"}},
      {"RUN", {"RUN: cannot be read"}}};
  for (const Case& c : cases) expect_failure({"train", "scan.h5", "-o", "NEW", "--config", c.file}, 2, c.message);
}

TEST_F(cli_usage, progress_on_stderr_results_on_stdout) {
  simulate_scan();
  const Arguments refine{"refine", "scan.h5", "-o", "r.h5", "--sweeps", "2", "--force"};
  const CommandResult plain = run_well(refine), quiet = run_well(refine + Arguments{"--quiet"}),
                      verbose = run_well(refine + Arguments{"--verbose"});
  EXPECT_NE(plain.err.find("sweep 1/2"), std::string::npos) << plain.err;
  EXPECT_NE(plain.err.find("no usable GPU ("), std::string::npos) << plain.err;
  EXPECT_NE(plain.err.find("): using the CPU ("), std::string::npos) << plain.err;
  EXPECT_EQ(plain.out.find("sweep 1/2"), std::string::npos);
  EXPECT_NE(plain.out.find("r.h5: 2 sweeps over 48 patterns"), std::string::npos) << plain.out;
  EXPECT_EQ(quiet.err, "");
  EXPECT_NE(quiet.out.find("r.h5: 2 sweeps"), std::string::npos);
  EXPECT_NE(verbose.err.find("sweeps = 2\n"), std::string::npos) << verbose.err;
  EXPECT_EQ(plain.err.find("sweeps = 2\n"), std::string::npos);
  EXPECT_EQ(plain.err.find('\r'), std::string::npos) << "a bar is for terminals";
}

TEST_F(cli_usage, a_result_that_cannot_be_printed_is_a_failure) {
  simulate_scan();
  const CommandResult result = start({"info", "scan.h5", "--json"}, "/dev/full").finish();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("standard output"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace ptyfuse::tests
