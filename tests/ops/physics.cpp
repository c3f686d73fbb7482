#include "kernels/ops/physics.h"

#include <gtest/gtest.h>

#ifdef PTYFUSE_CUDA
#include "kernels/ops/physics_cuda.h"
#endif
#ifdef PTYFUSE_EMU
#include "kernels/emu/recorder.h"
#endif
#include "tests/support/compare.h"
#include "tests/support/composed_physics.h"
#include "tests/support/device.h"
#include "tests/support/physics_reference.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

enum class Offsets { none, whole, fractional, far };
struct Case {
  int64_t batch, members, heads, side, canvas, modes;
  Offsets offsets = Offsets::fractional;
  bool unmasked = false, masked = false, channel_last = true, weighted = true;
  double nll_weight = 1, mae_weight = 0;
};
const Case cases[] = {
    {.batch = 2, .members = 4, .heads = 4, .side = 16, .canvas = 26, .modes = 1},
    {.batch = 1, .members = 4, .heads = 4, .side = 64, .canvas = 78, .modes = 1, .mae_weight = 0.5},
    {.batch = 3, .members = 4, .heads = 1, .side = 16, .canvas = 26, .modes = 2, .masked = true},
    {.batch = 2,
     .members = 4,
     .heads = 4,
     .side = 32,
     .canvas = 42,
     .modes = 3,
     .unmasked = true,
     .nll_weight = 0,
     .mae_weight = 1},
    {.batch = 2,
     .members = 1,
     .heads = 1,
     .side = 16,
     .canvas = 18,
     .modes = 1,
     .offsets = Offsets::none,
     .masked = true,
     .mae_weight = 1},
    {.batch = 1,
     .members = 1,
     .heads = 1,
     .side = 128,
     .canvas = 130,
     .modes = 2,
     .offsets = Offsets::none,
     .unmasked = true},
    {.batch = 2,
     .members = 1,
     .heads = 1,
     .side = 16,
     .canvas = 22,
     .modes = 1,
     .offsets = Offsets::none,
     .weighted = false},
    {.batch = 2, .members = 1, .heads = 1, .side = 16, .canvas = 22, .modes = 1, .weighted = false, .mae_weight = 1},
    {.batch = 2, .members = 1, .heads = 1, .side = 16, .canvas = 22, .modes = 1},
    {.batch = 2,
     .members = 4,
     .heads = 4,
     .side = 16,
     .canvas = 26,
     .modes = 1,
     .offsets = Offsets::whole,
     .channel_last = false},
    {.batch = 2, .members = 3, .heads = 3, .side = 17, .canvas = 23, .modes = 2, .masked = true, .channel_last = false},
    {.batch = 2, .members = 2, .heads = 2, .side = 12, .canvas = 12, .modes = 1, .mae_weight = 1},
    {.batch = 2, .members = 2, .heads = 2, .side = 16, .canvas = 20, .modes = 1, .offsets = Offsets::far},
    {.batch = 2,
     .members = 2,
     .heads = 1,
     .side = 20,
     .canvas = 24,
     .modes = 1,
     .offsets = Offsets::far,
     .mae_weight = 1},
    // Sides with a fused step on a GPU: more groups than it has blocks in the emu world of two host threads, planes
    // that do not all stay in shared memory, one pattern at its origin or away from it.
    {.batch = 3, .members = 4, .heads = 4, .side = 64, .canvas = 78, .modes = 2, .masked = true},
    {.batch = 5,
     .members = 1,
     .heads = 1,
     .side = 64,
     .canvas = 64,
     .modes = 1,
     .offsets = Offsets::none,
     .masked = true},
    {.batch = 1,
     .members = 1,
     .heads = 1,
     .side = 64,
     .canvas = 70,
     .modes = 1,
     .channel_last = false,
     .mae_weight = 1},
    {.batch = 0, .members = 4, .heads = 4, .side = 16, .canvas = 26, .modes = 1},
    {.batch = 1024, .members = 1, .heads = 1, .side = 2, .canvas = 2, .modes = 1, .offsets = Offsets::none},
    {.batch = 5, .members = 4, .heads = 4, .side = 1, .canvas = 5, .modes = 1},
};

