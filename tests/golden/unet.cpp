// The generator's forward pass against the recorded one.
#include "engine/unet.h"

#include "engine/forward_model.h"
#include "kernels/ops/complex_patch.h"
#include "tests/golden/golden_network.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"

namespace ptyfuse::tests {
namespace {

const std::vector<std::string> known = {"unet_N64_g1_f1_pbon_oboff.h5", "unet_N64_g2_f1_pboff_obon.h5",
                                        "unet_N64_g2_f1_pbon_oboff.h5", "unet_N128_g1_f1_pboff_oboff.h5"};

/// [B,C,N,N] of any strides as [B,N,N,C].
std::vector<float> channel_last(TensorView<const float> patches) {
  std::vector<float> out;
  for (int64_t b = 0; b < patches.extent(0); ++b)
    for (int64_t y = 0; y < patches.extent(2); ++y)
      for (int64_t x = 0; x < patches.extent(3); ++x)
        for (int64_t c = 0; c < patches.extent(1); ++c) out.push_back(patches(b, c, y, x));
  return out;
}

void expect_recorded_output(const std::string& name) {
  const GoldenFile file(name);
  const UNet unet = UNet::generator(golden_config(file));
  const GeneratorConfig& config = unet.config();
  const Device device = test_device();
  Stream stream(device);
  Tensor<float> parameters = upload<float>(stream, {unet.parameter_count()}, golden_weights(file, unet));
  const int64_t n = config.side_px;
  const Tensor<float> weight =
      upload<float>(stream, {n, n}, merge_weight(config, MergeWeight::square, 0.02, io::ComplexImage{}));
  InferenceGraph graph(device, unet, parameters.view(), {.batch = file.shape("X")[0], .weight = weight.view()});

  const std::vector<float> x = file.read<float>("X");
  copy_to_device(stream, graph.x(), x.data(), static_cast<int64_t>(x.size()));
  graph.run(stream);

  const std::vector<float> amplitude = channel_last(graph.amplitude()), phase = channel_last(graph.phase());
  const auto recorded_amplitude = file.read<float>("amp"), recorded_phase = file.read<float>("phase");
  ASSERT_EQ(amplitude.size(), recorded_amplitude.size());
  const auto count = static_cast<int64_t>(amplitude.size());
  EXPECT_WITHIN(max_difference(amplitude.data(), recorded_amplitude.data(), count), 5e-6);
  EXPECT_WITHIN(max_difference(phase.data(), recorded_phase.data(), count), 5e-6);

  Tensor<complex64> object(device, graph.amplitude().shape(), "object");
  ops::complex_patch(stream, graph.amplitude(), graph.phase(), object.view());
  const auto recorded_object = file.read<std::complex<double>>("object_f64");
  const TensorView<const complex64> patches = object.view();
  double worst = 0;
  size_t i = 0;
  for (int64_t b = 0; b < patches.extent(0); ++b)
    for (int64_t y = 0; y < n; ++y)
      for (int64_t xx = 0; xx < n; ++xx)
        for (int64_t c = 0; c < patches.extent(1); ++c)
          worst = std::max(worst, std::abs(std::complex<double>(patches(b, c, y, xx)) - recorded_object[i++]));
  EXPECT_EQ(i, recorded_object.size());
  EXPECT_WITHIN(worst, 5e-6);
}

TEST(golden, unet_gridsize_1) {
  expect_recorded_output(known[0]);
}
TEST(golden, unet_gridsize_2_object_big) {
  SKIP_WITHOUT_GOLDEN(known[1]);
  expect_recorded_output(known[1]);
}
TEST(golden, unet_gridsize_2_shared_object) {
  SKIP_WITHOUT_GOLDEN(known[2]);
  expect_recorded_output(known[2]);
}
TEST(golden, unet_128_px) {
  SKIP_WITHOUT_GOLDEN(known[3]);
  expect_recorded_output(known[3]);
}
TEST(golden, unet_other_files) {
  const std::vector<std::string> others = other_golden_files("unet_", known);
  if (others.empty()) GTEST_SKIP() << "no unet_*.h5 of another name in PTYFUSE_GOLDEN";
  for (const std::string& name : others) {
    SCOPED_TRACE(name);
    expect_recorded_output(name);
  }
}

}  // namespace
}  // namespace ptyfuse::tests
