// Refinement of the measured scan that the project carries (tests/data/NOTICE); figures of the method in PyTorch stand
// beside the limits.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "engine/metrics.h"
#include "engine/refine.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/golden.h"
#include "tests/support/source_folder.h"

namespace ptyfuse {
namespace {

const std::string path = tests::source_folder() / "tests/data/siemens_star.h5";

// Rows and columns 68:396 in the pixels of the reference.
FieldImage middle(const io::ComplexImage& object, std::array<int64_t, 2> origin_px) {
  constexpr int64_t first = 68, last = 396;
  FieldImage out{last - first, last - first, {}};
  for (int64_t y = first; y < last; ++y)
    for (int64_t x = first; x < last; ++x)
      out.data.emplace_back(object.data[static_cast<size_t>((y - origin_px[0]) * object.width + x - origin_px[1])]);
  return out;
}

double contrast(const RefineState& state, const io::ScanInfo& scan) {
  return compare(middle(state.object, state.origin_px), middle(scan.object, {0, 0}), PhaseAlign::plane)
      .contrast.value.value_or(0);
}

TEST(refine_star, five_sweeps_from_flat_with_a_good_probe) {
  auto reader = io::open_scan(path);
  const Device device = tests::test_device();
  const tests::GoldenFile file(path);
  const auto shape = file.shape("reference_probe_1mode");
  const io::ComplexImage probe{shape[0], shape[1], shape[2], file.read<std::complex<float>>("reference_probe_1mode")};
  RefineState state = flat_start(reader->info(), probe, mean_counts(device, *reader, ""));
  refine(device, *reader, {.sweeps = 5}, state, {});
  EXPECT_GE(contrast(state, reader->info()), 0.98);  // .978 with steps that keep their length
  EXPECT_WITHIN(std::abs(state.residual[0] - 0.2662), 0.001);
  EXPECT_LT(state.residual[5], 0.152);  // .1599 with steps that keep their length
}

TEST(refine_star, five_sweeps_from_flat_with_a_poor_probe) {
  auto reader = io::open_scan(path);
  const Device device = tests::test_device();
  RefineState state = flat_start(reader->info(), reader->info().probe, mean_counts(device, *reader, ""));
  refine(device, *reader, {.sweeps = 5, .update_probe = true}, state, {});
  // .935; .94 with steps that keep their length, with R .181. After twenty: .986, with them .979.
  EXPECT_GE(contrast(state, reader->info()), 0.93);
  EXPECT_LT(state.residual.back(), 0.165);  // .162
}

}  // namespace
}  // namespace ptyfuse
