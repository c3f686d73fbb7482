// overlap_metrics.h5: metrics 1 to 3 from the published definition.
#include "engine/overlap.h"
#include "tests/support/compare.h"
#include "tests/support/golden.h"

namespace ptyfuse::tests {
namespace {

constexpr const char* name = "overlap_metrics.h5";

TEST(golden, overlap_fraction) {
  SKIP_WITHOUT_GOLDEN(name);
  const GoldenFile file(name);
  const auto distances = file.read<double>("fraction/d_over_D"), expected = file.read<double>("fraction/f");
  ASSERT_FALSE(distances.empty());
  for (size_t i = 0; i < distances.size(); ++i) {
    EXPECT_WITHIN(std::abs(disc_overlap_fraction(distances[i], 1) - expected.at(i)), 1e-9);
    EXPECT_WITHIN(std::abs(disc_overlap_fraction(7 * distances[i], 7) - expected.at(i)), 1e-9);
  }
}

TEST(golden, overlap_metrics) {
  SKIP_WITHOUT_GOLDEN(name);
  const GoldenFile file(name);
  int cases = 0;
  for (const std::string& item : file.children()) {
    if (!file.has(item + "/positions_xy")) continue;
    SCOPED_TRACE(item);
    ++cases;
    const auto xy = file.read<double>(item + "/positions_xy");
    std::vector<std::array<double, 2>> positions;
    for (size_t i = 0; i + 1 < xy.size(); i += 2) positions.push_back({xy[i + 1], xy[i]});
    OverlapConfig config;
    config.gridsize = file.attribute<int64_t>(item, "gridsize").at(0);
    config.neighbor_count = file.attribute<int64_t>(item, "neighbor_count").at(0);
    config.probe_diameter_px = file.attribute<double>(item, "probe_diameter_px").at(0);
    const io::OverlapReport got = overlap_metrics(positions, file.read<int64_t>(item + "/groups"), config);
    const double first = file.attribute<double>(item, "metric_1").at(0);
    ASSERT_EQ(got.metric_1.value.has_value(), !std::isnan(first)) << got.metric_1.why;
    if (got.metric_1.value) EXPECT_WITHIN(std::abs(*got.metric_1.value - first), 1e-9);
    EXPECT_WITHIN(std::abs(got.metric_2 - file.attribute<double>(item, "metric_2").at(0)), 1e-9);
    EXPECT_WITHIN(std::abs(got.metric_3 - file.attribute<double>(item, "metric_3").at(0)), 1e-9);
    EXPECT_WITHIN(
        std::abs(got.geometry_acceptance_bound - file.attribute<double>(item, "geometry_acceptance_bound").at(0)),
        1e-9);
  }
  EXPECT_GT(cases, 0);
}

}  // namespace
}  // namespace ptyfuse::tests
