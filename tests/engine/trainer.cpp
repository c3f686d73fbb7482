// Training: same bits twice and across any interruption, several models at once, faults that stop it.
#include "engine/trainer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <thread>

#include "engine/device_memory.h"
#include "engine/option_table.h"
#include "engine/probe.h"
#include "engine/training_set.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"
#include "tests/support/scans.h"

namespace ptyfuse {
namespace {

TrainConfig small_config(int64_t gridsize) {
  TrainConfig c;
  c.gridsize = gridsize;
  c.filters_scale = 0.25;
  c.batch = 2;
  c.epochs = 2;
  c.validation = 0.2;
  c.seed = 5;
  return c;
}

std::vector<float> weights_of(const Trainer& trainer) {
  std::vector<float> all;
  for (const io::NamedTensor& t : trainer.checkpoint().weights) all.insert(all.end(), t.data.begin(), t.data.end());
  return all;
}

const auto keep_nothing = [](const Trainer&) {};

struct Case {
  const char* name;
  TrainConfig config;
  int64_t frames;
};

std::vector<Case> cases() {
  std::vector<Case> list;
  list.push_back({"gridsize1", small_config(1), 9});
  list.push_back({"gridsize2", small_config(2), 9});
  TrainConfig shared = small_config(2);
  shared.network = Network::shared;
  shared.clip = Clip::norm;
  shared.schedule = Schedule::cosine;
  list.push_back({"shared", shared, 9});
  TrainConfig scale = small_config(1);
  scale.train_scale = true;
  scale.mae_weight = 1;
  scale.tv_weight = 1e-5;
  scale.clip = Clip::agc;
  scale.clip_at = 0.01;
  list.push_back({"trained_scale", scale, 7});
  return list;
}

TEST(trainer, same_configuration_gives_same_bits) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    Trainer a(tests::test_device(), c.config, tests::small_scan(c.frames, 64, 1), {});
    Trainer b(tests::test_device(), c.config, tests::small_scan(c.frames, 64, 1), {});
    a.run(keep_nothing);
    b.run(keep_nothing);
    EXPECT_EQ(weights_of(a), weights_of(b));
    ASSERT_EQ(a.history().size(), 2U);
    EXPECT_EQ(a.history().back().loss, b.history().back().loss);
    TrainConfig other = c.config;
    other.seed = 6;
    Trainer d(tests::test_device(), other, tests::small_scan(c.frames, 64, 1), {});
    EXPECT_NE(weights_of(d), weights_of(a));
  }
}

TEST(trainer, resume_after_any_step_gives_the_same_bits) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    Trainer whole(tests::test_device(), c.config, tests::small_scan(c.frames, 64, 1), {});
    whole.run(keep_nothing);
    const int64_t steps = whole.steps_per_epoch() * c.config.epochs;
    for (int64_t stop = 0; stop < steps; ++stop) {
      Trainer first(tests::test_device(), c.config, tests::small_scan(c.frames, 64, 1), {});
      for (int64_t s = 0; s < stop; ++s) first.step();
      Trainer second(tests::test_device(), c.config, tests::small_scan(c.frames, 64, 1), {});
      second.restore(first.checkpoint());
      second.run(keep_nothing);
      ASSERT_EQ(weights_of(second), weights_of(whole)) << "stopped after step " << stop;
      ASSERT_EQ(second.history().size(), whole.history().size());
      EXPECT_EQ(second.history().back().loss, whole.history().back().loss);
    }
  }
}

TEST(trainer, other_patterns_than_those_of_the_run_are_refused) {
  const TrainConfig c = small_config(1);
  const io::Checkpoint saved = Trainer(tests::test_device(), c, tests::small_scan(9, 64, 1), {}).checkpoint();
  Trainer other(tests::test_device(), c, tests::small_scan(9, 64, 2), {});
  other.step();
  const std::vector<float> before = weights_of(other);
  try {
    other.restore(saved);
    FAIL() << "other patterns went unnoticed";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::shape);
    EXPECT_NE(std::string(e.what()).find("these scans hold other patterns than the run was started on"),
              std::string::npos)
        << e.what();
  }
  EXPECT_EQ(weights_of(other), before);
}

