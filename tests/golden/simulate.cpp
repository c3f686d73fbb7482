// Probes, lines images and grid scans against recorded results (simulate.h5).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/pattern_model.h"
#include "engine/probe.h"
#include "engine/scan_plan.h"
#include "engine/simulator.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/golden.h"

namespace ptyfuse {
namespace {

using io::ComplexImage;
using tests::GoldenFile;
using tests::max_difference;

ComplexImage read_probe(const GoldenFile& file, const std::string& dataset) {
  const std::vector<int64_t> shape = file.shape(dataset);
  return {1, shape.at(0), shape.at(1), file.read<std::complex<float>>(dataset)};
}

void expect_probe(const ComplexImage& probe, const GoldenFile& file, const std::string& dataset, double tolerance) {
  SCOPED_TRACE(dataset);
  const auto expected = file.read<std::complex<float>>(dataset);
  ASSERT_EQ(probe.data.size(), expected.size());
  EXPECT_WITHIN(max_difference(probe.data.data(), expected.data(), static_cast<int64_t>(expected.size())), tolerance);
}

/// Seeds of the recorded lines images "lines/seedK_image0", ascending: training, then test.
std::vector<uint64_t> line_seeds(const GoldenFile& file) {
  std::vector<uint64_t> seeds;
  for (const std::string& name : file.children("lines"))
    if (name.starts_with("seed") && name.ends_with("_image0")) seeds.push_back(std::stoull(name.substr(4)));
  std::sort(seeds.begin(), seeds.end());
  return seeds;
}

TEST(golden, simulate_probes) {
  SKIP_WITHOUT_GOLDEN("simulate.h5");
  const GoldenFile file("simulate.h5");
  for (const std::string& name : file.children("probe")) {
    const std::string group = "probe/" + name;
    SCOPED_TRACE(group);
    const auto expected = file.read<double>(group + "/default");
    const auto side = static_cast<int64_t>(file.shape(group + "/default").at(0));
    const ComplexImage probe = default_probe(side);
    ASSERT_EQ(probe.data.size(), expected.size());
    EXPECT_WITHIN(max_difference(probe.data.data(), expected.data(), side * side), 1e-7);
    expect_probe(normalise_probe(probe, 4), file, group + "/normalised", 1e-6);
    const auto mask = file.read<uint8_t>(group + "/mask");
    const std::vector<float> support = probe_support(side);
    EXPECT_EQ(std::vector<uint8_t>(support.begin(), support.end()), mask);
  }
}

TEST(golden, simulate_probe_pipeline) {
  SKIP_WITHOUT_GOLDEN("simulate.h5");
  const GoldenFile file("simulate.h5");
  const ComplexImage input = read_probe(file, "pipeline/input");
  const auto phase = file.read<double>("pipeline/unwrapped_phase");
  const auto steps = [](const ComplexImage& probe, const std::string& text) {
    return apply_probe_pipeline(probe, parse_probe_pipeline(text));
  };
  for (const std::string& name : file.children("pipeline")) {
    const std::string mask = "mask_diameter_";
    if (name.starts_with(mask))
      expect_probe(steps(input, "mask:" + name.substr(mask.size())), file, "pipeline/" + name, 0);
    if (!file.has_attribute("pipeline/" + name, "pipeline")) continue;
    const std::string text = file.text_attribute("pipeline/" + name, "pipeline");
    SCOPED_TRACE(text);
    // The first step that needs the input's phase takes the recorded one; what follows runs as a user would run it.
    const std::string first = text.substr(0, text.find('|'));
    const std::string rest = first.size() == text.size() ? "" : text.substr(first.size() + 1);
    const ProbeStep step = parse_probe_pipeline(first).at(0);
    ComplexImage probe;
    double tolerance = 1e-5;
    switch (step.kind) {
      case ProbeStep::Kind::smooth:
        probe = smooth_with_phase(input, phase, step.value);
        break;
      case ProbeStep::Kind::pad_extrapolate:
        probe = pad_extrapolate_with_phase(input, phase, static_cast<int64_t>(step.value));
        tolerance = 1e-4;
        break;
      default:
        probe = steps(input, first);
    }
    expect_probe(steps(probe, rest), file, "pipeline/" + name, tolerance);
  }
}

TEST(golden, simulate_unwrapped_phase) {
  SKIP_WITHOUT_GOLDEN("simulate.h5");
  const GoldenFile file("simulate.h5");
  const ComplexImage input = read_probe(file, "pipeline/input");
  const auto expected = file.read<double>("pipeline/unwrapped_phase");
  std::vector<double> wrapped;
  for (const auto& value : input.data) wrapped.push_back(std::arg(std::complex<double>(value)));
  const std::vector<double> out = unwrap_phase(wrapped, input.height, input.width);
  const auto middle = static_cast<size_t>(input.height / 2 * input.width + input.width / 2);
  const double constant = expected[middle] - out[middle];
  // The order among the outermost pixels is random in the recording program: there one or two may differ.
  int different = 0;
  for (int64_t y = 0; y < input.height; ++y)
    for (int64_t x = 0; x < input.width; ++x) {
      const auto at = static_cast<size_t>(y * input.width + x);
      const bool edge = y == 0 || x == 0 || y + 1 == input.height || x + 1 == input.width;
      const double error = std::abs(out[at] + constant - expected[at]);
      if (edge && !(error <= 1e-5))
        ++different;
      else
        EXPECT_WITHIN(error, 1e-5);
    }
  EXPECT_LE(different, 4);
}

TEST(golden, simulate_probe_guess) {
  SKIP_WITHOUT_GOLDEN("simulate.h5");
  const GoldenFile file("simulate.h5");
  const auto x = file.read<double>("probe_guess/X");
  const auto shape = file.shape("probe_guess/X");  // [groups, N, N, members]
  const int64_t side = shape.at(1), members = shape.at(3);
  std::vector<double> mean(static_cast<size_t>(side * side), 0);
  for (size_t i = 0; i < x.size(); ++i)
    mean[i / static_cast<size_t>(members) % mean.size()] += x[i] / static_cast<double>(shape.at(0) * members);
  const ComplexImage guess = guess_probe(std::vector<float>(mean.begin(), mean.end()), side);
  const auto expected = file.read<float>("probe_guess/guess");
  EXPECT_WITHIN(max_difference(guess.data.data(), expected.data(), side * side), 1e-6);
}

TEST(golden, simulate_lines) {
  SKIP_WITHOUT_GOLDEN("simulate.h5");
  const GoldenFile file("simulate.h5");
  ASSERT_GE(line_seeds(file).size(), 2u);
  for (const uint64_t seed : line_seeds(file)) {
    const std::string name = "lines/seed" + std::to_string(seed) + "_image0";
    SCOPED_TRACE(name);
    const auto expected = file.read<float>(name);
    const auto means = file.attribute<double>(name, "means"), maxima = file.attribute<double>(name, "maxima");
    const auto images = lines_images(file.shape(name).at(0), static_cast<int64_t>(means.size()), seed);
    std::vector<double> amplitude;
    for (size_t n = 0; n < images.size(); ++n) {
      double mean = 0, largest = 0;
      for (double value : images[n]) {
        mean += value / static_cast<double>(images[n].size());
        largest = std::max(largest, value);
      }
      EXPECT_WITHIN(std::abs(mean - means[n]), 1e-7);
      EXPECT_WITHIN(std::abs(largest - maxima[n]), 1e-7);
      amplitude.insert(amplitude.end(), images[n].begin(), images[n].end());
    }
    const auto pixels = static_cast<int64_t>(expected.size());
    EXPECT_WITHIN(max_difference(images.at(0).data(), expected.data(), pixels), 1e-6);
    if (!file.has(name + "_phi")) continue;
    std::vector<double> phase(amplitude.size());
    tanh_phase(amplitude, phase);
    const auto expected_phase = file.read<double>(name + "_phi");
    EXPECT_WITHIN(max_difference(phase.data(), expected_phase.data(), pixels), 1e-6);
  }
}

/// The reference's training and test grid of one recorded case.
class GridCase {
 public:
  GridCase(const GoldenFile& file, const std::string& group, double step_px, uint64_t object_seed) {
    config_.side_px = number(file, group, "N");
    config_.gridsize = number(file, group, "gridsize");
    config_.images = number(file, group, "images");
    config_.phase = number(file, group, "set_phi") ? PhaseKind::tanh : PhaseKind::none;
    config_.step_px = step_px;
    config_.object_seed = object_seed;
    config_.size_px = file.shape("lines/seed" + std::to_string(object_seed) + "_image0").at(0);
    objects = simulate_object(config_);
    plan = plan_scan(config_, objects);
    for (auto& value : objects.data) value /= static_cast<float>(plan.norm);
    members = plan.group_members;
    side = config_.side_px;
  }

