#include "engine/simulator.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "engine/probe.h"
#include "kernels/device/error.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/reference_pattern.h"

namespace ptyfuse {
namespace {

using io::ComplexImage;

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

class Simulate : public testing::Test {
 protected:
  Simulate() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              (std::string("ptyfuse_") + test->name() + "_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~Simulate() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static SimulateConfig small() {
    SimulateConfig config;
    config.size_px = 48;
    config.side_px = 16;
    config.images = 2;
    config.photons = 1e5;
    config.step_px = 5;
    config.gridsize = 2;
    config.phase = PhaseKind::tanh;
    return config;
  }
  static std::vector<float> frames(const std::string& file) {
    const auto reader = io::open_scan(file);
    const io::ScanInfo& info = reader->info();
    std::vector<float> out(static_cast<size_t>(info.frames * info.side_px * info.side_px));
    reader->read_amplitude(0, info.frames, out);
    return out;
  }

  std::filesystem::path folder_;
};

TEST_F(Simulate, noise_free_file_explains_itself) {
  SimulateConfig config = small();
  config.poisson_noise = false;
  const SimulateSummary summary = simulate(tests::test_device(), config, path("scan.h5"), false, {});
  const auto reader = io::open_scan(path("scan.h5"));
  const io::ScanInfo& info = reader->info();
  EXPECT_EQ(info.domain, io::Domain::amplitude);
  EXPECT_EQ(info.object_kind, "truth");
  EXPECT_EQ(info.object.depth, 2);
  EXPECT_EQ(info.group_members, 4);
  EXPECT_EQ(info.frames, 2 * 6 * 6 * 4);
  EXPECT_EQ(summary.patterns, info.frames);
  EXPECT_EQ(summary.groups, 72);
  ASSERT_EQ(info.groups.size(), 288u);
  for (int64_t i = 0; i < 288; ++i) EXPECT_EQ(info.groups[static_cast<size_t>(i)], i);
  ASSERT_EQ(info.object_index.size(), 288u);
  ASSERT_TRUE(info.photons_per_pattern.has_value());
  EXPECT_WITHIN(std::abs(*info.photons_per_pattern - 1e5), 1e-3);
  EXPECT_EQ(info.frame_type, "float32");

  const std::vector<float> support = probe_support(16);
  double sum = 0;
  for (size_t i = 0; i < support.size(); ++i) sum += static_cast<double>(support[i] * std::abs(info.probe.data[i]));
  EXPECT_WITHIN(std::abs(sum - 16 * 16 / config.probe_scale), 1e-3);

  // Object, probe and positions of the file give its frames, but for the intensity scale.
  const std::vector<float> amplitude = frames(path("scan.h5"));
  double power = 0;
  for (float value : amplitude) power += static_cast<double>(value) * static_cast<double>(value) / 288;
  EXPECT_WITHIN(std::abs(power - 1e5), 1);
  for (size_t frame : {size_t{0}, size_t{5}, size_t{150}, size_t{287}}) {
    std::vector<double> expected =
        tests::reference_pattern(info.object, info.object_index[frame], info.probe, info.positions_px[frame]);
    for (double& value : expected) value *= summary.intensity_scale;
    EXPECT_WITHIN(tests::relative_l2(amplitude.data() + frame * 256, expected.data(), 256), 1e-6);
  }
  // Amplitudes of the object were divided by the mean of the regions' maxima.
  SimulateConfig plain = config;
  const ComplexImage raw = simulate_object(plain);
  EXPECT_WITHIN(std::abs(static_cast<double>(std::abs(raw.data[77]) / std::abs(info.object.data[77])) - summary.norm),
                1e-5);
}

TEST_F(Simulate, counts_are_poisson_and_repeat) {
  SimulateConfig config = small();
  const SimulateSummary summary = simulate(tests::test_device(1), config, path("one.h5"), false, {});
  simulate(tests::test_device(2), config, path("two.h5"), false, {});
  const std::vector<float> one = frames(path("one.h5"));
  EXPECT_EQ(one, frames(path("two.h5")));
  const auto reader = io::open_scan(path("one.h5"));
  EXPECT_EQ(reader->info().domain, io::Domain::counts);
  EXPECT_EQ(reader->info().frame_type, "uint32");

  config.poisson_noise = false;
  simulate(tests::test_device(), config, path("clean.h5"), false, {});
  const std::vector<float> clean = frames(path("clean.h5"));
  double deviation = 0, total = 0, expected_total = 0, pixels = 0;
  for (size_t i = 0; i < one.size(); ++i) {
    const double counts = static_cast<double>(one[i]) * static_cast<double>(one[i]);
    const double mean = static_cast<double>(clean[i]) * static_cast<double>(clean[i]);
    EXPECT_WITHIN(std::abs(counts - std::nearbyint(counts)), 1e-6 * counts + 1e-9);
    total += counts;
    expected_total += mean;
    if (mean < 5) continue;
    deviation += (counts - mean) * (counts - mean) / mean;
    pixels += 1;
  }
  EXPECT_WITHIN(std::abs(total - expected_total), 5 * std::sqrt(expected_total));
  ASSERT_GT(pixels, 10000);
  EXPECT_WITHIN(std::abs(deviation / pixels - 1), 5 * std::sqrt(2.2 / pixels));

  config = small();
  config.seed = 1;
  simulate(tests::test_device(), config, path("other.h5"), false, {});
  EXPECT_NE(frames(path("other.h5")), one);
  EXPECT_GT(summary.intensity_scale, 0);
}

TEST_F(Simulate, test_set_takes_the_training_scale) {
  SimulateConfig config = small();
  config.poisson_noise = false;
  const double scale = simulate(tests::test_device(), config, path("train.h5"), false, {}).intensity_scale;
  config.object_seed = 2;
  config.intensity_scale = scale;
  config.scan = ScanKind::random;
  config.gridsize = 1;
  config.patterns = 20;
  const SimulateSummary test = simulate(tests::test_device(), config, path("test.h5"), false, {});
  EXPECT_EQ(test.intensity_scale, scale);
  EXPECT_EQ(test.groups, 0);
  const auto reader = io::open_scan(path("test.h5"));
  EXPECT_TRUE(reader->info().groups.empty());
  EXPECT_WITHIN(std::abs(*reader->info().photons_per_pattern - scale * scale * test.mean_power), 1e-6);
  double power = 0;
  for (float value : frames(path("test.h5"))) power += static_cast<double>(value) * static_cast<double>(value) / 20;
  EXPECT_WITHIN(std::abs(power / (scale * scale * test.mean_power) - 1), 1e-5);
}

TEST_F(Simulate, faults_are_told_and_leave_nothing) {
  const auto fault = [&](const std::function<void(SimulateConfig&)>& change) {
    SimulateConfig config = small();
    change(config);
    return message_of([&] { simulate(tests::test_device(), config, path("scan.h5"), false, {}); });
  };
  EXPECT_NE(fault([](SimulateConfig& c) { c.photons = 0; }).find("--photons"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.photons = 1e15; }).find("--noise none"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.intensity_scale = -1; }).find("intensity scale"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.size_px = 10; }).find("--size"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.object = ObjectKind::file; }).find("--object FILE"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.object_seed = uint64_t{1} << 40; }).find("2^32"), std::string::npos);
  EXPECT_NE(fault([](SimulateConfig& c) { c.probe_scale = 0; }).find("probe scale"), std::string::npos);
  EXPECT_NE(fault([&](SimulateConfig& c) { c.probe = path("absent.h5"); }).find("absent.h5"), std::string::npos);
  const std::string wrong_side = fault([](SimulateConfig& c) { c.probe_pipeline = "pad:32"; });
  EXPECT_NE(wrong_side.find("32 x 32 px after --probe-pipeline and --N is 16"), std::string::npos) << wrong_side;
  EXPECT_NE(wrong_side.find("pad_extrapolate:16|smooth:0.5"), std::string::npos) << wrong_side;
  RunControl stop;
  stop.cancelled = [] { return true; };
  try {
    simulate(tests::test_device(), small(), path("scan.h5"), false, stop);
    ADD_FAILURE() << "was not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::cancelled);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));

  std::ofstream(path("scan.h5")) << "mine";
  EXPECT_NE(fault([](SimulateConfig&) {}).find("scan.h5"), std::string::npos);
  std::ifstream kept(path("scan.h5"));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(kept), {}), "mine");
  int reports = 0;
  double done = 0;
  RunControl watch;
  watch.progress = [&](const ProgressEvent& event) {
    if (event.unit != "patterns") {
      EXPECT_EQ(event.total, 100) << event.unit;
      return;
    }
    ++reports;
    done = event.done;
    EXPECT_EQ(event.total, 288);
  };
  simulate(tests::test_device(), small(), path("scan.h5"), true, watch);
  EXPECT_GE(reports, 1);
  EXPECT_EQ(done, 288);
}