TEST(trainer, a_checkpoint_that_stands_where_no_step_can_be_is_refused) {
  const TrainConfig c = small_config(1);
  Trainer trainer(tests::test_device(), c, tests::small_scan(9, 64, 1), {});
  const io::Checkpoint sound = trainer.checkpoint();
  const std::vector<float> before = weights_of(trainer);
  const auto refused = [&](const std::function<void(io::Checkpoint&)>& spoil) {
    io::Checkpoint spoilt = sound;
    spoil(spoilt);
    EXPECT_THROW(trainer.restore(spoilt), Error);
  };
  refused([&](io::Checkpoint& s) { s.step_in_epoch = trainer.steps_per_epoch() + 1; });
  refused([](io::Checkpoint& s) { s.step_in_epoch = -1; });
  refused([](io::Checkpoint& s) { s.epoch = -1; });
  refused([](io::Checkpoint& s) { s.trainer_state.resize(3); });
  for (const size_t counter : {2, 4, 9})
    for (const double value : {double(NAN), double(INFINITY), -1.0, 1e300})
      refused([=](io::Checkpoint& s) { s.trainer_state[counter] = value; });
  EXPECT_EQ(weights_of(trainer), before);
  trainer.restore(sound);
}

TEST(trainer, probe_scale_auto_is_of_the_probe_in_use) {
  const io::ComplexImage flat{1, 64, 64, std::vector<std::complex<float>>(64 * 64, 1.0F)};
  for (const bool mask : {false, true}) {
    TrainConfig c;
    c.probe_mask = mask;
    EXPECT_NEAR(total_power(prepare_probe(c, flat)), 32 * 32 / (0.65 * 0.65), 1e-3) << mask;
  }
}

TEST(trainer, total_variation_adds_to_the_loss) {
  const auto first_loss = [](double tv_weight) {
    TrainConfig c = small_config(2);
    c.tv_weight = tv_weight;
    return Trainer(tests::test_device(), c, tests::small_scan(9, 64, 1), {}).step();
  };
  const double plain = first_loss(0), one = first_loss(1e-3) - plain, two = first_loss(2e-3) - plain;
  EXPECT_GT(one, 0);
  EXPECT_NEAR(two, 2 * one, 1e-6 * two);
}

TEST(trainer, loss_falls) {
  TrainConfig c = small_config(1);
  c.epochs = 12;
  c.validation = 0;
  c.early_stopping = false;
  Trainer t(tests::test_device(), c, tests::small_scan(8, 64, 3), {});
  t.run(keep_nothing);
  EXPECT_LT(t.history().back().loss, t.history().front().loss);
  EXPECT_TRUE(std::isnan(t.history().back().val_loss));
}

TEST(trainer, two_models_side_by_side_equal_each_alone) {
  TrainConfig small = small_config(1), large = small_config(1);
  small.epochs = large.epochs = 1;
  large.precision = PrecisionChoice::bf16;
  const auto alone = [](const TrainConfig& c, int64_t frames, int64_t side) {
    Trainer t(tests::test_device(1), c, tests::small_scan(frames, side, 2), {});
    t.run(keep_nothing);
    return weights_of(t);
  };
  const std::vector<float> small_alone = alone(small, 5, 64), large_alone = alone(large, 4, 128);
  Trainer a(tests::test_device(1), small, tests::small_scan(5, 64, 2), {});
  Trainer b(tests::test_device(1), large, tests::small_scan(4, 128, 2), {});
  std::thread other([&] { b.run(keep_nothing); });
  a.run(keep_nothing);
  other.join();
  EXPECT_EQ(weights_of(a), small_alone);
  EXPECT_EQ(weights_of(b), large_alone);
  // Steps of two models in turn on one thread.
  Trainer c(tests::test_device(1), small, tests::small_scan(5, 64, 2), {});
  Trainer d(tests::test_device(1), large, tests::small_scan(4, 128, 2), {});
  while (!c.finished() || !d.finished()) {
    if (!c.finished()) c.step();
    if (!d.finished()) d.step();
  }
  EXPECT_EQ(weights_of(c), small_alone);
  EXPECT_EQ(weights_of(d), large_alone);
}

TEST(trainer, counts_are_reproduced_by_the_scales) {
  Trainer t(tests::test_device(), small_config(1), tests::small_scan(9, 64, 1), {});
  const io::Checkpoint c = t.checkpoint();
  EXPECT_NEAR(c.measured_scale * c.normalisation, 1, 1e-12);
  EXPECT_NEAR(c.log_scale, std::log(c.measured_scale), 1e-6);
}

