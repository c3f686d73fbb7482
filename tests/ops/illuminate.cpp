#include "kernels/ops/illuminate.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

struct Case {
  int64_t images, modes, height, width;
};
const Case cases[] = {{0, 1, 4, 4}, {1, 1, 1, 1}, {3, 1, 64, 64}, {2, 3, 7, 9}, {70000, 2, 1, 2}};

class Illuminate : public testing::TestWithParam<Case> {
 protected:
  Shape patches() const { return {GetParam().images, GetParam().height, GetParam().width}; }
  Shape probe() const { return {GetParam().modes, GetParam().height, GetParam().width}; }
  Shape waves() const { return {GetParam().images, GetParam().modes, GetParam().height, GetParam().width}; }
};

TEST_P(Illuminate, multiplies_every_mode_and_has_its_adjoint) {
  Stream stream(test_device());
  const auto patch = upload<complex64>(stream, patches(), random_complex(patches().elements(), 1));
  const auto modes = upload<complex64>(stream, probe(), random_complex(probe().elements(), 2));
  const auto cotangent = upload<complex64>(stream, waves(), random_complex(waves().elements(), 3));
  Tensor<complex64> psi(stream.device(), waves(), "psi"), back(stream.device(), patches(), "back");
  ops::illuminate(stream, patch.view(), modes.view(), psi.view());
  ops::illuminate_adjoint(stream, cotangent.view(), modes.view(), back.view());
  const HostCopy host_patch(stream, patch), host_modes(stream, modes), host_cotangent(stream, cotangent),
      host_psi(stream, psi), host_back(stream, back);
  double worst = 0;
  for (int64_t n = 0; n < GetParam().images; ++n)
    for (int64_t k = 0; k < GetParam().modes; ++k)
      for (int64_t y = 0; y < GetParam().height; ++y)
        for (int64_t x = 0; x < GetParam().width; ++x)
          worst = std::max(
              worst, std::abs(std::complex<double>(host_psi(n, k, y, x)) -
                              std::complex<double>(host_patch(n, y, x)) * std::complex<double>(host_modes(k, y, x))));
  EXPECT_WITHIN(worst, 2e-6);
  const auto left = inner_product(host_psi.data(), host_cotangent.data(), psi.elements());
  const auto right = inner_product(host_patch.data(), host_back.data(), patch.elements());
  EXPECT_WITHIN(std::abs(left - right), 1e-6 * std::sqrt(static_cast<double>(psi.elements())));
}

INSTANTIATE_TEST_SUITE_P(illuminate, Illuminate, testing::ValuesIn(cases));

TEST(illuminate, one_pixel_by_hand) {
  Stream stream(test_device());
  const auto patch = upload<complex64>(stream, {1, 1, 1}, {{2, 1}});
  const auto modes = upload<complex64>(stream, {2, 1, 1}, {{0, 1}, {3, 0}});
  const auto waves = upload<complex64>(stream, {1, 2, 1, 1}, {{1, 0}, {0, 2}});
  Tensor<complex64> psi(stream.device(), {1, 2, 1, 1}, "psi"), back(stream.device(), {1, 1, 1}, "back");
  ops::illuminate(stream, patch.view(), modes.view(), psi.view());
  EXPECT_EQ(download(stream, psi), (std::vector<complex64>{{-1, 2}, {6, 3}}));
  ops::illuminate_adjoint(stream, waves.view(), modes.view(), back.view());
  EXPECT_EQ(download(stream, back), (std::vector<complex64>{{0, 5}}));
}

TEST(illuminate, refuses_a_probe_of_another_size_or_without_modes) {
  Stream stream(test_device());
  Tensor<complex64> patch(stream.device(), {2, 4, 4}, "o"), psi(stream.device(), {2, 1, 4, 4}, "psi");
  const auto message = [&](const Shape& shape) -> std::string {
    Tensor<complex64> probe(stream.device(), shape, "p");
    try {
      ops::illuminate(stream, std::as_const(patch).view(), std::as_const(probe).view(), psi.view());
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message({1, 4, 5}), "illuminate: probe is [1, 4, 5], expected [1, 4, 4]");
  EXPECT_EQ(message({0, 4, 4}), "illuminate: the probe has no mode");
  EXPECT_EQ(message({2, 4, 4}), "illuminate: exit_waves is [2, 1, 4, 4], expected [2, 2, 4, 4]");
}

}  // namespace
}  // namespace ptyfuse::tests