// Seeded inputs of one case on one device, and the fused step run on them.
class Scene {
 public:
  /// The view [B,C,N,N] of memory in either order.
  template <class T>
  auto image_view(T&& t) const {
    return c.channel_last ? t.view().permute({0, 3, 1, 2}) : t.view();
  }

  explicit Scene(const Case& chosen, int threads = 2)
      : c(chosen),
        stream(test_device(threads)),
        spec{.batch = c.batch,
             .members = c.members,
             .heads = c.heads,
             .side = c.side,
             .canvas = c.canvas,
             .probe_modes = c.modes,
             .unmasked_numerator = c.unmasked},
        amplitude(upload<float>(stream, stored(c.heads), random_floats(stored(c.heads).elements(), 0.2, 1, 1))),
        phase(upload<float>(stream, stored(c.heads), random_floats(stored(c.heads).elements(), -3, 3, 2))),
        measured(upload<float>(stream, stored(c.members), random_floats(stored(c.members).elements(), 0.3, 2, 3))),
        offsets_px(upload<float>(stream, {c.batch, c.members, 2}, offset_values())),
        probe(upload<complex64>(stream, {c.modes, c.side, c.side}, random_complex(c.modes * c.side * c.side, 5))),
        weight(upload<float>(stream, {c.side, c.side}, random_floats(c.side * c.side, 0, 1, 6))),
        mask(upload<float>(stream, {c.side, c.side}, mask_values())),
        grad_amplitude(stream.device(), stored(c.heads), "grad"),
        grad_phase(stream.device(), stored(c.heads), "grad") {
    inputs.amplitude = image_view(std::as_const(amplitude));
    inputs.phase = image_view(std::as_const(phase));
    inputs.measured = image_view(std::as_const(measured));
    inputs.offsets_px = offsets_px.view();
    inputs.probe = probe.view();
    if (c.weighted) inputs.weight = weight.view();
    if (c.masked) inputs.mask = mask.view();
    inputs.log_scale = 0.7F;
    inputs.measured_scale = 3;
    inputs.nll_weight = c.nll_weight;
    inputs.mae_weight = c.mae_weight;
    measure_near_prediction();
  }

  Shape stored(int64_t channels) const {
    return c.channel_last ? Shape{c.batch, c.side, c.side, channels} : Shape{c.batch, channels, c.side, c.side};
  }
  std::vector<float> offset_values() const {
    auto v = random_floats(c.batch * c.members * 2, -1, 1, 4);
    const auto reach = static_cast<float>((c.canvas - c.side) / 2);
    for (float& o : v) switch (c.offsets) {
        case Offsets::none:
          o = 0;
          break;
        case Offsets::whole:
          o = std::round(o * reach);
          break;
        case Offsets::fractional:
          o *= reach;
          break;
        case Offsets::far:
          o *= 3 * static_cast<float>(c.canvas);
          break;
      }
    return v;
  }
  std::vector<float> mask_values() const {
    auto v = random_floats(c.side * c.side, 0, 1, 7);
    for (float& m : v) m = m > 0.2F ? 1.0F : 0.0F;
    return v;
  }
  // Data within a factor of the prediction: n/lambda stays of order 1, where it would magnify rounding in the dark.
  void measure_near_prediction() {
    Tensor<complex64> patches(stream.device(), {c.batch, c.heads, c.side, c.side}, "patches");
    ops::complex_patch(stream, inputs.amplitude, inputs.phase, patches.view());
    Tensor<float> dark(stream.device(), {c.batch, c.members, c.side, c.side}, "dark");
    fill_zero(stream, dark.view());
    ops::PhysicsInputs unlit = inputs;
    unlit.measured = std::as_const(dark).view();
    const ComposedPhysics parts(stream, spec, c.batch, unlit, std::as_const(patches).view());
    const HostCopy host_predicted(stream, parts.predicted);
    const auto predicted = host_predicted.view().reshape(dark.shape());
    auto values = download(stream, measured);
    TensorView<float> data(values.data(), measured.shape());
    if (c.channel_last) data = data.permute({0, 3, 1, 2});
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t m = 0; m < c.members; ++m)
        for (int64_t y = 0; y < c.side; ++y)
          for (int64_t x = 0; x < c.side; ++x)
            data(b, m, y, x) = std::sqrt(predicted(b, m, y, x) * data(b, m, y, x)) / inputs.measured_scale;
    copy_to_device(stream, measured.view(), values.data(), measured.elements());
  }
  /// Changes what a tensor holds: change(values).
  template <class T, class Change>
  void edit(Tensor<T>& tensor, const Change& change) {
    auto values = download(stream, tensor);
    change(values);
    copy_to_device(stream, tensor.view(), values.data(), tensor.elements());
  }
  /// What a tensor holds, as [B,C,N,N].
  std::vector<float> in_image_order(const Tensor<float>& tensor) {
    const HostCopy host(stream, tensor);
    const auto images = image_view(host);
    std::vector<float> out;
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t channel = 0; channel < images.extent(1); ++channel)
        for (int64_t y = 0; y < c.side; ++y)
          for (int64_t x = 0; x < c.side; ++x) out.push_back(images(b, channel, y, x));
    return out;
  }
  ops::PhysicsResult run() {
    ops::Physics physics(stream.device(), spec);
    return physics.run(stream, inputs, image_view(grad_amplitude), image_view(grad_phase));
  }

  Case c;
  Stream stream;
  ops::PhysicsSpec spec;
  Tensor<float> amplitude, phase, measured, offsets_px;
  Tensor<complex64> probe;
  Tensor<float> weight, mask, grad_amplitude, grad_phase;
  ops::PhysicsInputs inputs;
};