// X averages over groups and members, so a frame that two groups hold counts twice.
TEST(trainer, a_frame_counts_as_often_as_groups_hold_it) {
  TrainConfig c = small_config(2);
  c.validation = 0;
  c.groups = 3;
  const auto scan = tests::small_scan(9, 64, 1);
  std::vector<int64_t> frames(9);
  std::iota(frames.begin(), frames.end(), 0);
  GroupingConfig grouping;
  grouping.members = 4;
  grouping.groups = 3;
  grouping.neighbors = c.neighbors;
  grouping.seed = c.seed;
  const std::vector<int64_t> held = make_scan_groups(scan->info(), frames, grouping).index;
  std::vector<float> amplitude(9 * 64 * 64);
  scan->read_amplitude(0, 9, amplitude);
  double power = 0;
  for (const int64_t f : held)
    for (int64_t i = 0; i < 64 * 64; ++i) power += std::pow(amplitude[static_cast<size_t>(f * 64 * 64 + i)], 2);
  const double mean = power / static_cast<double>(held.size());
  const io::Checkpoint saved = Trainer(tests::test_device(), c, tests::small_scan(9, 64, 1), {}).checkpoint();
  EXPECT_NEAR(saved.normalisation, std::sqrt(32 * 32 / mean), 1e-6 * saved.normalisation);
}

TEST(trainer, clip_at_auto_is_1_and_a_hundredth_for_the_adaptive_clip) {
  TrainConfig c = small_config(1);
  c.clip_at = 0;
  c.clip = Clip::norm;
  EXPECT_EQ(Trainer(tests::test_device(), c, tests::small_scan(9, 64, 1), {}).config().clip_at, 1);
  c.clip = Clip::agc;
  EXPECT_EQ(Trainer(tests::test_device(), c, tests::small_scan(9, 64, 1), {}).config().clip_at, 0.01);
  c.clip = Clip::none;
  EXPECT_EQ(Trainer(tests::test_device(), c, tests::small_scan(9, 64, 1), {}).config().clip_at, 0) << "nothing to clip";
}

TEST(trainer, pad_object_auto_judges_the_probe_in_use) {
  io::ScanInfo info = tests::small_scan(6, 64, 1)->info();
  std::fill(info.probe.data.begin(), info.probe.data.end(), 1.0F);  // three quarters outside the central square
  const std::vector<float> amplitude(static_cast<size_t>(6 * 64 * 64), 1.0F);
  for (const bool mask : {false, true}) {
    TrainConfig c = small_config(1);
    c.probe_mask = mask;
    const Trainer t(tests::test_device(), c, io::scan_from_memory(info, amplitude), {});
    EXPECT_EQ(t.config().pad_object, mask ? Toggle::on : Toggle::off);
  }
}

TEST(trainer, stop_saves_and_says_so) {
  RunControl control;
  int asked = 0;
  control.cancelled = [&] { return ++asked > 3; };
  Trainer t(tests::test_device(), small_config(1), tests::small_scan(9, 64, 1), control);
  int saved = 0;
  try {
    t.run([&](const Trainer&) { ++saved; });
    FAIL() << "it went on";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::cancelled);
  }
  EXPECT_EQ(saved, 2);  // before the first step, and at the stop
  EXPECT_EQ(t.checkpoint().step, 3);
}

TEST(trainer, a_loss_that_is_not_finite_stops_without_saving) {
  TrainConfig c = small_config(1);
  Trainer t(tests::test_device(), c, tests::small_scan(9, 64, 1), {});
  io::Checkpoint broken = t.checkpoint();
  broken.weights.front().data.front() = std::numeric_limits<float>::quiet_NaN();
  broken.step = 1;
  t.restore(broken);
  int saved = 0;
  try {
    t.run([&](const Trainer&) { ++saved; });
    FAIL() << "NaN went unnoticed";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::numeric);
    EXPECT_NE(std::string(e.what()).find("epoch 1, step 1"), std::string::npos) << e.what();
  }
  EXPECT_EQ(saved, 0);
}