  /// Frames of groups first .. first + count in the recorded order [count,N,N,C].
  std::vector<float> amplitudes(const ComplexImage& probe, int64_t first, int64_t count) const {
    const int64_t frames = count * members, pixels = side * side;
    std::vector<float> flat(static_cast<size_t>(frames * pixels)), out(flat.size());
    PatternModel model(tests::test_device(), objects, probe, frames);
    const auto from = static_cast<size_t>(first * members), size = static_cast<size_t>(frames);
    model.amplitudes(std::span(plan.positions_px).subspan(from, size), std::span(plan.object_index).subspan(from, size),
                     flat);
    for (int64_t frame = 0; frame < frames; ++frame)
      for (int64_t i = 0; i < pixels; ++i) out[channel_last(frame, i)] = flat[static_cast<size_t>(frame * pixels + i)];
    return out;
  }

  size_t channel_last(int64_t frame, int64_t pixel) const {
    return static_cast<size_t>(((frame / members) * side * side + pixel) * members + frame % members);
  }
  /// The object under pixel i of a frame; positions are whole.
  std::complex<double> object_at(int64_t frame, int64_t pixel) const {
    const auto& [y, x] = plan.positions_px.at(static_cast<size_t>(frame));
    const int64_t row = static_cast<int64_t>(y) - side / 2 + pixel / side;
    const int64_t column = static_cast<int64_t>(x) - side / 2 + pixel % side;
    const int64_t image = plan.object_index.at(static_cast<size_t>(frame));
    return objects.data.at(static_cast<size_t>((image * objects.height + row) * objects.width + column));
  }

