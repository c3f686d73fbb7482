// adam.h5: recorded steps of Adam in Keras' form.
#include "kernels/ops/adam.h"

#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/golden.h"

namespace ptyfuse {
namespace {

using namespace tests;

TEST(golden, adam) {
  SKIP_WITHOUT_GOLDEN("adam.h5");
  const GoldenFile file("adam.h5");
  const auto shape = file.shape("grads");
  const int64_t steps = shape.at(0), count = shape.at(1);
  const auto gradients = file.read<float>("grads"), recorded = file.read<float>("w");
  const auto in_double = file.read<double>("w_f64");
  const ops::AdamSettings settings{.learning_rate = file.attribute<double>("/", "learning_rate").at(0),
                                   .beta1 = file.attribute<double>("/", "beta_1").at(0),
                                   .beta2 = file.attribute<double>("/", "beta_2").at(0),
                                   .epsilon = file.attribute<double>("/", "epsilon").at(0)};
  Stream stream(test_device());
  auto weights = upload<float>(stream, {count}, file.read<float>("w0"));
  const auto gradient = upload<float>(stream, {steps, count}, gradients);
  Tensor<float> m(stream.device(), {count}, "m"), v(stream.device(), {count}, "v");
  fill_zero(stream, m.view());
  fill_zero(stream, v.view());
  for (int64_t s = 0; s < steps; ++s) {
    ops::adam(stream, settings, s + 1, gradient.view().slice(0, s, s + 1).reshape({count}), weights.view(), m.view(),
              v.view());
    EXPECT_WITHIN(max_difference(weights.data(), recorded.data() + s * count, count), 1e-6);
    EXPECT_WITHIN(max_difference(weights.data(), in_double.data() + s * count, count), 1e-6);
  }
}

}  // namespace
}  // namespace ptyfuse