// What the reference needs of a scene, in host memory.
struct HostInputs {
  explicit HostInputs(Scene& s)
      : offsets_px(s.stream, s.offsets_px),
        weight(s.stream, s.weight),
        mask(s.stream, s.mask),
        measured(s.stream, s.measured),
        probe(s.stream, s.probe) {}
  HostCopy<float> offsets_px, weight, mask, measured;
  HostCopy<complex64> probe;
};

// The whole step in double; `amplitude` and `phase` are [B,heads,N,N].
double reference_loss(const Scene& s, const HostInputs& host, const std::vector<double>& amplitude,
                      const std::vector<double>& phase, double log_scale) {
  const int64_t n = s.c.side, q = s.c.canvas, pixels = n * n;
  double total = 0, used = 0;
  for (int64_t b = 0; b < s.c.batch; ++b) {
    std::vector<Field> patches;
    std::vector<double> offsets;
    for (int64_t h = 0; h < s.c.heads; ++h) {
      Field patch;
      for (int64_t i = (b * s.c.heads + h) * pixels; i < (b * s.c.heads + h + 1) * pixels; ++i)
        patch.push_back(std::polar(1.0, phase[static_cast<size_t>(i)]) * amplitude[static_cast<size_t>(i)]);
      patches.push_back(patch);
    }
    for (int64_t i = 2 * b * s.c.members; i < 2 * (b + 1) * s.c.members; ++i)
      offsets.push_back(host.offsets_px.data()[i]);
    const std::vector<double> weight(host.weight.data(), host.weight.data() + pixels);
    const Field region = s.c.heads == s.c.members && s.c.weighted ? merged(patches, offsets, weight, s.c.unmasked, n, q)
                                                                  : padded(patches[0], n, q);
    for (int64_t m = 0; m < s.c.members; ++m) {
      const Field patch = cropped(
          translated(region, q, offsets[static_cast<size_t>(2 * m)], offsets[static_cast<size_t>(2 * m + 1)]), q, n);
      std::vector<double> counts(static_cast<size_t>(pixels));
      for (int64_t k = 0; k < s.c.modes; ++k) {
        Field psi = patch;
        for (int64_t i = 0; i < pixels; ++i)
          psi[static_cast<size_t>(i)] *= std::complex<double>(host.probe.data()[k * pixels + i]);
        const Field far = fourier(psi, n, n);
        for (size_t i = 0; i < far.size(); ++i) counts[i] += std::exp(2 * log_scale) * std::norm(far[i]);
      }
      for (int64_t y = 0; y < n; ++y)
        for (int64_t x = 0; x < n; ++x) {
          if (s.c.masked && host.mask.data()[y * n + x] == 0) continue;
          const double data = s.inputs.measured_scale * s.image_view(host.measured)(b, m, y, x);
          const double lambda = counts[static_cast<size_t>(y * n + x)];
          total +=
              s.c.nll_weight * poisson_loss(lambda, data * data) + s.c.mae_weight * amplitude_loss(lambda, data * data);
          used += 1;
        }
    }
  }
  return used == 0 ? 0 : total / used;
}

