// Training on a GPU launches a step as one graph for each batch size, and looks at its loss one step later: bit for bit
// what the same steps give one by one, each given as it is and waited for.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <set>

#include "engine/trainer.h"
#include "tests/support/random_data.h"
#include "tests/support/scans.h"

namespace ptyfuse {
namespace {

struct State {
  std::vector<float> weights, m, v;
  std::vector<double> losses;  // of epochs
  friend bool operator==(const State& a, const State& b) {
    const auto same = [](const auto& x, const auto& y) {
      return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof x[0]) == 0;
    };
    return same(a.weights, b.weights) && same(a.m, b.m) && same(a.v, b.v) && same(a.losses, b.losses);
  }
};

State state_of(const Trainer& trainer) {
  State state;
  const io::Checkpoint c = trainer.checkpoint();
  for (const auto& [from, to] : {std::pair{&c.weights, &state.weights}, {&c.adam_m, &state.m}, {&c.adam_v, &state.v}})
    for (const io::NamedTensor& t : *from) to->insert(to->end(), t.data.begin(), t.data.end());
  for (const HistoryRow& row : trainer.history()) state.losses.push_back(row.loss);
  return state;
}

// Five training groups in batches of 2, 2 and 1, the learning rate another in each step.
TrainConfig small_config() {
  TrainConfig c;
  c.filters_scale = 0.25;
  c.batch = 2;
  c.epochs = 2;
  c.validation = 0;
  c.schedule = Schedule::cosine;
  c.seed = 5;
  return c;
}

std::unique_ptr<io::ScanReader> scan_of(const TrainConfig& c) {
  auto plain = tests::small_scan(5, 64, 1);
  if (c.method != Method::supervised) return plain;
  io::ScanInfo info = plain->info();
  std::vector<float> amplitude(static_cast<size_t>(5 * 64 * 64));
  plain->read_amplitude(0, 5, amplitude);
  info.object.depth = 1;
  info.object.height = info.object.width = 140;
  info.object.data.assign(140 * 140, std::polar(0.7F, 0.4F));
  info.object_kind = "truth";
  return io::scan_from_memory(info, amplitude);
}

void expect_equal_steps(const TrainConfig& c) {
  const Device gpu = Device::cuda({.threads = 2});
  Trainer whole(gpu, c, scan_of(c), {});
  whole.run([](const Trainer&) {});
  Trainer one_by_one(gpu, c, scan_of(c), {});
  while (!one_by_one.finished()) {
    one_by_one.step();
    one_by_one.restore(one_by_one.checkpoint());  // forgets what was recorded
  }
  EXPECT_TRUE(state_of(whole) == state_of(one_by_one));
  EXPECT_EQ(whole.history().back().step, 6);
}

TEST(cuda_training_graph, clipped_by_norm_with_the_scale_trained) {
  TrainConfig c = small_config();
  c.clip = Clip::norm;
  c.clip_at = 0.01;
  c.train_scale = true;
  expect_equal_steps(c);
}

TEST(cuda_training_graph, clipped_tensor_by_tensor_with_total_variation) {
  TrainConfig c = small_config();
  c.clip = Clip::agc;
  c.tv_weight = 1e-5;
  c.nll_weight = 0;
  c.mae_weight = 1;
  expect_equal_steps(c);
}

TEST(cuda_training_graph, supervised_and_clipped_by_value) {
  TrainConfig c = small_config();
  c.method = Method::supervised;
  c.clip = Clip::value;
  c.clip_at = 1e-4;
  expect_equal_steps(c);
}

TEST(cuda_training_graph, stages_that_run_again_give_the_same_bits) {
  for (const Method method : {Method::pinn, Method::supervised}) {
    TrainConfig c = small_config();
    c.method = method;
    c.recompute = Toggle::off;
    const Device gpu = Device::cuda({.threads = 2});
    Trainer kept(gpu, c, scan_of(c), {});
    const int64_t kept_bytes = gpu.memory_in_use_bytes();
    kept.run([](const Trainer&) {});
    c.recompute = Toggle::on;
    const Device other = Device::cuda({.threads = 2});
    Trainer again(other, c, scan_of(c), {});
    EXPECT_LT(other.memory_in_use_bytes(), kept_bytes);
    again.run([](const Trainer&) {});
    EXPECT_TRUE(state_of(again) == state_of(kept));
  }
}

// One frame goes bad after training has begun: the steps before its own count, its own and the one behind it, which the
// GPU has been given before that is known, do not.
TEST(cuda_training_graph, a_bad_step_and_the_one_behind_it_change_nothing) {
  constexpr int64_t frames = 4, frame_bytes = 64 * 64 * sizeof(float);
  TrainConfig c = small_config();
  c.gridsize = 1;
  c.batch = 1;
  c.epochs = 1;
  c.host_memory_bytes = 2 * frames * frame_bytes - 1;  // too little to keep all frames: each epoch reads them anew
  const Device gpu = Device::cuda({.threads = 2});
  Trainer sound(gpu, c, tests::small_scan(frames, 64, 1), {});
  std::vector<State> after{state_of(sound)};  // so many steps
  while (!sound.finished()) {
    sound.step();
    after.push_back(state_of(sound));
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::set<int64_t> steps;
  for (int64_t bad = 0; bad < frames; ++bad) {
    SCOPED_TRACE(bad);
    const auto spoilt = std::make_shared<std::atomic<bool>>(false);
    Trainer t(gpu, c, std::make_unique<tests::SpoiltScan>(tests::small_scan(frames, 64, 1), bad, nan, spoilt), {});
    *spoilt = true;
    const std::string said = tests::error_message([&] { t.run([](const Trainer&) {}); });
    const int64_t step = t.checkpoint().step;
    steps.insert(step);
    EXPECT_NE(said.find("loss is not finite in epoch 1, step " + std::to_string(step + 1) + ";"), std::string::npos)
        << said;
    EXPECT_TRUE(state_of(t) == after.at(static_cast<size_t>(step)));
    *spoilt = false;
    t.run([](const Trainer&) {});
    EXPECT_TRUE(state_of(t) == after.back()) << "it does not go on from where the bad step began";
  }
  EXPECT_EQ(steps, (std::set<int64_t>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace ptyfuse
