// metrics.h5: the reference's evaluation, registration and alignment, to the tolerances of golden/README.md.
#include "engine/metrics.h"

#include "tests/support/compare.h"
#include "tests/support/golden.h"

namespace ptyfuse::tests {
namespace {

constexpr const char* name = "metrics.h5";

FieldImage field(const GoldenFile& file, const std::string& item) {
  const auto shape = file.shape(item);
  return {shape.at(0), shape.at(1), file.read<std::complex<double>>(item)};
}

FieldImage trimmed(const FieldImage& image, int64_t trim) {
  return crop(image, {trim, image.height - trim, trim, image.width - trim});
}

std::vector<std::string> cases(const GoldenFile& file) {
  std::vector<std::string> out;
  for (const std::string& item : file.children()) {
    if (file.has(item + "/prediction")) out.push_back(item);
  }
  return out;
}

void expect_figures(const GoldenFile& file, const std::string& group, const Comparison& got) {
  SCOPED_TRACE(group);
  const struct {
    const char* name;
    Measure ChannelMetrics::*figure;
    double tolerance;
  } figures[] = {{"mae", &ChannelMetrics::mae, 1e-6},
                 {"mse", &ChannelMetrics::mse, 1e-7},
                 {"psnr", &ChannelMetrics::psnr_255, 1e-5},
                 {"ssim", &ChannelMetrics::ssim, 1e-6},
                 {"ms_ssim", &ChannelMetrics::ms_ssim, 1e-6},
                 {"frc50", &ChannelMetrics::frc50_bin, 1e-3},
                 {"frc1over7", &ChannelMetrics::frc1over7_bin, 1e-3}};
  for (const auto& figure : figures) {
    SCOPED_TRACE(figure.name);
    const auto expected = file.read<double>(group + "/" + figure.name);
    const Measure amplitude = got.amplitude.*figure.figure, phase = got.phase.*figure.figure;
    ASSERT_TRUE(amplitude.value) << amplitude.why;
    ASSERT_TRUE(phase.value) << phase.why;
    EXPECT_WITHIN(std::abs(*amplitude.value - expected.at(0)), figure.tolerance);
    EXPECT_WITHIN(std::abs(*phase.value - expected.at(1)), figure.tolerance);
  }
  for (const auto& [dataset, curve] :
       {std::pair(group + "/frc_amplitude", &got.amplitude.frc), std::pair(group + "/frc_phase", &got.phase.frc)}) {
    if (!file.has(dataset)) continue;
    SCOPED_TRACE(dataset);
    const auto expected = file.read<double>(dataset);
    ASSERT_EQ(curve->size(), expected.size());
    EXPECT_WITHIN(max_difference(curve->data(), expected.data(), static_cast<int64_t>(expected.size())), 5e-4);
  }
}

TEST(golden, metrics_of_every_case) {
  SKIP_WITHOUT_GOLDEN(name);
  const GoldenFile file(name);
  const int64_t trim = file.attribute<int64_t>("/", "offset").at(0) / 2;
  const FieldImage truth = trimmed(field(file, "ground_truth"), trim);
  ASSERT_FALSE(cases(file).empty());
  for (const std::string& item : cases(file)) {
    const FieldImage prediction = trimmed(field(file, item + "/prediction"), trim);
    expect_figures(file, item + "/plane", compare(prediction, truth, PhaseAlign::plane));
    expect_figures(file, item + "/mean", compare(prediction, truth, PhaseAlign::mean));
  }
}

TEST(golden, metrics_after_registration) {
  SKIP_WITHOUT_GOLDEN(name);
  const GoldenFile file(name);
  const int64_t trim = file.attribute<int64_t>("/", "offset").at(0) / 2;
  const FieldImage truth = field(file, "ground_truth");
  constexpr int64_t registration_crop = 2;
  for (const std::string& item : cases(file)) {
    SCOPED_TRACE(item);
    const FieldImage prediction = field(file, item + "/prediction");
    const auto expected = file.read<double>(item + "/registration_offset_dydx");
    const std::array<double, 2> shift = register_shift(truth, prediction, 50);
    EXPECT_WITHIN(std::abs(shift[0] - expected.at(0)), 0.02 + 1e-6);
    EXPECT_WITHIN(std::abs(shift[1] - expected.at(1)), 0.02 + 1e-6);

    // With the recorded shift, so that a tie between two steps leaves the rest comparable.
    const FieldImage aligned = trimmed(fourier_shift(prediction, {expected[0], expected[1]}), registration_crop);
    const FieldImage recorded = field(file, item + "/aligned");
    ASSERT_EQ(aligned.data.size(), recorded.data.size());
    EXPECT_WITHIN(max_difference(aligned.data.data(), recorded.data.data(), static_cast<int64_t>(recorded.data.size())),
                  1e-6);
    expect_figures(file, item + "/after_registration",
                   compare(trimmed(recorded, trim), trimmed(field(file, item + "/aligned_ground_truth"), trim),
                           PhaseAlign::plane));
  }
}

TEST(golden, align_for_evaluation) {
  SKIP_WITHOUT_GOLDEN(name);
  const GoldenFile file(name);
  FieldImage truth = field(file, "align/ground_truth"), reconstruction = field(file, "align/reconstruction");
  const auto scan = file.read<double>("align/scan_yx");
  std::vector<std::array<double, 2>> positions;
  for (size_t i = 0; i + 1 < scan.size(); i += 2) positions.push_back({scan[i], scan[i + 1]});
  const int64_t crop_px = file.read<int64_t>("align/M").at(0);
  truth = crop(truth, scan_rectangle(positions, crop_px, truth.height, truth.width));
  centre_crop_to_common(reconstruction, truth);
  for (const auto& [dataset, image] :
       {std::pair("align/aligned_ground_truth", &truth), std::pair("align/aligned_reconstruction", &reconstruction)}) {
    const FieldImage expected = field(file, dataset);
    ASSERT_EQ(image->height, expected.height);
    ASSERT_EQ(image->width, expected.width);
    EXPECT_EQ(image->data, expected.data) << dataset;
  }
}

TEST(golden, plane_removed) {
  SKIP_WITHOUT_GOLDEN(name);
  const GoldenFile file(name);
  const FieldImage truth = field(file, "ground_truth");
  RealImage phase{truth.height, truth.width, {}};
  for (const auto value : truth.data) phase.data.push_back(std::arg(value));
  const RealImage level = remove_plane(phase);
  const auto expected = file.read<double>("primitives/plane_removed");
  ASSERT_EQ(level.data.size(), expected.size());
  EXPECT_WITHIN(max_difference(level.data.data(), expected.data(), static_cast<int64_t>(expected.size())), 1e-6);
}

}  // namespace
}  // namespace ptyfuse::tests