TEST_F(Simulate, probe_and_object_from_a_file) {
  SimulateConfig config = small();
  simulate(tests::test_device(), config, path("first.h5"), false, {});
  const auto first = io::open_scan(path("first.h5"));
  SimulateConfig again = config;
  again.object = ObjectKind::file;
  again.object_file = path("first.h5");
  again.phase = PhaseKind::none;  // the file's own phase
  again.probe = path("first.h5") + ":probe";
  again.probe_pipeline = "pad:20";
  again.side_px = 20;
  again.poisson_noise = false;
  const SimulateSummary summary = simulate(tests::test_device(), again, path("second.h5"), false, {});
  const auto second = io::open_scan(path("second.h5"));
  ASSERT_EQ(second->info().object.data.size(), first->info().object.data.size());
  for (size_t i = 0; i < 100; ++i)
    EXPECT_WITHIN(
        std::abs(second->info().object.data[i] * static_cast<float>(summary.norm) - first->info().object.data[i]),
        1e-5);
  EXPECT_EQ(second->info().probe.width, 20);
  EXPECT_NE(message_of([&] {
              SimulateConfig other = config;
              other.side_px = 20;
              other.probe = path("first.h5");
              simulate(tests::test_device(), other, path("third.h5"), false, {});
            }).find("is 16 x 16 px and --N is 20"),
            std::string::npos);
}

}  // namespace
}  // namespace ptyfuse