  static int64_t number(const GoldenFile& file, const std::string& group, const std::string& name) {
    return file.attribute<int64_t>(group, name).at(0);
  }

  ComplexImage objects;
  ScanPlan plan;
  int64_t members = 0, side = 0;

 private:
  SimulateConfig config_;
};

TEST(golden, simulate_grid) {
  SKIP_WITHOUT_GOLDEN("simulate.h5");
  const GoldenFile file("simulate.h5");
  const auto number = [&](const std::string& group, const char* name) {
    return file.attribute<double>(group, name).at(0);
  };
  const auto expect_frames = [&](const std::vector<float>& frames, const std::string& dataset) {
    SCOPED_TRACE(dataset);
    const auto expected = file.read<float>(dataset);
    ASSERT_EQ(frames.size(), expected.size());
    EXPECT_WITHIN(max_difference(frames.data(), expected.data(), static_cast<int64_t>(expected.size())), 3e-6);
  };
  const std::vector<uint64_t> seeds = line_seeds(file);
  for (const std::string& name : file.children("grid")) {
    const std::string group = "grid/" + name;
    SCOPED_TRACE(group);
    const ComplexImage probe = read_probe(file, group + "/probe");
    expect_probe(normalise_probe(probe, 4), file, group + "/probe", 1e-6);
    if (name.find("ideal") != std::string::npos)
      expect_probe(normalise_probe(default_probe(probe.width), 4), file, group + "/probe", 1e-6);

    const GridCase train(file, group, 4, seeds.at(0)), test(file, group, 10, seeds.at(1));
    const auto patterns = static_cast<int64_t>(train.plan.positions_px.size());
    EXPECT_EQ(patterns, GridCase::number(file, group, "patterns"));
    EXPECT_EQ(patterns / train.members, GridCase::number(file, group, "groups"));
    EXPECT_EQ(static_cast<int64_t>(test.plan.positions_px.size()) / test.members,
              GridCase::number(file, group, "test_groups"));
    EXPECT_WITHIN(std::abs(train.plan.norm / number(group, "norm_Y_I") - 1), 1e-6);
    EXPECT_WITHIN(std::abs(test.plan.norm / number(group, "test_norm_Y_I") - 1), 1e-6);
    const double power = PatternModel(tests::test_device(), train.objects, probe, 1)
                             .mean_power(train.plan.positions_px, train.plan.object_index);
    EXPECT_WITHIN(std::abs(power / number(group, "mean_sum_X2") - 1), 1e-6);
    EXPECT_WITHIN(std::abs(std::sqrt(1e9 / power) / number(group, "s_sim") - 1), 1e-6);

    const int64_t groups = file.shape(group + "/X_first").at(0);
    expect_frames(train.amplitudes(probe, 0, groups), group + "/X_first");
    expect_frames(train.amplitudes(probe, GridCase::number(file, group + "/X_mid", "index"), 1), group + "/X_mid");
    expect_frames(test.amplitudes(probe, 0, file.shape(group + "/X_test_first").at(0)), group + "/X_test_first");

    std::vector<float> illuminated(static_cast<size_t>(groups * train.members * train.side * train.side));
    std::vector<double> phase(illuminated.size());
    for (int64_t frame = 0; frame < groups * train.members; ++frame)
      for (int64_t i = 0; i < train.side * train.side; ++i) {
        const std::complex<double> object = train.object_at(frame, i);
        const std::complex<double> wave = object * std::complex<double>(probe.data[static_cast<size_t>(i)]);
        illuminated[train.channel_last(frame, i)] = static_cast<float>(std::abs(wave));
        phase[train.channel_last(frame, i)] = std::arg(object);
      }
    expect_frames(illuminated, group + "/Y_I_first");
    const auto expected_phase = file.read<double>(group + "/Y_phi_first");
    ASSERT_EQ(phase.size(), expected_phase.size());
    EXPECT_WITHIN(max_difference(phase.data(), expected_phase.data(), static_cast<int64_t>(phase.size())), 1e-6);

    // Recorded centres are those of the pixels (N-1)/2, ours of index N/2; with several images each is listed as often.
    const auto x = file.read<double>(group + "/centre_x"), y = file.read<double>(group + "/centre_y");
    const auto offsets = file.read<double>(group + "/offsets_first");  // [rows, 1, (x,y), members]
    const auto members = static_cast<size_t>(train.members), images = static_cast<size_t>(train.objects.depth);
    ASSERT_EQ(offsets.size(), 2 * x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t recorded_group = i / members, our_group = recorded_group / images;
      const auto& position = train.plan.positions_px.at(our_group * members + i % members);
      EXPECT_EQ(position[0] - 0.5, y[i]);
      EXPECT_EQ(position[1] - 0.5, x[i]);
      std::array<double, 2> mean{};
      for (size_t c = 0; c < members; ++c)
        for (size_t axis : {0, 1})
          mean[axis] += train.plan.positions_px.at(our_group * members + c)[axis] / static_cast<double>(members);
      EXPECT_EQ(mean[1] - position[1], offsets[2 * recorded_group * members + i % members]);
      EXPECT_EQ(mean[0] - position[0], offsets[(2 * recorded_group + 1) * members + i % members]);
    }
  }
}

}  // namespace
}  // namespace ptyfuse
