// Training, reconstruction and refinement on a GPU beside the same on the CPU: the seeds, groups and patterns are
// equal, so that only the kernels' rounding differs.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/reconstructor.h"
#include "engine/refine.h"
#include "engine/trainer.h"
#include "engine/training_set.h"
#include "tests/support/compare.h"
#include "tests/support/scans.h"
#include "tests/support/source_folder.h"

namespace ptyfuse {
namespace {

Device cpu() {
  return Device::cpu({.threads = 2});
}
Device gpu() {
  return Device::cuda({.threads = 2});
}

TrainConfig small_config(int64_t gridsize) {
  TrainConfig c;
  c.gridsize = gridsize;
  c.filters_scale = 0.25;
  c.batch = 2;
  c.validation = 0;
  c.seed = 5;
  c.precision = PrecisionChoice::fp32;
  return c;
}

using OpenScan = std::function<std::unique_ptr<io::ScanReader>()>;

std::unique_ptr<io::ScanReader> made_up() {
  return tests::small_scan(9, 64, 1);
}
// N = 128. A made-up pattern is hard for the likelihood: where next to no counts are expected, the last bits of the
// transform decide.
std::unique_ptr<io::ScanReader> measured() {
  return io::open_scan((tests::source_folder() / "tests/data/siemens_star.h5").string());
}

struct Case {
  const char* name;
  TrainConfig config;
  OpenScan open_scan;
};

std::vector<Case> cases() {
  std::vector<Case> list;
  TrainConfig one = small_config(1);
  one.frames = "0:3";
  one.batch = 1;
  list.push_back({"measured_patterns", one, measured});
  TrainConfig four = small_config(2);
  four.clip = Clip::norm;
  list.push_back({"four_patterns_merged", four, made_up});
  TrainConfig shared = small_config(2);
  shared.network = Network::shared;
  shared.nll_weight = 0;
  shared.mae_weight = 1;
  shared.clip = Clip::agc;
  shared.clip_at = 0.01;
  list.push_back({"shared_network_mae", shared, made_up});
  TrainConfig scale = small_config(1);
  scale.nll_weight = 0;
  scale.mae_weight = 1;
  scale.train_scale = true;
  scale.tv_weight = 1e-5;
  scale.clip = Clip::value;
  scale.clip_at = 0.01;
  list.push_back({"trained_scale_and_tv", scale, made_up});
  return list;
}

std::vector<double> losses(const Device& device, const TrainConfig& config, const OpenScan& open_scan) {
  Trainer trainer(device, config, open_scan(), {});
  std::vector<double> list;
  for (int s = 0; s < 3; ++s) list.push_back(trainer.step());
  return list;
}

std::vector<float> weights_of(const Trainer& trainer) {
  std::vector<float> all;
  for (const io::NamedTensor& t : trainer.checkpoint().weights) all.insert(all.end(), t.data.begin(), t.data.end());
  return all;
}

TEST(cuda_training, gives_the_losses_of_the_cpu) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const std::vector<double> expected = losses(cpu(), c.config, c.open_scan);
    const std::vector<double> found = losses(gpu(), c.config, c.open_scan);
    for (size_t s = 0; s < expected.size(); ++s) {
      SCOPED_TRACE(s);
      EXPECT_WITHIN(std::abs(found[s] / expected[s] - 1), 1e-3);
    }
    EXPECT_WITHIN(std::abs(found[0] / expected[0] - 1), 1e-5);
    EXPECT_WITHIN(1e-4, std::abs(expected.back() / expected.front() - 1));
  }
}

TEST(cuda_training, in_bfloat16_stays_near_float32) {
  TrainConfig c = small_config(2);
  const std::vector<double> expected = losses(cpu(), c, made_up);
  c.precision = PrecisionChoice::bf16;
  const std::vector<double> found = losses(gpu(), c, made_up);
  for (size_t s = 0; s < expected.size(); ++s) EXPECT_WITHIN(std::abs(found[s] / expected[s] - 1), 2e-2);
  EXPECT_NE(expected.front(), found.front());
}

TEST(cuda_training, gives_the_same_bits_twice_and_after_a_resume) {
  TrainConfig c = small_config(2);
  c.precision = PrecisionChoice::bf16;
  const auto make = [&] { return Trainer(gpu(), c, made_up(), {}); };
  Trainer one = make(), two = make(), three = make();
  for (int s = 0; s < 2; ++s) one.step();
  two.step();
  three.restore(two.checkpoint());
  three.step();
  two.step();
  EXPECT_EQ(weights_of(one), weights_of(two));
  EXPECT_EQ(weights_of(one), weights_of(three));
}

void expect_object_of_the_cpu(int64_t gridsize, StitchRule rule) {
  const io::Checkpoint model = Trainer(cpu(), small_config(gridsize), made_up(), {}).checkpoint();
  ReconstructConfig config;
  config.stitch = rule;
  config.polish_sweeps = 1;
  config.precision = PrecisionChoice::fp32;
  const io::Reconstruction expected = Reconstructor(cpu(), model, config).run(made_up, {});
  Reconstructor on_gpu(gpu(), model, config);
  const io::Reconstruction found = on_gpu.run(made_up, {});
  ASSERT_EQ(found.object.data.size(), expected.object.data.size());
  EXPECT_WITHIN(tests::relative_l2(found.object.data.data(), expected.object.data.data(),
                                   static_cast<int64_t>(expected.object.data.size())),
                1e-4);
  EXPECT_WITHIN(std::abs(found.residual.back() / expected.residual.back() - 1), 1e-4);
  EXPECT_EQ(on_gpu.run(made_up, {}).object.data, found.object.data);
}

TEST(cuda_reconstruction, of_one_pattern_gives_the_object_of_the_cpu) {
  expect_object_of_the_cpu(1, StitchRule::crop);
}

TEST(cuda_reconstruction, of_four_patterns_gives_the_object_of_the_cpu) {
  expect_object_of_the_cpu(2, StitchRule::probe);
}

TEST(cuda_refinement, gives_the_object_and_probe_of_the_cpu) {
  const RefineConfig config{.sweeps = 3, .batch = 4, .update_probe = true, .modes = 2, .frames = "0:12"};
  const auto reader = measured();
  const RefineState start = flat_start(reader->info(), reader->info().probe, mean_counts(cpu(), *reader, "0:12"));
  RefineState expected = start, found = start;
  refine(cpu(), *measured(), config, expected, {});
  refine(gpu(), *measured(), config, found, {});
  ASSERT_EQ(found.residual.size(), expected.residual.size());
  for (size_t s = 0; s < expected.residual.size(); ++s)
    EXPECT_WITHIN(std::abs(found.residual[s] / expected.residual[s] - 1), 1e-4);
  EXPECT_WITHIN(tests::relative_l2(found.object.data.data(), expected.object.data.data(),
                                   static_cast<int64_t>(expected.object.data.size())),
                1e-3);
  EXPECT_WITHIN(tests::relative_l2(found.probe.data.data(), expected.probe.data.data(),
                                   static_cast<int64_t>(expected.probe.data.size())),
                1e-3);
}

}  // namespace
}  // namespace ptyfuse