// One frame goes bad after training has begun: the steps before its own count, its own and those behind it, which a GPU
// has been given before that is known, do not. Each frame in turn, so that it is met first, last and in the middle.
TEST(trainer, a_bad_step_and_those_behind_it_change_nothing) {
  constexpr int64_t frames = 5, frame_bytes = 64 * 64 * sizeof(float);
  TrainConfig c = small_config(1);
  c.validation = 0;
  c.batch = 1;
  c.train_scale = true;
  c.host_memory_bytes = 2 * frames * frame_bytes - 1;  // too little to keep all frames: each epoch reads them anew
  const auto numbers_of = [](const Trainer& trainer) {
    const io::Checkpoint saved = trainer.checkpoint();
    std::vector<float> all;
    for (const auto* tensors : {&saved.weights, &saved.adam_m, &saved.adam_v})
      for (const io::NamedTensor& t : *tensors) all.insert(all.end(), t.data.begin(), t.data.end());
    return all;
  };
  Trainer sound(tests::test_device(), c, tests::small_scan(frames, 64, 1), {});
  std::vector<std::vector<float>> after{numbers_of(sound)};  // so many steps
  while (!sound.finished()) {
    sound.step();
    after.push_back(numbers_of(sound));
  }
  // Of so bright a frame the loss may be a number, its gradient is none.
  for (const auto& [value, part] : {std::pair{std::numeric_limits<float>::quiet_NaN(), "loss"}, {1e17F, ""}}) {
    std::set<int64_t> steps;
    for (int64_t bad = 0; bad < frames; ++bad) {
      SCOPED_TRACE(testing::Message() << value << " in frame " << bad);
      const auto spoilt = std::make_shared<std::atomic<bool>>(false);
      Trainer t(tests::test_device(), c,
                std::make_unique<tests::SpoiltScan>(tests::small_scan(frames, 64, 1), bad, value, spoilt), {});
      *spoilt = true;
      const std::string said = tests::error_message([&] { t.run(keep_nothing); });
      const int64_t step = t.checkpoint().step;
      steps.insert(step);
      EXPECT_NE(said.find(fmt::format("{} is not finite in epoch 1, step {};", part, step + 1)), std::string::npos)
          << said;
      EXPECT_TRUE(numbers_of(t) == after.at(static_cast<size_t>(step)));
      EXPECT_EQ(tests::error_message([&] { t.run(keep_nothing); }), said);
      EXPECT_EQ(tests::error_message([&] { t.step(); }), said);
      *spoilt = false;
      t.run(keep_nothing);
      EXPECT_TRUE(numbers_of(t) == after.back()) << "it does not go on from where the bad step began";
    }
    EXPECT_EQ(steps, (std::set<int64_t>{0, 1, 2, 3, 4}));
  }
}

TEST(trainer, supervised_needs_a_truth_and_learns_it) {
  TrainConfig c = small_config(1);
  c.method = Method::supervised;
  c.tv_weight = 1e-5;
  EXPECT_THROW(Trainer(tests::test_device(), c, tests::small_scan(4, 64, 1), {}), UsageError);
  c.tv_weight = 0;
  try {
    Trainer t(tests::test_device(), c, tests::small_scan(4, 64, 1), {});
    FAIL() << "no truth was needed";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("object"), std::string::npos);
  }
  io::ScanInfo info = tests::small_scan(6, 64, 1)->info();
  std::vector<float> amplitude(static_cast<size_t>(6 * 64 * 64));
  tests::small_scan(6, 64, 1)->read_amplitude(0, 6, amplitude);
  info.object.depth = 1;
  info.object.height = info.object.width = 140;
  info.object.data.assign(140 * 140, std::polar(0.7F, 0.4F));
  info.object_kind = "truth";
  c.epochs = 15;
  c.validation = 0;
  Trainer t(tests::test_device(), c, io::scan_from_memory(info, amplitude), {});
  t.run(keep_nothing);
  EXPECT_EQ(t.network().config().members(), 1);
  EXPECT_LT(t.history().back().loss, 0.6 * t.history().front().loss);
}

// On the CPU, whose account is that of any device.
TEST(trainer, says_which_batch_fits_the_devices_memory) {
  TrainConfig c = small_config(1);
  c.batch = 4;
  c.recompute = Toggle::off;
  const auto limited = [](int64_t bytes) { return Device::cpu({.threads = 2, .memory_limit_bytes = bytes}); };
  const auto train = [](const Device& device, const TrainConfig& config) {
    Trainer trainer(device, config, tests::small_scan(9, 64, 1), {});
    trainer.run(keep_nothing);
    return weights_of(trainer);
  };
  const Device unlimited = limited(0);
  const std::vector<float> expected = train(unlimited, c);
  const int64_t all = unlimited.memory_peak_bytes();
  EXPECT_EQ(train(limited(all), c), expected);
  const std::string said = tests::error_message([&] { train(limited(all - 1), c); });
  EXPECT_NE(said.find("training with --batch 4: out of device memory: buffer '"), std::string::npos) << said;
  EXPECT_EQ(said.find("use a smaller batch"), std::string::npos) << said;
  EXPECT_NE(said.find(". --batch 2 fits, and --batch 4 with --device-memory " + size_option(all) +
                      "; --recompute auto needs less; another batch trains another model"),
            std::string::npos)
      << said;
  c.batch = 2;
  const Device less = limited(all - 1);
  train(less, c);
  EXPECT_LT(less.memory_peak_bytes(), all);
  c.batch = 1;
  const Device one = limited(0);
  train(one, c);
  const std::string none = tests::error_message([&] { train(limited(one.memory_peak_bytes() - 1), c); });
  EXPECT_NE(
      none.find("No smaller --batch fits; --batch 1 needs --device-memory " + size_option(one.memory_peak_bytes())),
      std::string::npos)
      << none;
}