// The formula in double takes a sum over all pixels for each of them: small images, few groups.
std::vector<Case> small_cases() {
  std::vector<Case> out;
  for (const Case& c : cases)
    if (c.side <= 32 && c.batch <= 10) out.push_back(c);
  return out;
}

class Physics : public testing::TestWithParam<Case> {};
class SmallPhysics : public Physics {};

TEST_P(Physics, equals_the_composition_of_the_small_operations) {
  Scene s(GetParam());
  const ops::PhysicsResult got = s.run();
  const Case& c = s.c;
  Tensor<complex64> patches(s.stream.device(), {c.batch, c.heads, c.side, c.side}, "patches");
  Tensor<float> measured(s.stream.device(), {c.batch, c.members, c.side, c.side}, "measured"),
      want_amplitude(s.stream.device(), patches.shape(), "ga"), want_phase(s.stream.device(), patches.shape(), "gp");
  ops::complex_patch(s.stream, s.inputs.amplitude, s.inputs.phase, patches.view());
  const std::vector<float> got_amplitude = s.in_image_order(s.grad_amplitude),
                           got_phase = s.in_image_order(s.grad_phase), host_measured = s.in_image_order(s.measured);
  copy_to_device(s.stream, measured.view(), host_measured.data(), measured.elements());
  ops::PhysicsInputs inputs = s.inputs;
  inputs.measured = std::as_const(measured).view();
  const ComposedPhysics want(s.stream, s.spec, c.batch, inputs, std::as_const(patches).view());
  ops::complex_patch_backward(s.stream, s.inputs.amplitude, s.inputs.phase, want.grad_object.view(),
                              want_amplitude.view(), want_phase.view());
  EXPECT_WITHIN(std::abs(got.nll - want.result.nll), 1e-6 * std::abs(want.result.nll));
  EXPECT_WITHIN(std::abs(got.mae - want.result.mae), 1e-6 * std::abs(want.result.mae));
  EXPECT_WITHIN(std::abs(got.loss - want.result.loss), 1e-6 * std::abs(want.result.loss));
  EXPECT_WITHIN(std::abs(got.grad_log_scale - want.result.grad_log_scale),
                1e-5 * std::max(1.0, std::abs(want.result.grad_log_scale)));
  const HostCopy amplitudes(s.stream, want_amplitude), phases(s.stream, want_phase);
  EXPECT_WITHIN(relative_l2(got_amplitude.data(), amplitudes.data(), amplitudes.elements()), 5e-6);
  EXPECT_WITHIN(relative_l2(got_phase.data(), phases.data(), phases.elements()), 5e-6);
}

#ifdef PTYFUSE_CUDA
// An A100's multiprocessor has 164 KiB of shared memory where this GPU's may have more: less stays there, the rest is
// the same.
TEST(physics_on_a_gpu, fits_itself_into_less_shared_memory) {
  const gpu::Multiprocessors smaller{2, 164 * 1024};
  for (const Case& c : {Case{.batch = 3, .members = 4, .heads = 4, .side = 64, .canvas = 90, .modes = 1},
                        Case{.batch = 2, .members = 4, .heads = 1, .side = 64, .canvas = 90, .modes = 2},
                        Case{.batch = 5, .members = 1, .heads = 1, .side = 64, .canvas = 66, .modes = 1},
                        Case{.batch = 1, .members = 4, .heads = 4, .side = 128, .canvas = 140, .modes = 1},
                        Case{.batch = 1, .members = 1, .heads = 1, .side = 128, .canvas = 130, .modes = 1}}) {
    SCOPED_TRACE(testing::Message() << c.members << " of " << c.side << ", " << c.modes << " modes");
    Scene s(c);
    if (s.stream.device().kind() == DeviceKind::cpu) GTEST_SKIP() << "a GPU's memory";
    const ops::PhysicsResult want = s.run();
    const std::vector<float> amplitude = download(s.stream, s.grad_amplitude), phase = download(s.stream, s.grad_phase);
    ASSERT_TRUE(ops::cuda::FusedPhysics::fits(s.spec, smaller));
#ifdef PTYFUSE_EMU
    const emu::Recorder recorder({.counted = false});
#endif
    Tensor<double> result(s.stream.device(), {4}, "result");
    ops::cuda::FusedPhysics(s.stream.device(), s.spec, smaller)
        .enqueue(s.stream, s.inputs, s.image_view(s.grad_amplitude), s.image_view(s.grad_phase), result.data(),
                 nullptr);
    const ops::PhysicsResult got = ops::Physics::read(s.stream, std::as_const(result).view());
#ifdef PTYFUSE_EMU
    ASSERT_FALSE(recorder.launches().empty());
    for (const emu::LaunchReport& l : recorder.launches()) EXPECT_LE(l.shared_bytes, 163 * 1024) << l.kernel;
#endif
    EXPECT_WITHIN(std::abs(got.loss - want.loss), 1e-6 * std::abs(want.loss));
    EXPECT_WITHIN(relative_l2(download(s.stream, s.grad_amplitude).data(), amplitude.data(),
                              static_cast<int64_t>(amplitude.size())),
                  1e-6);
    EXPECT_WITHIN(
        relative_l2(download(s.stream, s.grad_phase).data(), phase.data(), static_cast<int64_t>(phase.size())), 1e-6);
  }
  const ops::PhysicsSpec modes{.batch = 1, .members = 1, .heads = 1, .side = 128, .canvas = 130, .probe_modes = 2};
  EXPECT_FALSE(ops::cuda::FusedPhysics::fits(modes, smaller));
  EXPECT_TRUE(ops::cuda::FusedPhysics::fits(modes, {1, 228 * 1024}));
}
#endif

