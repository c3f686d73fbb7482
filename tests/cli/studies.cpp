// Whole studies at their smallest: every arm's work is real.
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "io/scan.h"
#include "tests/cli/cli_test.h"

namespace ptyfuse::tests {
namespace {

using cli_study = CliTest;
using nlohmann::json;

const Arguments tiny{"--quick", "--filters-scale", "0.25", "--epochs", "1", "--threads", "2"};

std::string first_line(const std::string& content) {
  return content.substr(0, content.find('\n'));
}

TEST_F(cli_study, sim_lines_writes_its_table_beside_the_published_one) {
  simulate_scan("probe.h5");
  const Arguments study =
      Arguments{"study", "sim-lines", "-o", "DIR", "--size", "112", "--groups", "40", "--probe", "probe.h5"} + tiny;
  const CommandResult made = run_well(study);
  EXPECT_NE(made.out.find("| gs1_ideal"), std::string::npos) << made.out;
  EXPECT_NE(made.out.find("0.9677"), std::string::npos) << made.out;  // published, gs2_experimental
  const json results = json::parse(text("DIR/results.json"));
  ASSERT_EQ(results["arms"].size(), 4U);
  EXPECT_TRUE(results["complete"].get<bool>());
  for (const auto& arm : results["arms"]) {
    EXPECT_GT(arm["rows"][0]["amplitude_mae"].get<double>(), 0) << arm["arm"];
    ASSERT_EQ(arm["curves"]["train_loss"].size(), 1U) << arm["arm"];
    EXPECT_EQ(arm["curves"]["train_loss"][0], arm["rows"][0]["loss"]) << arm["arm"];
    ASSERT_TRUE(arm["curves"].contains("val_loss")) << arm["arm"];
    EXPECT_EQ(arm["curves"]["val_loss"].size(), 1U) << arm["arm"];
  }
  EXPECT_EQ(first_line(text("DIR/results.csv"))
                .rfind("arm,case,seed,train_s,reconstruct_s,groups,epochs,loss,"
                       "amplitude_ssim,amplitude_ms_ssim,amplitude_psnr_255,",
                       0),
            0U);
  EXPECT_EQ(text("DIR/sim_lines.png").substr(1, 3), "PNG");
  EXPECT_EQ(text("DIR/learning_curves.png").substr(1, 3), "PNG");
  EXPECT_NE(text("DIR/report.md").find("quick"), std::string::npos);
  const io::ComplexImage object =
      io::read_complex_image(folder.file("DIR/arms/gs1_ideal_seed0.npz:reconstruction"), "reconstruction");
  EXPECT_EQ(object.height, results["arms"][0]["rows"][0]["height_px"].get<int64_t>());

  const std::string table = text("DIR/results.csv");
  const CommandResult again = run_well(study);
  EXPECT_NE(again.err.find("4 of 4 arms are done already"), std::string::npos) << again.err;
  EXPECT_EQ(text("DIR/results.csv"), table);
  expect_failure(study + Arguments{"--batch", "2"}, 1, {"arms/gs1_ideal_seed0.json", "train.batch: 4, now 2"});
}

TEST_F(cli_study, several_devices_give_the_same_figures) {
  const auto rows = [&](const char* output, const Arguments& where) {
    run_well(Arguments{"study", "sim-lines", "-o", output, "--quick", "--size", "112", "--groups", "8", "--epochs", "1",
                       "--filters-scale", "0.25"} +
             where);
    json results = json::parse(text(std::string(output) + "/results.json"))["arms"];
    for (auto& arm : results)
      for (const char* clock : {"train_s", "reconstruct_s"}) arm["rows"][0].erase(clock);
    EXPECT_EQ(results.size(), 2U);
    return std::pair(results[0]["rows"], results[1]["rows"]);
  };
  EXPECT_EQ(rows("ONE", {"--device", "cpu", "--threads", "1"}), rows("TWO", {"--device", "cpu,cpu", "--threads", "2"}));
  expect_failure({"study", "dose", "-o", "DIR", "--device", "cpu,gpu"}, 2, {"--device", "'gpu'"});
  expect_failure({"study", "dose", "-o", "DIR", "--device", "cpu,"}, 2, {"--device"});
  expect_failure({"devices", "--device", "cpu,cpu"}, 2, {"--device", "'ptyfuse devices' works on one"});
}

TEST_F(cli_study, dose_judges_its_claim) {
  const CommandResult made = run_well(Arguments{"study", "dose", "-o", "DIR", "--patterns", "32"} + tiny);
  EXPECT_NE(made.out.find("NLL at 1e4"), std::string::npos) << made.out;
  for (const char* file : {"dose.png", "frc_over_dose.png"})
    EXPECT_EQ(text(std::string("DIR/") + file).substr(1, 3), "PNG");
}

TEST_F(cli_study, sparse_of_a_given_scan_says_who_wins) {
  simulate_scan("scan.h5", {"--phase", "tanh"});
  const CommandResult made =
      run_well(Arguments{"study", "sparse", "-o", "DIR", "--scan", "scan.h5", "--sweeps", "1"} + tiny);
  EXPECT_NE(made.out.find("48 frames (all): best contrast"), std::string::npos) << made.out;
  const json results = json::parse(text("DIR/results.json"));
  ASSERT_EQ(results["arms"].size(), 6U);
  EXPECT_EQ(results["arms"][0]["rows"].size(), 1U);
  EXPECT_EQ(results["arms"][1]["rows"].size(), 2U);
  EXPECT_EQ(results["arms"][2]["rows"][0]["frames"], 12);
}

TEST_F(cli_study, overlap_and_robustness) {
  const Arguments small = Arguments{"--size", "128", "--patterns", "64"} + tiny;
  run_well(Arguments{"study", "overlap", "-o", "OVERLAP", "--size", "128", "--patterns", "128"} + tiny);
  const json overlap = json::parse(text("OVERLAP/results.json"))["arms"];
  ASSERT_EQ(overlap.size(), 6U);
  const auto metric = [&](size_t arm) { return overlap[arm]["rows"][0]["metric_2_image_based_avg"].get<double>(); };
  EXPECT_GT(metric(0), metric(1));
  EXPECT_GT(metric(1), metric(2));
  EXPECT_TRUE(overlap[0]["rows"][0]["metric_1_group_based_avg"].is_null());
  EXPECT_FALSE(overlap[3]["rows"][0]["metric_1_group_based_avg"].is_null());

  run_well(Arguments{"study", "probe", "-o", "PROBE", "--sweeps", "1"} + small);
  const json probe = json::parse(text("PROBE/results.json"))["arms"];
  ASSERT_EQ(probe.size(), 5U);
  EXPECT_EQ(probe[0]["rows"].size(), 3U);
  EXPECT_EQ(probe[0]["rows"][0]["probe_difference"], 0);
  EXPECT_GT(probe[2]["rows"][0]["probe_difference"], probe[1]["rows"][0]["probe_difference"]);

  run_well(Arguments{"study", "positions", "-o", "POSITIONS"} + small);
  const json positions = json::parse(text("POSITIONS/results.json"))["arms"];
  ASSERT_EQ(positions.size(), 9U);
  EXPECT_GT(positions[0]["rows"][0]["contrast"], positions[6]["rows"][0]["contrast"]);  // flat: 0 px, 4 px

  run_well(Arguments{"study", "data", "-o", "DATA"} + small);
  EXPECT_EQ(json::parse(text("DATA/results.json"))["arms"].size(), 6U);
}

TEST_F(cli_study, compare_brings_results_of_all_kinds_side_by_side) {
  simulate_scan("scan.h5", {"--phase", "tanh"});
  run_well({"refine", "scan.h5", "-o", "one.h5", "--sweeps", "1"});
  run_well({"refine", "scan.h5", "-o", "five.h5", "--sweeps", "5"});
  train("RUN", "1");
  const Arguments study{"study",   "compare",  "-o",     "DIR",     "--scan",
                        "scan.h5", "--inputs", "one.h5", "five.h5", "net=RUN"};
  const CommandResult made = run_well(study);
  EXPECT_NE(made.out.find("| net "), std::string::npos) << made.out;
  const json facts = json::parse(run_well({"info", "DIR", "--json"}).out);
  EXPECT_EQ(facts["format"], "ptyfuse-study");
  EXPECT_EQ(facts["study"], "compare");
  EXPECT_EQ(facts["arms_done"], 3);
  EXPECT_EQ(facts["complete"], true);
  std::filesystem::create_directory(folder.file("RUN/study"));  // a folder of that name says nothing of a run's
  EXPECT_TRUE(json::parse(run_well({"info", "RUN", "--json"}).out).contains("parameters"));
  const std::string metrics = text("DIR/comparison_metrics.csv"), curves = text("DIR/comparison_frc_curves.csv");
  EXPECT_EQ(first_line(metrics), "model,metric,amplitude,phase,value");
  for (const char* line :
       {"\none,ssim,0.", "\nfive,mae,", "\nnet,registration_offset_dy,,,", "\nnet,computation_time_s,,,"})
    EXPECT_NE(metrics.find(line), std::string::npos) << line << "\n" << metrics;
  EXPECT_EQ(first_line(curves), "model,frequency_bin,amplitude_frc,phase_frc");
  EXPECT_NE(curves.find("\nfive,3,"), std::string::npos);
  EXPECT_EQ(text("DIR/comparison_plot.png").substr(1, 3), "PNG");
  for (const char* key : {"ground_truth_amplitude", "one_phase", "five_complex", "net_amplitude"})
    for (const char* file : {"reconstructions.npz", "reconstructions_aligned.npz"})
      EXPECT_FALSE(io::read_complex_image(folder.file(std::string("DIR/") + file + ":" + key), key).empty()) << key;

  // Another input's arm joins those that are there; one that cannot be read keeps the others.
  write("text.h5", "no HDF5");
  const CommandResult more = run(study + Arguments{"bad=text.h5"});
  EXPECT_EQ(more.exit_code, 1);
  EXPECT_NE(more.err.find("3 of 4 arms are done already"), std::string::npos) << more.err;
  EXPECT_NE(more.err.find("1 of 4 arms failed"), std::string::npos) << more.err;
  EXPECT_NE(more.err.find("bad: text.h5"), std::string::npos) << more.err;
  EXPECT_NE(more.out.find("| five "), std::string::npos) << more.out;

  // What is damaged is named, and the rest still told.
  EXPECT_FALSE(json::parse(run_well({"info", "DIR", "--json"}).out).contains("damaged"));
  write("DIR/arms/five.npz", text("DIR/arms/five.npz") + "x");
  std::filesystem::remove(folder.file("DIR/arms/net.npz"));
  std::string arm = text("DIR/arms/one.json");
  arm.replace(arm.find("contrast"), 8, "Contrast");
  write("DIR/arms/one.json", arm);
  write("DIR/results.json", "{\"study\": ");
  const CommandResult looked = run({"info", "DIR", "--json"});
  EXPECT_EQ(looked.exit_code, 1);
  EXPECT_NE(looked.err.find("ptyfuse: error: DIR: 4 of its files are damaged; the command that made them"),
            std::string::npos)
      << looked.err;
  const json told = json::parse(looked.out);
  EXPECT_EQ(told["study"], "compare");
  EXPECT_EQ(told["arms_done"], 0);
  EXPECT_EQ(told["arms_damaged"], 3);
  const char* const damaged[] = {"DIR/arms/five.npz: was changed",
                                 "DIR/arms/net.npz: ", "DIR/arms/one.json: was changed", "DIR/results.json: "};
  ASSERT_EQ(told["damaged"].size(), std::size(damaged)) << looked.out;
  for (size_t i = 0; i < std::size(damaged); ++i)
    EXPECT_EQ(told["damaged"][i].get<std::string>().rfind(damaged[i], 0), 0U) << told["damaged"][i];
  const CommandResult plain = run({"info", "DIR"});
  EXPECT_EQ(plain.exit_code, 1);
  for (const char* line : damaged) EXPECT_NE(plain.out.find(line), std::string::npos) << plain.out;
}

TEST_F(cli_study, a_stopped_study_goes_on) {
  const Arguments study = Arguments{"study", "positions", "-o", "DIR", "--size", "128", "--patterns", "64"} + tiny;
  RunningCommand first = start(study);
  ASSERT_TRUE(first.wait_for_message("arm 1/9 flat_0px done")) << first.finish().err;
  first.send(SIGINT);
  const CommandResult stopped = first.finish();
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_NE(stopped.err.find("of 9 arms are done"), std::string::npos) << stopped.err;
  const CommandResult rest = run_well(study);
  EXPECT_NE(rest.err.find("of 9 arms are done already"), std::string::npos) << rest.err;
  EXPECT_EQ(json::parse(text("DIR/results.json"))["arms"].size(), 9U);
}

TEST_F(cli_study, wrong_usage_is_said_before_any_work) {
  const struct {
    Arguments arguments;
    std::vector<std::string> message;
  } cases[] = {
      {{"study", "-o", "DIR"}, {"STUDY"}},
      {{"study", "everything", "-o", "DIR"}, {"'everything' is not a study", "sim-lines, dose"}},
      {{"study", "dose"}, {"--output"}},
      {{"study", "dose", "-o", "DIR", "--scan", "scan.h5"}, {"--scan has no meaning for 'study dose'"}},
      {{"study", "dose", "-o", "DIR", "--inputs", "scan.h5"}, {"--inputs has no meaning for 'study dose'"}},
      {{"study", "compare", "-o", "DIR", "--scan", "scan.h5"}, {"--inputs [NAME=]FILE"}},
      {{"study", "compare", "-o", "DIR", "--inputs", "a.h5"}, {"--scan SCAN", "--truth"}},
      {{"study", "sparse", "-o", "DIR", "--scan", "scan.h5", "--size", "99"}, {"--size and --patterns"}},
      {{"study", "dose", "-o", "DIR", "--seeds", "0"}, {"--seeds: '0'"}},
      {{"study", "spares", "-o", "DIR"}, {"'spares' is not a study; did you mean 'sparse'?"}},
      {{"study", "dose", "-o", ""}, {"--output: \"\" is no name"}},
      {{"study", "sparse", "-o", "DIR", "--crop", "5"}, {"--crop: ", "Y0:Y1,X0:X1"}},
      {{"study", "sim-lines", "-o", "DIR", "--probe-pipeline", "polish:3"}, {"--probe-pipeline: "}},
      {{"study", "dose", "-o", "DIR", "--size", "20"}, {"--size 20: "}},
  };
  for (const auto& c : cases) expect_failure(c.arguments, 2, c.message);
  expect_failure({"study", "sparse", "-o", "DIR", "--scan", "scan.h5"}, 1, {"scan.h5", "no such file"});
  expect_failure({"study", "compare", "-o", "DIR", "--scan", "s.h5", "--inputs", "a.h5"}, 1, {"s.h5", "no such file"});
}

}  // namespace
}  // namespace ptyfuse::tests