TEST(trainer, runs_stages_again_before_it_refuses_a_batch) {
  TrainConfig c = small_config(1);
  c.batch = 4;
  const auto limited = [](int64_t bytes) { return Device::cpu({.threads = 2, .memory_limit_bytes = bytes}); };
  std::string notices;
  const auto train = [&](const Device& device, Toggle recompute) {
    notices.clear();
    RunControl control;
    control.notice = [&](const std::string& line) { notices += line; };
    c.recompute = recompute;
    Trainer trainer(device, c, tests::small_scan(9, 64, 1), control);
    trainer.run(keep_nothing);
    return weights_of(trainer);
  };
  const Device whole = limited(0), least = limited(0);
  const std::vector<float> expected = train(whole, Toggle::automatic);
  EXPECT_EQ(notices.find("--recompute"), std::string::npos) << notices;
  EXPECT_EQ(train(least, Toggle::on), expected);
  const int64_t all = whole.memory_peak_bytes(), less = least.memory_peak_bytes();
  ASSERT_LT(less, all * 9 / 10);
  for (const int64_t limit : {all, all - 1, less}) {
    const Device device = limited(limit);
    EXPECT_EQ(train(device, Toggle::automatic), expected);
    EXPECT_EQ(notices.find("run again on the way back (--recompute)") != std::string::npos, limit < all) << notices;
    EXPECT_LE(device.memory_peak_bytes(), limit);
  }
  const std::string said = tests::error_message([&] { train(limited(less - 1), Toggle::automatic); });
  EXPECT_NE(said.find("--batch 2 fits, and --batch 4 with --device-memory " + size_option(less) + ";"),
            std::string::npos)
      << said;
}

TEST(trainer, errors_name_the_option) {
  const auto message = [](TrainConfig c, io::Domain domain) -> std::string {
    io::ScanInfo info = tests::small_scan(6, 64, 1)->info();
    std::vector<float> amplitude(static_cast<size_t>(6 * 64 * 64), 1.0F);
    info.domain = domain;
    try {
      Trainer t(tests::test_device(), c, io::scan_from_memory(info, amplitude), {});
    } catch (const std::exception& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_NE(message(small_config(1), io::Domain::amplitude)
                .find("--photons (of plain square roots of counts, 'ptyfuse "
                      "info' names it: mean counts per frame)"),
            std::string::npos);
  TrainConfig c = small_config(1);
  c.groups = 100;
  EXPECT_EQ(message(c, io::Domain::counts), "no error");  // single patterns: at most one group each
  for (const int64_t groups : {6, 7}) {
    std::string notices;
    RunControl control;
    control.notice = [&](const std::string& line) { notices += line; };
    c.groups = groups;
    const Trainer t(tests::test_device(), c, tests::small_scan(6, 64, 1), control);
    EXPECT_EQ(t.group_count(), 6);
    EXPECT_EQ(notices.find("--groups 7: the frames make 6 groups of one pattern") != std::string::npos, groups == 7)
        << notices;
  }
  c = small_config(2);
  c.groups = 100;
  EXPECT_NE(message(c, io::Domain::counts).find("--oversample"), std::string::npos);
  c = small_config(1);
  c.subsample = 7;
  EXPECT_NE(message(c, io::Domain::counts).find("--subsample"), std::string::npos);
  c = small_config(1);
  c.frames = "4:2";
  EXPECT_NE(message(c, io::Domain::counts).find("4:2"), std::string::npos);
  c = small_config(1);
  c.nll_weight = 0;
  EXPECT_NE(message(c, io::Domain::counts).find("--mae-weight"), std::string::npos);
  c = small_config(1);
  c.side_px = 128;
  EXPECT_NE(message(c, io::Domain::counts).find("--N"), std::string::npos);
}

}  // namespace
}  // namespace ptyfuse
