#include "engine/gaussian_filter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "engine/random.h"
#include "kernels/device/error.h"
#include "tests/support/compare.h"

namespace ptyfuse {
namespace {

/// The definition, two-dimensional at once.
double at(const std::vector<double>& image, int64_t h, int64_t w, int64_t y, int64_t x) {
  const auto fold = [](int64_t i, int64_t n) {
    while (i < 0 || i >= n) i = i < 0 ? -1 - i : 2 * n - 1 - i;
    return i;
  };
  return image[static_cast<size_t>(fold(y, h) * w + fold(x, w))];
}
std::vector<double> reference(const std::vector<double>& image, int64_t h, int64_t w, double sigma) {
  const auto r = static_cast<int64_t>(4 * sigma + 0.5);
  std::vector<double> out;
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x) {
      double sum = 0, weights = 0;
      for (int64_t dy = -r; dy <= r; ++dy)
        for (int64_t dx = -r; dx <= r; ++dx) {
          const double weight = std::exp(-0.5 * static_cast<double>(dy * dy + dx * dx) / (sigma * sigma));
          sum += weight * at(image, h, w, y + dy, x + dx);
          weights += weight;
        }
      out.push_back(sum / weights);
    }
  return out;
}

struct Case {
  int64_t height, width;
  double sigma;
};
constexpr Case cases[] = {{1, 1, 1}, {1, 9, 0.5}, {9, 1, 2}, {7, 5, 1}, {16, 13, 0.7}, {5, 4, 3}, {20, 31, 2.3}};

TEST(gaussian_filter, equals_its_definition) {
  for (const Case& c : cases) {
    SCOPED_TRACE(std::to_string(c.height) + " x " + std::to_string(c.width) + " sigma " + std::to_string(c.sigma));
    Random random(static_cast<uint64_t>(c.height * 100 + c.width));
    std::vector<double> image(static_cast<size_t>(c.height * c.width));
    for (double& v : image) v = random.normal();
    const auto out = gaussian_filter(image, c.height, c.width, c.sigma);
    const auto expected = reference(image, c.height, c.width, c.sigma);
    EXPECT_WITHIN(tests::max_difference(out.data(), expected.data(), c.height * c.width), 1e-13);
    for (int64_t first = 0; first <= c.height; ++first)
      for (int64_t rows = 0; rows <= c.height - first; ++rows)
        EXPECT_EQ(gaussian_filter_rows(image, c.height, c.width, c.sigma, first, rows),
                  std::vector<double>(out.begin() + first * c.width, out.begin() + (first + rows) * c.width));
  }
}

TEST(gaussian_filter, numbers_of_scipy) {
  // scipy.ndimage.gaussian_filter([[1, 0, 0, 2], [0, 0, 3, 0], [5, 0, 0, 0]], 1)
  const std::vector<double> image{1, 0, 0, 2, 0, 0, 3, 0, 5, 0, 0, 0};
  const std::vector<double> expected{0.6705443542957867, 0.5729650035946254, 0.7935317095118337, 1.088936295168518,
                                     1.212894577557832,  0.8567589453811005, 0.7725580125917508, 0.7499812718731567,
                                     2.146718571083301,  1.189614788287067,  0.5864993512238269, 0.3589971194312025};
  const auto out = gaussian_filter(image, 3, 4, 1);
  EXPECT_WITHIN(tests::max_difference(out.data(), expected.data(), 12), 1e-14);
}

TEST(gaussian_filter, zero_sigma_copies_and_faults_are_named) {
  const std::vector<double> image{1, 2, 3, 4, 5, 6};
  EXPECT_EQ(gaussian_filter(image, 2, 3, 0), image);
  EXPECT_TRUE(gaussian_filter({}, 0, 3, 1).empty());
  EXPECT_THROW(gaussian_filter(image, 2, 2, 1), Error);
  EXPECT_THROW(gaussian_filter(image, 2, 3, -1), Error);
  EXPECT_THROW(gaussian_filter(image, 2, 3, NAN), Error);
  EXPECT_THROW(gaussian_filter_rows(image, 2, 3, 1, 1, 2), Error);
  EXPECT_THROW(gaussian_filter_rows(image, 2, 3, 1, -1, 1), Error);
}

}  // namespace
}  // namespace ptyfuse