TEST_P(SmallPhysics, agrees_with_the_formula_and_its_central_differences) {
  const Case& c = GetParam();
  Scene s(c);
  const ops::PhysicsResult got = s.run();
  const HostInputs host(s);
  const auto in_double = [&](const Tensor<float>& t) {
    const std::vector<float> v = s.in_image_order(t);
    return std::vector<double>(v.begin(), v.end());
  };
  const std::vector<double> amplitude = in_double(s.amplitude), phase = in_double(s.phase),
                            grad_amplitude = in_double(s.grad_amplitude), grad_phase = in_double(s.grad_phase);
  const double want = reference_loss(s, host, amplitude, phase, s.inputs.log_scale);
  EXPECT_WITHIN(std::abs(got.loss - want), 2e-6 * std::max(1.0, std::abs(want)));
  const double h = 1e-6;
  const double log_slope = (reference_loss(s, host, amplitude, phase, s.inputs.log_scale + h) -
                            reference_loss(s, host, amplitude, phase, s.inputs.log_scale - h)) /
                           (2 * h);
  EXPECT_WITHIN(std::abs(got.grad_log_scale - log_slope), 1e-4 * std::max(1.0, std::abs(log_slope)));
  // Along random directions of all amplitudes and all phases, one at a time.
  for (const bool of_phase : {false, true}) {
    const std::vector<double>& grad = of_phase ? grad_phase : grad_amplitude;
    const auto direction = random_floats(static_cast<int64_t>(grad.size()), -1, 1, 11);
    auto ahead = of_phase ? phase : amplitude, behind = ahead;
    double along = 0, size = 0;
    for (size_t i = 0; i < grad.size(); ++i) {
      ahead[i] += h * direction[i];
      behind[i] -= h * direction[i];
      along += grad[i] * direction[i];
      size += grad[i] * grad[i];
    }
    const double slope = of_phase ? reference_loss(s, host, amplitude, ahead, s.inputs.log_scale) -
                                        reference_loss(s, host, amplitude, behind, s.inputs.log_scale)
                                  : reference_loss(s, host, ahead, phase, s.inputs.log_scale) -
                                        reference_loss(s, host, behind, phase, s.inputs.log_scale);
    EXPECT_WITHIN(std::abs(along - slope / (2 * h)), 2e-4 * std::sqrt(size));
  }
}

TEST_P(Physics, repeats_bit_for_bit_and_without_gradients) {
  Scene first(GetParam()), second(GetParam()), alone(GetParam(), 1);
  const ops::PhysicsResult a = first.run(), b = second.run(), one_thread = alone.run();
  EXPECT_EQ(a.loss, b.loss);
  EXPECT_EQ(a.grad_log_scale, b.grad_log_scale);
  EXPECT_EQ(a.loss, one_thread.loss);
  EXPECT_EQ(download(first.stream, first.grad_amplitude), download(second.stream, second.grad_amplitude));
  EXPECT_EQ(download(first.stream, first.grad_phase), download(alone.stream, alone.grad_phase));
  ops::Physics physics(first.stream.device(), first.spec);
  const int64_t before = first.stream.device().memory_in_use_bytes();
  const ops::PhysicsResult forward = physics.run(first.stream, first.inputs, {}, {});
  EXPECT_EQ(forward.loss, a.loss);
  EXPECT_EQ(forward.nll, a.nll);
  EXPECT_EQ(forward.mae, a.mae);
  EXPECT_EQ(first.stream.device().memory_in_use_bytes(), before);
}

