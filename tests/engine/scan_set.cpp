#include "engine/scan_set.h"

#include <gtest/gtest.h>

#include <numeric>

#include "engine/training_set.h"
#include "tests/support/scans.h"

namespace ptyfuse {
namespace {

std::unique_ptr<io::ScanReader> two_scans() {
  std::vector<std::unique_ptr<io::ScanReader>> scans;
  scans.push_back(tests::small_scan(5, 16, 1));
  scans.push_back(tests::small_scan(7, 16, 2));
  return join_scans(std::move(scans));
}

TEST(scan_set, frames_follow_each_other_across_the_joint) {
  const auto joined = two_scans();
  EXPECT_EQ(joined->info().frames, 12);
  EXPECT_EQ(joined->info().positions_px.size(), 12U);
  std::vector<float> got(6 * 256), first(5 * 256), second(7 * 256);
  joined->read_amplitude(2, 6, got);
  tests::small_scan(5, 16, 1)->read_amplitude(0, 5, first);
  tests::small_scan(7, 16, 2)->read_amplitude(0, 7, second);
  std::vector<float> expected(first.begin() + 2 * 256, first.end());
  expected.insert(expected.end(), second.begin(), second.begin() + 3 * 256);
  EXPECT_EQ(got, expected);
}

TEST(scan_set, groups_never_mix_scans) {
  const auto joined = two_scans();  // both lie on the same positions
  std::vector<int64_t> frames;
  for (int64_t f = 0; f < 12; ++f) frames.push_back(f);
  GroupingConfig config;
  config.members = 4;
  config.groups = 0;
  const Groups groups = make_scan_groups(joined->info(), frames, config);
  EXPECT_EQ(groups.count(), 12);
  for (int64_t g = 0; g < groups.count(); ++g)
    for (int64_t c = 1; c < 4; ++c)
      EXPECT_EQ(groups.index[static_cast<size_t>(g * 4)] < 5, groups.index[static_cast<size_t>(g * 4 + c)] < 5);
}

TEST(scan_set, exactly_the_groups_asked_for_whatever_the_number_of_images) {
  std::vector<std::unique_ptr<io::ScanReader>> scans;
  for (uint64_t seed = 0; seed < 4; ++seed) scans.push_back(tests::small_scan(5, 16, seed));
  const auto joined = join_scans(std::move(scans));
  std::vector<int64_t> frames(20);
  std::iota(frames.begin(), frames.end(), int64_t{0});
  for (const int64_t members : {1, 4})
    for (const int64_t groups : {1, 2, 3, 4, 5, 7, 19, 20})
      EXPECT_EQ(make_scan_groups(joined->info(), frames, {.members = members, .groups = groups}).count(), groups)
          << members << " members";
}

TEST(scan_set, sides_must_agree) {
  std::vector<std::unique_ptr<io::ScanReader>> scans;
  scans.push_back(tests::small_scan(5, 16, 1));
  scans.push_back(tests::small_scan(5, 32, 1));
  EXPECT_THROW(join_scans(std::move(scans)), Error);
  EXPECT_THROW(join_scans({}), Error);
}

// A scan of 16 x 16 pixels of the given domain and mask.
std::unique_ptr<io::ScanReader> flat_scan(io::Domain domain, std::vector<uint8_t> mask) {
  io::ScanInfo info = tests::small_scan(5, 16, 1)->info();
  info.domain = domain;
  info.mask = std::move(mask);
  return io::scan_from_memory(std::move(info), std::vector<float>(5 * 256, 1));
}

TEST(scan_set, counts_do_not_join_amplitudes) {
  std::vector<std::unique_ptr<io::ScanReader>> scans;
  scans.push_back(flat_scan(io::Domain::counts, {}));
  scans.push_back(flat_scan(io::Domain::amplitude, {}));
  EXPECT_THROW(join_scans(std::move(scans)), Error);
}

TEST(scan_set, uses_the_pixels_that_every_scan_uses) {
  std::vector<uint8_t> first(256, 1), third(256, 1), both(256, 1);
  first[3] = third[200] = both[3] = both[200] = 0;
  std::vector<std::unique_ptr<io::ScanReader>> scans;
  for (const auto& mask : {std::vector<uint8_t>{}, first, third}) scans.push_back(flat_scan(io::Domain::counts, mask));
  EXPECT_EQ(join_scans(std::move(scans))->info().mask, both);
}

TEST(scan_set, a_list_of_files_gives_the_names_back) {
  for (const std::vector<std::string>& files :
       {std::vector<std::string>{}, {"a.h5"}, {"a.h5", "b c.h5"}, {"10:30.h5", "x"}, {":", "a:b:c"}, {"back\\slash"}})
    EXPECT_EQ(files_of_list(file_list(files)), files) << file_list(files);
  EXPECT_EQ(files_of_list("a:b"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(files_of_list(":a::b:"), (std::vector<std::string>{"a", "b"}));
}

TEST(training_set, split_is_seeded_complete_and_without_overlap) {
  const GroupSplit a = split_groups(100, 0.05, 1), b = split_groups(100, 0.05, 1), c = split_groups(100, 0.05, 2);
  EXPECT_EQ(a.validation.size(), 5U);
  EXPECT_EQ(a.validation, b.validation);
  EXPECT_NE(a.validation, c.validation);
  std::vector<int64_t> all = a.training;
  all.insert(all.end(), a.validation.begin(), a.validation.end());
  std::sort(all.begin(), all.end());
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(all[static_cast<size_t>(i)], i);
  EXPECT_EQ(split_groups(1, 0.9, 0).training.size(), 1U);
}

TEST(training_set, scales_follow_section_0_3) {
  const Scales counts = make_scales("scan.h5", io::Domain::counts, 64, 4096, 0);
  EXPECT_NEAR(counts.normalisation, 0.5, 1e-12);
  EXPECT_NEAR(counts.measured_scale, 2, 1e-12);
  const Scales amplitude = make_scales("scan.h5", io::Domain::amplitude, 64, 4096, 1e9);
  EXPECT_NEAR(amplitude.measured_scale, 988.2117688, 1e-6);
  EXPECT_THROW(make_scales("scan.h5", io::Domain::counts, 64, 0, 0), Error);
}

TEST(training_set, truth_patches_are_cut_at_the_positions) {
  io::ScanInfo info = tests::small_scan(4, 16, 1)->info();
  info.object.depth = 1;
  info.object.height = info.object.width = 40;
  for (int64_t y = 0; y < 40; ++y)
    for (int64_t x = 0; x < 40; ++x) info.object.data.emplace_back(static_cast<float>(y), static_cast<float>(x));
  info.positions_px[2] = {18.25, 20.5};
  std::vector<float> amplitude, phase;
  truth_patches(info, {2}, amplitude, phase);
  const auto expected = std::complex<double>(18.25 - 8 + 3, 20.5 - 8 + 5);  // pixel [3,5], on a linear field
  EXPECT_NEAR(amplitude[3 * 16 + 5], std::abs(expected), 1e-4);
  EXPECT_NEAR(phase[3 * 16 + 5], std::arg(expected), 1e-6);
}

}  // namespace
}  // namespace ptyfuse
