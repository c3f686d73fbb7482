// Probes, lines images and grid scans against recorded results (simulate.h5).
#include <gtest/gtest.h>

#include <cmath>

#include "engine/probe.h"
#include "tests/support/compare.h"
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
  expect_probe(steps(input, "mask:40"), file, "pipeline/mask_diameter_40", 0);
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

}  // namespace
}  // namespace ptyfuse