// What training uses: the intensity scale comes from the device's memory, its gradient goes there.
TEST_P(Physics, with_its_scale_in_memory_gives_the_same_bits) {
  Scene s(GetParam());
  const ops::PhysicsResult expected = s.run();
  const std::vector<float> amplitude = download(s.stream, s.grad_amplitude), phase = download(s.stream, s.grad_phase);
  const auto log_scale = upload<float>(s.stream, {1}, {s.inputs.log_scale});
  auto slope = upload<float>(s.stream, {1}, {-1});
  ops::PhysicsInputs inputs = s.inputs;
  inputs.log_scale = 100;
  inputs.log_scale_in_memory = log_scale.view();
  ops::Physics physics(s.stream.device(), s.spec);
  physics.enqueue(s.stream, inputs, s.image_view(s.grad_amplitude), s.image_view(s.grad_phase), slope.view());
  const ops::PhysicsResult found = ops::Physics::read(s.stream, physics.result());
  EXPECT_EQ(found.loss, expected.loss);
  EXPECT_EQ(found.nll, expected.nll);
  EXPECT_EQ(found.mae, expected.mae);
  EXPECT_EQ(found.grad_log_scale, expected.grad_log_scale);
  EXPECT_EQ(download(s.stream, slope), std::vector<float>{static_cast<float>(expected.grad_log_scale)});
  EXPECT_EQ(download(s.stream, s.grad_amplitude), amplitude);
  EXPECT_EQ(download(s.stream, s.grad_phase), phase);
}

INSTANTIATE_TEST_SUITE_P(physics, Physics, testing::ValuesIn(cases));
INSTANTIATE_TEST_SUITE_P(physics, SmallPhysics, testing::ValuesIn(small_cases()));

TEST(physics, short_batch_is_a_batch_of_its_own) {
  Scene whole(cases[0]);
  Case one = cases[0];
  one.batch = 1;
  Scene part(one);
  part.spec.batch = 2;
  const ops::PhysicsResult got = part.run();
  part.spec.batch = 1;
  EXPECT_EQ(got.loss, part.run().loss);
}

TEST(physics, flat_object_under_a_symmetric_probe_stays_finite) {
  // A symmetric disk of even side gives a far field of exactly 0 on the row and column of the highest frequency.
  for (const int64_t side : {16, 64}) {
    Case c{.batch = 1,
           .members = 1,
           .heads = 1,
           .side = side,
           .canvas = side,
           .modes = 1,
           .offsets = Offsets::none,
           .weighted = false,
           .mae_weight = 1};
    Scene s(c);
    std::vector<float> amplitude, measured;
    std::vector<complex64> probe;
    for (int64_t i = 0; i < side * side; ++i) {
      const double dy = static_cast<double>(i / side) - static_cast<double>(side - 1) / 2;
      const double dx = static_cast<double>(i % side) - static_cast<double>(side - 1) / 2;
      amplitude.push_back(1);
      probe.emplace_back(std::exp(-static_cast<float>(dx * dx + dy * dy) / static_cast<float>(side)));
      measured.push_back(i % 3 == 0 ? 0.0F : 1.0F);
    }
    s.edit(s.amplitude, [&](auto& values) { values = amplitude; });
    s.edit(s.phase, [&](auto& values) { values.assign(values.size(), 0.0F); });
    s.edit(s.probe, [&](auto& values) { values = probe; });
    s.edit(s.measured, [&](auto& values) { values = measured; });
    const ComposedPhysics parts(
        s.stream, s.spec, 1, s.inputs,
        upload<complex64>(s.stream, {1, 1, side, side}, std::vector<complex64>(static_cast<size_t>(side * side), 1.0F))
            .view());
    const HostCopy far_field(s.stream, parts.far_field);
    double largest = 0;
    for (int64_t i = 0; i < side; ++i) {
      largest = std::max<double>(largest, std::abs(far_field(0, 0, 0, i)));
      largest = std::max<double>(largest, std::abs(far_field(0, 0, i, 0)));
    }
    EXPECT_WITHIN(largest, 1e-7);
    for (const auto& [nll, mae] : {std::pair{1.0, 0.0}, {0.0, 1.0}, {1.0, 1.0}}) {
      s.inputs.nll_weight = nll;
      s.inputs.mae_weight = mae;
      const ops::PhysicsResult result = s.run();
      EXPECT_TRUE(std::isfinite(result.loss));
      EXPECT_TRUE(std::isfinite(result.grad_log_scale));
      double size = 0;
      for (const float g : download(s.stream, s.grad_amplitude)) size += std::abs(g);
      for (const float g : download(s.stream, s.grad_phase)) size += std::abs(g);
      EXPECT_TRUE(std::isfinite(size));
      EXPECT_GT(size, 0);
    }
  }
}

