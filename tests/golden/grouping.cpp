// Candidates, invariants and offsets of groups against the reference's (tests/data/golden/README.md).
#include "engine/grouping.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/device/error.h"
#include "kernels/ops/normalise.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/golden.h"

namespace ptyfuse {
namespace {

using tests::GoldenFile;

std::vector<PositionPx> positions_of(const GoldenFile& file) {
  const auto xy = file.read<double>("positions_xy");
  std::vector<PositionPx> out;
  for (size_t i = 0; i < xy.size(); i += 2) out.push_back({xy[i + 1], xy[i]});
  return out;
}

std::set<int64_t> row(const std::vector<int64_t>& table, int64_t width, int64_t i) {
  return {table.begin() + i * width, table.begin() + (i + 1) * width};
}

// Groups of the file named "K<number>" that hold candidates.
std::vector<std::string> candidate_sets(const GoldenFile& file) {
  std::vector<std::string> found;
  for (const std::string& name : file.children("/"))
    if (name.starts_with("K") && file.has(name + "/candidates")) found.push_back(name);
  return found;
}

TEST(golden, grouping_candidates) {
  SKIP_WITHOUT_GOLDEN("grouping.h5");
  const GoldenFile file("grouping.h5");
  const auto positions = positions_of(file);
  const auto sets = candidate_sets(file);
  ASSERT_FALSE(sets.empty());
  for (const std::string& name : sets) {
    const int64_t k = file.shape(name + "/candidates")[1], count = static_cast<int64_t>(positions.size());
    const auto candidates = file.read<int64_t>(name + "/candidates");
    const auto ordered = file.read<int64_t>(name + "/neighbours_with_self");
    const auto found = nearest_neighbors(positions, k);
    ASSERT_EQ(found.size(), candidates.size());
    for (int64_t s = 0; s < count; ++s) {
      EXPECT_EQ(row(found, k, s), row(candidates, k, s)) << name << " position " << s;
      for (int64_t n = 0; n < k; ++n)
        EXPECT_EQ(found[static_cast<size_t>(s * k + n)], ordered[static_cast<size_t>(s * (k + 1) + n + 1)]);
    }
  }
}

TEST(golden, grouping_invariants) {
  SKIP_WITHOUT_GOLDEN("grouping.h5");
  const GoldenFile file("grouping.h5");
  const auto positions = positions_of(file);
  for (const std::string& name : candidate_sets(file)) {
    const int64_t k = file.shape(name + "/candidates")[1], count = static_cast<int64_t>(positions.size());
    const auto candidates = file.read<int64_t>(name + "/candidates");
    // As the reference draws them (without the seed) and as the paper does (with it).
    for (bool exclude : {true, false}) {
      const Groups groups = make_groups(positions, {.members = 4, .neighbors = k, .exclude_seed = exclude, .seed = 1});
      ASSERT_EQ(groups.count(), count);
      for (int64_t g = 0; g < count; ++g) {
        const auto members = row(groups.index, 4, g);
        const auto pool = row(candidates, k, g);
        EXPECT_EQ(members.size(), 4u);
        EXPECT_EQ(members.count(g), exclude ? 0u : 1u);
        for (int64_t m : members) EXPECT_TRUE(m == g || pool.count(m)) << name << " group " << g << " member " << m;
      }
    }
  }
}

TEST(golden, grouping_oversampling) {
  SKIP_WITHOUT_GOLDEN("grouping.h5");
  const GoldenFile file("grouping.h5");
  const auto positions = positions_of(file);
  const auto shape = file.shape("oversampling/example_groups");
  const auto recorded = file.attribute<int64_t>("oversampling/example_groups", "distinct_sets").at(0);
  const int64_t k = 7;  // of the description
  const Groups groups = make_groups(
      positions,
      {.members = shape[1], .groups = shape[0], .neighbors = k, .oversample = true, .exclude_seed = true, .seed = 1});
  ASSERT_EQ(groups.count(), shape[0]);
  const auto candidates = file.read<int64_t>("K7/candidates");
  std::set<std::set<int64_t>> distinct;
  for (int64_t g = 0; g < groups.count(); ++g) {
    const auto members = row(groups.index, shape[1], g);
    distinct.insert(members);
    bool in_a_pool = false;
    for (int64_t s = 0; s < static_cast<int64_t>(positions.size()) && !in_a_pool; ++s) {
      const auto pool = row(candidates, k, s);
      in_a_pool = std::includes(pool.begin(), pool.end(), members.begin(), members.end());
    }
    EXPECT_TRUE(in_a_pool) << g;
  }
  EXPECT_GT(static_cast<double>(distinct.size()), 0.95 * static_cast<double>(recorded));
}

TEST(golden, grouping_relative_offsets) {
  SKIP_WITHOUT_GOLDEN("grouping.h5");
  const GoldenFile file("grouping.h5");
  const auto positions = positions_of(file);
  const int64_t members = file.shape("relative/groups")[1];
  const Groups groups = groups_from_index(positions, file.read<int64_t>("relative/groups"), members);
  const auto centre = file.read<double>("relative/coords_offsets");     // [G,1,2,1], [x,y]
  const auto relative = file.read<double>("relative/coords_relative");  // [G,1,2,C]
  for (int64_t g = 0; g < groups.count(); ++g)
    for (int64_t axis = 0; axis < 2; ++axis) {
      EXPECT_WITHIN(std::abs(groups.centre_px[static_cast<size_t>(g)][static_cast<size_t>(1 - axis)] -
                             centre[static_cast<size_t>(g * 2 + axis)]),
                    1e-10);
      for (int64_t c = 0; c < members; ++c)
        EXPECT_WITHIN(
            std::abs(static_cast<double>(groups.offsets_px[static_cast<size_t>((g * members + c) * 2 + 1 - axis)]) -
                     relative[static_cast<size_t>((g * 2 + axis) * members + c)]),
            1e-5);
    }
}

TEST(golden, grouping_errors) {
  SKIP_WITHOUT_GOLDEN("grouping.h5");
  const GoldenFile file("grouping.h5");
  const auto positions = positions_of(file);
  const int64_t more = static_cast<int64_t>(positions.size()) + 1;
  const std::string errors = file.text_attribute("/", "errors");
  EXPECT_NE(errors.find("n_groups>S without opt-in"), std::string::npos);
  EXPECT_THROW(make_groups(positions, {.members = 4, .groups = more}), Error);
  EXPECT_NE(errors.find("oversampling with pool<C"), std::string::npos);
  EXPECT_THROW(make_groups(positions, {.members = 4, .groups = more, .neighbors = 3, .oversample = true}), Error);
  EXPECT_NE(errors.find("K<C"), std::string::npos);
  EXPECT_THROW(make_groups(positions, {.members = 4, .neighbors = 3, .exclude_seed = true}), Error);
}

TEST(golden, grouping_normalise) {
  SKIP_WITHOUT_GOLDEN("grouping.h5");
  const GoldenFile file("grouping.h5");
  const auto shape = file.shape("normalize/diffraction");  // [G,N,N,C]
  const auto amplitude = file.read<float>("normalize/diffraction"), expected = file.read<float>("normalize/X");
  Stream stream(tests::test_device());
  const auto in = tests::upload<float>(stream, {shape[0], shape[1], shape[2], shape[3]}, amplitude);
  Tensor<float> out(stream.device(), in.shape(), "X");
  const double half = static_cast<double>(shape[1]) / 2, images = static_cast<double>(shape[0] * shape[3]);
  const double factor = std::sqrt(half * half / (ops::sum_of_squares(stream, in.view()) / images));
  ops::scale(stream, in.view(), static_cast<float>(factor), out.view());
  EXPECT_WITHIN(tests::relative_l2(tests::download(stream, out).data(), expected.data(), out.elements()), 1e-7);
}

}  // namespace
}  // namespace ptyfuse
