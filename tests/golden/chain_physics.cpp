// The recorded chain from object patches to losses and back, by the small operations and by the fused step.
#include <set>

#include "tests/support/case_name.h"
#include "tests/support/compare.h"
#include "tests/support/composed_physics.h"
#include "tests/support/device.h"
#include "tests/support/golden.h"

namespace ptyfuse::tests {
namespace {

// Every recorded chain there is, and the names of those that ought to be there.
std::vector<std::string> chain_files() {
  std::set<std::string> names{"chain_N64_g1_f1_pbon_oboff.h5", "chain_N64_g2_f1_pboff_obon.h5",
                              "chain_N64_g2_f1_pbon_oboff.h5"};
  std::error_code absent;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder(), absent)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("chain_") && name.ends_with(".h5")) names.insert(name);
  }
  return {names.begin(), names.end()};
}

// [B,N,N,C], as recorded, to [B,C,N,N].
template <class T>
std::vector<T> channels_first(const std::vector<T>& in, int64_t batch, int64_t side, int64_t channels) {
  std::vector<T> out(in.size());
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t i = 0; i < side * side; ++i)
      for (int64_t c = 0; c < channels; ++c)
        out[static_cast<size_t>((b * channels + c) * side * side + i)] =
            in[static_cast<size_t>((b * side * side + i) * channels + c)];
  return out;
}

class golden : public testing::TestWithParam<std::string> {};