TEST(physics, an_object_of_zeros_stays_finite) {
  Scene s(cases[0]);
  fill_zero(s.stream, s.amplitude.view());
  s.inputs.mae_weight = 1;
  EXPECT_TRUE(std::isfinite(s.run().loss));
  for (const float g : download(s.stream, s.grad_amplitude)) ASSERT_TRUE(std::isfinite(g));
  for (const float g : download(s.stream, s.grad_phase)) ASSERT_TRUE(std::isfinite(g));
}

TEST(physics, inputs_that_are_not_finite_show_in_the_loss) {
  for (const float bad : {NAN, INFINITY})
    for (const int which : {0, 1, 2}) {
      Scene s(cases[0]);
      s.edit(which == 0   ? s.amplitude
             : which == 1 ? s.phase
                          : s.measured,
             [&](auto& values) { values[values.size() / 2] = bad; });
      EXPECT_FALSE(std::isfinite(s.run().loss)) << which;
    }
}

TEST(physics, refuses_what_does_not_fit) {
  const Scene fine(cases[0]);
  const auto made = [&](auto change) {
    ops::PhysicsSpec spec = fine.spec;
    change(spec);
    return error_message([&] { ops::Physics(fine.stream.device(), spec); });
  };
  EXPECT_EQ(made([](auto& p) { p.canvas = 17; }),
            "physics: canvas Q = 17 for N = 16: Q - N must be even and not negative");
  EXPECT_EQ(made([](auto& p) { p.heads = 2; }),
            "physics: 2 heads for 4 members; expected one for each, or one for all");
  EXPECT_NE(made([](auto& p) { p.probe_modes = 0; }).find("none may be less than 1"), std::string::npos);

  const auto run = [&](auto change) {
    Scene s(cases[0]);
    change(s);
    return error_message([&] { s.run(); });
  };
  EXPECT_EQ(run([](Scene&) {}), "no error");
  EXPECT_EQ(run([](Scene& s) { s.spec.batch = 1; }), "physics: 2 groups, made for 1");
  EXPECT_EQ(run([](Scene& s) { s.inputs.weight = {}; }), "physics: weight is [], expected [16, 16]");
  EXPECT_EQ(run([](Scene& s) { s.inputs.probe = s.inputs.probe.slice(0, 0, 0); }),
            "physics: probe is [0, 16, 16], expected [1, 16, 16]");
  if (fine.stream.device().kind() == DeviceKind::cpu) {
    EXPECT_EQ(run([](Scene& s) { s.edit(s.offsets_px, [](auto& values) { values[3] = NAN; }); }),
              "physics: offsets_px is not finite at element 3 of [2, 4, 2]");
  }
  Scene s(cases[0]);
  ops::Physics physics(s.stream.device(), s.spec);
  const auto two = upload<float>(s.stream, {2}, {0, 0});
  EXPECT_EQ(run([&](Scene& t) { t.inputs.log_scale_in_memory = two.view(); }),
            "physics: log_scale_in_memory is [2], expected [1]");
  EXPECT_EQ(error_message([&] { physics.run(s.stream, s.inputs, s.image_view(s.grad_amplitude), {}); }),
            "physics: the gradients of amplitude and phase come together or not at all");
}

}  // namespace
}  // namespace ptyfuse::tests
