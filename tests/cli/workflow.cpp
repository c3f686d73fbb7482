// Whole jobs: what one command writes the next one takes, and the files hold what they promise.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "io/named_arrays.h"
#include "io/reconstruction_file.h"
#include "io/scan.h"
#include "tests/cli/cli_test.h"

namespace ptyfuse::tests {
namespace {

using cli_workflow = CliTest;
using nlohmann::json;

std::vector<float> frames_of_file(const std::string& path, const io::ScanHints& hints = {}) {
  const auto scan = io::open_scan(path, hints);
  const io::ScanInfo& info = scan->info();
  std::vector<float> frames(static_cast<size_t>(info.frames * info.side_px * info.side_px));
  scan->read_amplitude(0, info.frames, frames);
  return frames;
}

void expect_keys(const json& object, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) EXPECT_TRUE(object.contains(key)) << key << " in " << object.dump();
}

TEST_F(cli_workflow, a_scan_survives_conversion) {
  simulate_scan();
  const json facts = json::parse(run_well({"info", "scan.h5", "--json"}).out);
  EXPECT_EQ(facts["format"], "ptyfuse-scan");
  EXPECT_EQ(facts["frames"], 48);
  EXPECT_EQ(facts["side_px"], 64);
  EXPECT_EQ(facts["domain"], "counts");
  EXPECT_EQ(facts["all_zero_frames"], 0);
  EXPECT_NEAR(facts["mean_counts_per_frame"].get<double>(), 1e4, 200);
  const std::string told = run_well({"info", "scan.h5"}).out;
  const double mean = facts["mean_counts_per_frame"];
  EXPECT_NE(told.find(fmt::format("mean counts per frame  {:.6g}\n", mean)), std::string::npos) << told;

  const json overlap = json::parse(run_well({"info", "scan.h5", "--json", "--probe-diameter-px", "20"}).out)["overlap"];
  EXPECT_EQ(overlap["n_images_total"], 48);
  for (const char* metric : {"metric_1_group_based_avg", "metric_2_image_based_avg", "metric_3_group_to_group_avg"}) {
    EXPECT_GT(overlap[metric].get<double>(), 0) << metric;
    EXPECT_LT(overlap[metric].get<double>(), 1) << metric;
  }
  EXPECT_FALSE(facts.contains("overlap"));
  EXPECT_NE(run_well({"info", "scan.h5", "--probe-diameter-px", "20"}).out.find("overlap metric 2 image based avg"),
            std::string::npos);

  run_well({"convert", "scan.h5", "-o", "data.npz"});
  expect_failure({"convert", "data.npz", "-o", "back.h5"}, 1, {"data.npz: diff3d", "--domain amplitude"});
  run_well({"convert", "data.npz", "-o", "back.h5", "--domain", "amplitude"});
  const std::vector<float> frames = frames_of_file(folder.file("scan.h5"));
  EXPECT_EQ(frames.size(), 48U * 64 * 64);
  EXPECT_TRUE(frames_of_file(folder.file("back.h5")) == frames);
  EXPECT_TRUE(frames_of_file(folder.file("data.npz"), {.domain = io::Domain::amplitude}) == frames);
  const auto first = io::open_scan(folder.file("scan.h5")), last = io::open_scan(folder.file("back.h5"));
  EXPECT_EQ(first->info().positions_px, last->info().positions_px);
  EXPECT_EQ(first->info().probe.data, last->info().probe.data);
  EXPECT_EQ(first->info().object.data, last->info().object.data);

  run_well({"convert", "scan.h5", "-o", "scan.h5", "--force"});
  EXPECT_TRUE(frames_of_file(folder.file("scan.h5")) == frames);
}

TEST_F(cli_workflow, train_reconstruct_evaluate) {
  simulate_scan();
  train("RUN", "1");
  for (const char* file : {"config.toml", "model.h5", "history.csv", "history.png", "log.txt"})
    EXPECT_GT(std::filesystem::file_size(folder.file("RUN/" + std::string(file))), 0U) << file;
  expect_keys(json::parse(run_well({"info", "RUN", "--json"}).out), {"epochs", "steps", "parameters", "config"});

  const CommandResult made =
      run_well({"reconstruct", "RUN", "scan.h5", "-o", "recon.h5", "--png", "recon.png", "--polish", "1", "--patches"});
  EXPECT_NE(made.out.find("from 48 patterns"), std::string::npos) << made.out;
  EXPECT_NE(made.out.find("R after 1 polishing sweep: "), std::string::npos) << made.out;
  const io::Reconstruction recon = io::read_reconstruction(folder.file("recon.h5"));
  ASSERT_EQ(recon.residual.size(), 2U);
  EXPECT_LT(recon.residual[1], recon.residual[0]);
  EXPECT_EQ(recon.object.depth, 1);
  EXPECT_EQ(recon.positions_px.size(), 48U);
  EXPECT_EQ(recon.patches.depth, 48);
  EXPECT_EQ(recon.device, "cpu");
  EXPECT_EQ(recon.version, PTYFUSE_VERSION);
  EXPECT_NE(recon.config.find("polish = 1"), std::string::npos);
  EXPECT_EQ(text("recon.png").substr(1, 3), "PNG");
  expect_keys(json::parse(run_well({"info", "recon.h5", "--json"}).out),
              {"format", "object", "origin_px", "patterns", "seconds", "residual_R", "device", "precision", "version"});

  run_well({"evaluate", "recon.h5", "--truth", "scan.h5", "-o", "metrics.json", "--csv", "metrics.csv", "--frc-csv",
            "frc.csv", "--png", "compare.png", "--register"});
  const json metrics = json::parse(text("metrics.json"));
  expect_keys(metrics, {"amplitude", "phase", "complex_correlation", "contrast", "residual", "registration_px", "shape",
                        "aligned_by", "reconstruction", "truth"});
  for (const char* channel : {"amplitude", "phase"})
    expect_keys(metrics[channel],
                {"mae", "mse", "psnr", "psnr_255", "ssim", "ms_ssim", "pearson", "frc50_bin", "frc50_per_px"});
  EXPECT_GT(metrics["amplitude"]["mae"].get<double>(), 0);
  EXPECT_EQ(metrics["registration_px"].size(), 2U);
  EXPECT_NEAR(metrics["residual"].get<double>(), recon.residual[1], 1e-6);
  EXPECT_NE(text("metrics.csv").find("mae"), std::string::npos);
  EXPECT_EQ(text("frc.csv").rfind("model,frequency_bin,amplitude_frc,phase_frc\nrecon.h5,0,", 0), 0U);
  EXPECT_EQ(text("compare.png").substr(1, 3), "PNG");

  run_well({"evaluate", "recon.h5", "--truth", "scan.h5:object", "-o", "small.json", "--crop", "40:80,44:90"});
  EXPECT_EQ(json::parse(text("small.json"))["shape"], (json{40, 46}));

  run_well({"refine", "scan.h5", "-o", "polished.h5", "--start", "recon.h5", "--sweeps", "1", "--update-probe"});
  EXPECT_LT(io::read_reconstruction(folder.file("polished.h5")).residual.back(), recon.residual[1]);
  run_well(Arguments{"train", "scan.h5", "-o", "OTHER", "--probe", "polished.h5:probe"} + tiny_training("1"));
}

TEST_F(cli_workflow, repeated_commands_give_equal_results) {
  simulate_scan("a.h5");
  simulate_scan("b.h5", {"--threads", "1"});
  EXPECT_TRUE(frames_of_file(folder.file("a.h5")) == frames_of_file(folder.file("b.h5")));
  train("RUN", "1", "a.h5");
  const Arguments reconstruct{"reconstruct", "RUN", "a.h5", "--polish", "1", "--seed", "3"};
  run_well(reconstruct + Arguments{"-o", "r1.h5"});
  run_well(reconstruct + Arguments{"-o", "r2.h5"});
  EXPECT_TRUE(io::read_reconstruction(folder.file("r1.h5")).object.data ==
              io::read_reconstruction(folder.file("r2.h5")).object.data);
}

TEST_F(cli_workflow, ptychopinn_npz_is_trained_on_directly) {
  simulate_scan();
  run_well({"convert", "scan.h5", "-o", "data.npz"});
  const Arguments npz = Arguments{"train", "data.npz", "-o", "RUN", "--domain", "amplitude"} + tiny_training("1");
  expect_failure(npz, 1, {"data.npz", "--photons"});
  run_well(npz + Arguments{"--photons", "1e4"});
  run_well({"train", "-o", "RUN", "--resume", "--epochs", "2"});
  run_well({"reconstruct", "RUN", "data.npz", "-o", "recon.h5", "--domain", "amplitude"});
}

TEST_F(cli_workflow, several_scans_train_one_model) {
  simulate_scan("one.h5");
  simulate_scan("two.h5", {"--object-seed", "2", "--seed", "1"});
  const CommandResult result = run_well(Arguments{"train", "one.h5", "two.h5", "-o", "RUN"} + tiny_training("1"));
  EXPECT_NE(result.err.find("96 groups"), std::string::npos) << result.err;
  run_well({"train", "-o", "RUN", "--resume", "--epochs", "2"});
  run_well({"reconstruct", "RUN", "two.h5", "-o", "recon.h5"});
}

TEST_F(cli_workflow, several_images_of_one_scan) {
  simulate_scan("scan.h5", {"--images", "2"});
  EXPECT_EQ(json::parse(run_well({"info", "scan.h5", "--json"}).out)["frames"], 48);
  train("RUN", "1");
  run_well({"reconstruct", "RUN", "scan.h5", "-o", "recon.h5", "--png", "recon.png"});
  const io::Reconstruction recon = io::read_reconstruction(folder.file("recon.h5"));
  EXPECT_EQ(recon.object.depth, 2);
  EXPECT_EQ(recon.weight.size(), recon.object.data.size());
  const size_t half = recon.object.data.size() / 2;
  EXPECT_FALSE(std::equal(recon.object.data.begin(), recon.object.data.begin() + static_cast<std::ptrdiff_t>(half),
                          recon.object.data.begin() + static_cast<std::ptrdiff_t>(half)));
  for (const char* image : {"0", "1"})
    run_well(
        {"evaluate", "recon.h5", "--truth", "scan.h5", "-o", std::string("m") + image + ".json", "--image", image});
  EXPECT_NE(json::parse(text("m0.json"))["amplitude"]["mae"], json::parse(text("m1.json"))["amplitude"]["mae"]);
  expect_failure({"evaluate", "recon.h5", "--truth", "scan.h5", "-o", "m2.json", "--image", "2"}, 1, {"image 2"});
  expect_failure({"reconstruct", "RUN", "scan.h5", "-o", "r.h5", "--polish", "1"}, 1, {"--polish", "2"});
  expect_failure({"refine", "scan.h5", "-o", "r.h5", "--sweeps", "1"}, 1, {"different objects", "--frames"});
  run_well({"refine", "scan.h5", "-o", "r.h5", "--sweeps", "1", "--frames", "0:24"});
  expect_failure({"convert", "scan.h5", "-o", "data.npz"}, 1, {"scan.h5: object: holds 2 images"});
}

TEST_F(cli_workflow, a_benchmarks_record_says_what_it_is) {
  run_well({"bench", "--case", "physics", "--N", "64", "--gridsize", "1", "--batch", "1", "--record", "r.h5"});
  const json facts = json::parse(run_well({"info", "r.h5", "--json"}).out);
  EXPECT_EQ(facts["format"], "ptyfuse-benchmark");
  EXPECT_EQ(facts["case"], "physics");
  EXPECT_EQ(facts["N"], 64);
  io::write_named_arrays(folder.file("own.h5"), R"({"case": "x", "format": "ptyfuse-scan"})", {}, false);
  const json own = json::parse(run_well({"info", "own.h5", "--json"}).out);
  EXPECT_EQ(own, json({{"format", "ptyfuse-benchmark"}, {"case", "x"}}));
  for (const char* config : {"[1]", "\"text\"", "3", "null"}) {
    io::write_named_arrays(folder.file("odd.h5"), config, {}, true);
    expect_failure({"info", "odd.h5"}, 1, {"odd.h5: config: is a JSON", "not an object"});
  }
}

TEST_F(cli_workflow, benchmark_lines) {
  const char* const every[] = {
      "case",          "device",      "threads",           "precision",      "N",      "gridsize",
      "filters_scale", "batch",       "warm_up",           "repeats",        "calls",  "patterns",
      "median_s",      "min_s",       "median_cpu_s",      "patterns_per_s", "flop",   "bytes",
      "flop_per_s",    "bytes_per_s", "device_peak_bytes", "seed",           "version"};
  const Arguments small{"--N",        "64", "--gridsize", "1", "--filters-scale", "0.25", "--batch", "1",
                        "--patterns", "32", "--warm-up",  "0", "--repeats",       "1"};
  std::set<std::string> cases;
  for (const char* suite : {"model", "ops", "io", "machine"}) {
    const CommandResult result =
        run_well(Arguments{"bench", "--suite", suite, "--json", "lines.jsonl", "--force"} + small);
    EXPECT_EQ(text("lines.jsonl"), result.out);
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) {
      const json entry = json::parse(line);
      expect_keys(entry, {std::begin(every), std::end(every)});
      EXPECT_GT(entry["median_s"].get<double>(), 0) << line;
      EXPECT_GT(entry["patterns_per_s"].get<double>(), 0) << line;
      EXPECT_EQ(entry["N"], 64);
      EXPECT_TRUE(cases.insert(entry["case"].get<std::string>()).second) << line;
    }
  }
  for (const char* name : {"unet_forward", "unet_backward", "physics", "train_step", "reconstruct", "stitch", "load"})
    EXPECT_EQ(cases.count(name), 1U) << name;
  // The help lists them all.
  const std::string help = run_well({"bench", "--help"}).out;
  for (const std::string& name : cases) EXPECT_NE(help.find("\n  " + name + " "), std::string::npos) << name;