TEST_P(golden, chain_physics) {
  SKIP_WITHOUT_GOLDEN(GetParam());
  const GoldenFile file(GetParam());
  const auto object_shape = file.shape("object_patches"), x_shape = file.shape("X");
  const int64_t batch = object_shape[0], side = object_shape[1], heads = object_shape[3], members = x_shape[3];
  const ops::PhysicsSpec spec{.batch = batch,
                              .members = members,
                              .heads = heads,
                              .side = side,
                              .canvas = file.shape("region")[1],
                              .unmasked_numerator = true};
  const bool object_big = file.text_attribute("/", "config").find("\"object_big\": true") != std::string::npos;

  Device device = test_device();
  Stream stream(device);
  const auto object = channels_first(file.read<complex64>("object_patches"), batch, side, heads);
  const auto object_patches = upload<complex64>(stream, {batch, heads, side, side}, object);
  std::vector<float> amplitude(object.size()), phase(object.size());
  for (size_t i = 0; i < object.size(); ++i) {
    amplitude[i] = static_cast<float>(std::abs(std::complex<double>(object[i])));
    phase[i] = static_cast<float>(std::arg(std::complex<double>(object[i])));
  }
  const auto amplitudes = upload<float>(stream, object_patches.shape(), amplitude);
  const auto phases = upload<float>(stream, object_patches.shape(), phase);
  const auto measured =
      upload<float>(stream, {batch, members, side, side}, channels_first(file.read<float>("X"), batch, side, members));
  const auto probe = upload<complex64>(stream, {1, side, side}, file.read<complex64>("probe"));
  const auto offsets_xy = file.read<float>("offsets");
  std::vector<float> offsets(offsets_xy.size()), square(static_cast<size_t>(side * side));
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t c = 0; c < members; ++c)
      for (int64_t axis = 0; axis < 2; ++axis)
        offsets[static_cast<size_t>((b * members + c) * 2 + axis)] =
            offsets_xy[static_cast<size_t>((b * 2 + 1 - axis) * members + c)];
  for (int64_t y = side / 4; y < 3 * side / 4; ++y)
    for (int64_t x = side / 4; x < 3 * side / 4; ++x) square[static_cast<size_t>(y * side + x)] = 1;
  const auto offsets_px = upload<float>(stream, {batch, members, 2}, offsets);
  const auto weight = upload<float>(stream, {side, side}, square);

  ops::PhysicsInputs inputs;
  inputs.amplitude = amplitudes.view();
  inputs.phase = phases.view();
  inputs.offsets_px = offsets_px.view();
  inputs.measured = measured.view();
  inputs.probe = probe.view();
  if (object_big) inputs.weight = weight.view();
  inputs.log_scale = static_cast<float>(file.read<double>("log_scale")[0]);
  inputs.measured_scale = static_cast<float>(file.read<double>("s")[0]);

  for (const bool nll : {true, false}) {
    inputs.nll_weight = nll ? 1 : 0;
    inputs.mae_weight = nll ? 0 : 1;
    const ComposedPhysics composed(stream, spec, batch, inputs, object_patches.view());
    const auto within_max = [&](const std::string& item, const auto& got, double tolerance) {
      SCOPED_TRACE(item);
      const auto want = file.read<std::complex<double>>(item);
      ASSERT_EQ(static_cast<int64_t>(want.size()), got.elements());
      const HostCopy host(stream, got);
      double largest = 0;
      for (const auto& v : want) largest = std::max(largest, std::abs(v));
      EXPECT_WITHIN(max_difference(host.data(), want.data(), got.elements()), tolerance * largest);
    };
    within_max("region", composed.region, object_big ? 5e-6 : 2e-6);
    within_max("patches", composed.patches, object_big ? 5e-6 : 2e-6);
    within_max("illuminated", composed.exit_waves, object_big ? 5e-6 : 2e-6);
    const auto amplitude_flat = file.read<double>("amplitude_flat");
    const auto counts = channels_first(file.read<double>("pred_counts"), batch, side, members);
    const auto far_field = download(stream, composed.far_field);
    const auto predicted = download(stream, composed.predicted);
    double amplitude_error = 0, counts_error = 0;
    for (size_t i = 0; i < predicted.size(); ++i) {
      amplitude_error = std::max(amplitude_error, std::abs(std::abs(far_field[i]) - amplitude_flat[i]));
      counts_error = std::max(counts_error, std::abs(predicted[i] - counts[i]));
    }
    EXPECT_WITHIN(amplitude_error, 2e-6 * *std::max_element(amplitude_flat.begin(), amplitude_flat.end()));
    EXPECT_WITHIN(counts_error, 4e-6 * *std::max_element(counts.begin(), counts.end()));

    const std::string loss = nll ? "loss_nll" : "loss_mae";
    const double want_loss = file.read<double>(loss + "_f64")[0];
    EXPECT_WITHIN(std::abs(composed.result.loss - want_loss), 1e-5 * std::abs(want_loss));
    const auto want_gradient = channels_first(
        file.read<complex64>(nll ? "grad_object_patches_nll" : "grad_object_patches_mae"), batch, side, heads);
    EXPECT_WITHIN(relative_l2(download(stream, composed.grad_object).data(), want_gradient.data(),
                              composed.grad_object.elements()),
                  3e-4);

    ops::Physics fused(device, spec);
    Tensor<float> grad_amplitude(device, amplitudes.shape(), "gradient"),
        grad_phase(device, phases.shape(), "gradient");
    const ops::PhysicsResult result = fused.run(stream, inputs, grad_amplitude.view(), grad_phase.view());
    EXPECT_WITHIN(std::abs(result.loss - want_loss), 1e-5 * std::abs(want_loss));
    std::vector<double> want_amplitude(object.size()), want_phase(object.size());
    for (size_t i = 0; i < object.size(); ++i) {
      const std::complex<double> g(want_gradient[i]), turn = std::polar(1.0, static_cast<double>(phase[i]));
      want_amplitude[i] = std::real(std::conj(turn) * g);
      want_phase[i] = amplitude[i] * std::imag(std::conj(turn) * g);
    }
    EXPECT_WITHIN(
        relative_l2(download(stream, grad_amplitude).data(), want_amplitude.data(), grad_amplitude.elements()), 3e-4);
    EXPECT_WITHIN(relative_l2(download(stream, grad_phase).data(), want_phase.data(), grad_phase.elements()), 3e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(chain, golden, testing::ValuesIn(chain_files()),
                         [](const auto& item) { return case_name(item.param); });

}  // namespace
}  // namespace ptyfuse::tests