  EXPECT_EQ(run_well(Arguments{"bench", "--case", "unet_forward", "--record", "record.h5"} + small).out, "");
  EXPECT_TRUE(std::filesystem::exists(folder.file("record.h5")));
  expect_failure({"bench", "--case", "unet_forward", "--record", "record.h5"}, 1, {"record.h5", "--force"});
}

TEST_F(cli_workflow, refinement_goes_on_from_its_own_file_as_it_was) {
  simulate_scan("scan.h5", {"--phase", "tanh"});
  const Arguments first{"refine", "scan.h5", "-o", "a.h5", "--sweeps", "4", "--update-probe", "--update-positions"};
  run_well(first);
  const io::Reconstruction a = io::read_reconstruction(folder.file("a.h5"));
  EXPECT_TRUE(a.positions_corrected);
  EXPECT_GT(a.mean_counts, 0);
  run_well({"refine", "scan.h5", "-o", "b.h5", "--start", "a.h5", "--sweeps", "0"});
  const io::Reconstruction b = io::read_reconstruction(folder.file("b.h5"));
  EXPECT_NEAR(b.residual.front(), a.residual.back(), 1e-6);
  EXPECT_EQ(b.positions_px, a.positions_px);
  EXPECT_TRUE(b.positions_corrected);
  EXPECT_EQ(b.mean_counts, a.mean_counts);
  // Another probe does not go with the object: both are scaled anew.
  run_well({"refine", "scan.h5", "-o", "c.h5", "--start", "a.h5", "--sweeps", "0", "--probe", "scan.h5:probe"});
  EXPECT_GT(std::abs(io::read_reconstruction(folder.file("c.h5")).residual.front() - a.residual.back()), 1e-4);
  // A run too short to move them leaves the scan's positions, and says so.
  const CommandResult brief = run_well({"refine", "scan.h5", "-o", "d.h5", "--sweeps", "2", "--update-positions"});
  EXPECT_NE(brief.err.find("positions stay"), std::string::npos) << brief.err;
  EXPECT_FALSE(io::read_reconstruction(folder.file("d.h5")).positions_corrected);
}

}  // namespace
}  // namespace ptyfuse::tests
