#include "engine/forward_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/probe.h"
#include "tests/engine/reference_model.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

GeneratorConfig small(int gridsize, bool object_big, bool probe_big, bool pad_object,
                      Network network = Network::grouped) {
  GeneratorConfig c;
  c.gridsize = gridsize;
  c.filters_scale = 0.25;
  c.object_big = object_big;
  c.probe_big = probe_big;
  c.pad_object = pad_object;
  c.network = network;
  return c;
}

struct Case {
  const char* name;
  GeneratorConfig config;
  bool supervised = false;
  int64_t batch = 1;
  int64_t modes = 1;
  double nll = 1, mae = 0, tv = 0;
};

std::vector<Case> cases() {
  std::vector<Case> all = {
      {"merged, both losses", small(2, true, true, true), false, 1, 1, 1, 0.5, 0},
      {"shared network, two modes", small(2, true, true, false, Network::shared), false, 1, 2, 1, 0, 0},
      {"shared object, smooth", small(2, false, false, true), false, 2, 1, 0.5, 0.2, 1e-3},
      {"single, swish border", small(1, true, true, true), false, 2, 1, 1, 0, 1e-3},
      {"single, not merged", small(1, false, true, false), false, 2, 1, 0, 1, 0},
      {"supervised", small(1, false, true, false), true, 2, 1, 1, 0, 0},
  };
  all[3].config.border = BorderActivation::swish;
  all[4].config.amplitude = AmplitudeActivation::softplus;
  return all;
}

UNet network_of(const Case& c) {
  return c.supervised ? UNet::supervised(c.config) : UNet::generator(c.config);
}

/// A graph for a case with random contents, and the same for the plain reference.
class Bench {
 public:
  Bench(const Case& c, unsigned seed) : test_case(c), unet(network_of(c)), device(test_device()), stream(device) {
    const GeneratorConfig& config = unet.config();
    n = config.side_px;
    members = config.members();
    std::vector<float> values(static_cast<size_t>(unet.parameter_count()));
    Random random(seed);
    unet.initialise(random, Initialisation::glorot, values);
    for (const ParameterEntry& e : unet.parameters())
      if (e.shape.rank() == 1)
        for (int64_t i = 0; i < e.shape[0]; ++i)
          values[static_cast<size_t>(e.offset + i)] = static_cast<float>(random.uniform(-0.1, 0.1));
    plain_parameters.assign(values.begin(), values.end());
    parameters = upload<float>(stream, {unet.parameter_count()}, values);
    gradients = Tensor<float>(device, {unet.parameter_count()}, "gradients");

    host_probe = random_complex(c.modes * n * n, seed + 1);
    host_weight = random_floats(n * n, 0.1, 1, seed + 2);
    host_mask = random_floats(n * n, 0, 1, seed + 3);
    for (float& m : host_mask) m = m < 0.9F ? 1.0F : 0.0F;
    host_offsets = random_floats(c.batch * members * 2, -2.5, 2.5, seed + 4);
    if (members == 1) std::fill(host_offsets.begin(), host_offsets.end(), 0.0F);
    frames = random_floats(c.batch * members * n * n, 0, 2, seed + 5);
    targets = random_floats(2 * c.batch * n * n, -1, 1, seed + 6);
    probe = upload<complex64>(stream, {c.modes, n, n}, host_probe);
    weight = upload<float>(stream, {n, n}, host_weight);
    mask = upload<float>(stream, {n, n}, host_mask);
  }

  TrainingSettings settings() const {
    TrainingSettings s;
    s.batch = test_case.batch;
    s.canvas_px = members == 1 ? n : n + 8;
    s.probe = probe.view();
    s.weight = weight.view();
    s.mask = mask.view();
    s.nll_weight = test_case.nll;
    s.mae_weight = test_case.mae;
    s.tv_weight = test_case.tv;
    s.recompute = recompute;
    return s;
  }
  TrainingGraph graph() {
    TrainingGraph g(device, unet, parameters.view(), gradients.view(), settings());
    fill(g);
    g.set_scales(static_cast<float>(log_scale), measured_scale);
    if (test_case.supervised) {
      const int64_t half = test_case.batch * n * n;
      copy_to_device(stream, g.amplitude_target(), targets.data(), half);
      copy_to_device(stream, g.phase_target(), targets.data() + half, half);
    }
    return g;
  }
  template <class Graph>
  void fill(Graph& g) {
    g.set_frames(stream, frames, frame_factor);
    if (!test_case.supervised)
      copy_to_device(stream, g.offsets(), host_offsets.data(), static_cast<int64_t>(host_offsets.size()));
  }

  struct Plain {
    double loss = 0, nll = 0, mae = 0, total_variation = 0;
    std::vector<PlainField> objects;
  };
  Plain plain(const std::vector<double>& values) const {
    Plain sum;
    double used = 0;
    for (const float m : host_mask) used += m;
    const auto patterns = static_cast<double>(test_case.batch * members);
    for (int64_t b = 0; b < test_case.batch; ++b) {
      if (test_case.supervised) {
        add_supervised(values, b, sum);
        continue;
      }
      const PlainPhysics physics = plain_physics(b);
      const PlainPhysics::Result r = physics.run(plain_heads(values, b));
      sum.nll += r.nll_sum / (patterns * used);
      sum.mae += r.mae_sum / (patterns * used);
      sum.total_variation += r.total_variation;
      sum.objects.push_back(r.object);
    }
    sum.loss = test_case.supervised
                   ? sum.mae
                   : test_case.nll * sum.nll + test_case.mae * sum.mae + test_case.tv * sum.total_variation;
    return sum;
  }

  Case test_case;
  UNet unet;
  Device device;
  Stream stream;
  int64_t n = 0, members = 1;
  bool recompute = false;
  double log_scale = 0.75;  // far from where the loss has no slope in it
  float measured_scale = 1.5F, frame_factor = 0.5F;
  std::vector<double> plain_parameters;
  std::vector<complex64> host_probe;
  std::vector<float> host_weight, host_mask, host_offsets, frames, targets;
  Tensor<float> parameters, gradients, weight, mask;
  Tensor<complex64> probe;

 private:
  double frame(int64_t b, int64_t c, size_t pixel) const {
    return static_cast<double>(frame_factor * frames[static_cast<size_t>((b * members + c) * n * n) + pixel]);
  }
  PlainImage input(int64_t b, int64_t first, int64_t count) const {
    PlainImage image(n, count);
    for (int64_t c = 0; c < count; ++c)
      for (int64_t y = 0; y < n; ++y)
        for (int64_t x = 0; x < n; ++x) image(y, x, c) = frame(b, first + c, static_cast<size_t>(y * n + x));
    return image;
  }
  std::vector<PlainField> plain_heads(const std::vector<double>& values, int64_t b) const {
    const ReferenceNetwork network(unet, values);
    std::vector<PlainField> heads;
    const bool shared = unet.config().network == Network::shared;
    for (int64_t run = 0; run < (shared ? members : 1); ++run) {
      const auto [amplitude, phase] = network.run(shared ? input(b, run, 1) : input(b, 0, members));
      for (int64_t c = 0; c < amplitude.channels; ++c) {
        PlainField head(n);
        for (int64_t y = 0; y < n; ++y)
          for (int64_t x = 0; x < n; ++x) {
            const double angle = phase(y, x, c);
            head(y, x) = amplitude(y, x, c) * std::complex<double>(std::cos(angle), std::sin(angle));
          }
        heads.push_back(head);
      }
    }
    return heads;
  }
  PlainPhysics plain_physics(int64_t b) const {
    PlainPhysics p;
    p.canvas = settings().canvas_px;
    p.merged = unet.config().object_big;
    for (int64_t k = 0; k < test_case.modes; ++k) {
      PlainField mode(n);
      for (size_t i = 0; i < mode.v.size(); ++i) mode.v[i] = host_probe[static_cast<size_t>(k * n * n) + i];
      p.probe.push_back(mode);
    }
    p.weight.assign(host_weight.begin(), host_weight.end());
    p.mask.assign(host_mask.begin(), host_mask.end());
    for (int64_t c = 0; c < members; ++c) {
      for (int64_t axis = 0; axis < 2; ++axis)
        p.offsets.push_back(host_offsets[static_cast<size_t>((b * members + c) * 2 + axis)]);
      std::vector<double> x(static_cast<size_t>(n * n));
      for (size_t i = 0; i < x.size(); ++i) x[i] = frame(b, c, i);
      p.x.push_back(x);
    }
    p.log_scale = log_scale;
    p.measured_scale = measured_scale;
    return p;
  }
  void add_supervised(const std::vector<double>& values, int64_t b, Plain& sum) const {
    const auto [amplitude, phase] = ReferenceNetwork(unet, values).run(input(b, 0, 1));
    const auto count = static_cast<double>(test_case.batch * n * n);
    const size_t half = static_cast<size_t>(test_case.batch * n * n), first = static_cast<size_t>(b * n * n);
    PlainField object(n);
    for (size_t i = 0; i < amplitude.v.size(); ++i) {
      sum.mae +=
          (std::abs(amplitude.v[i] - targets[first + i]) + std::abs(phase.v[i] - targets[half + first + i])) / count;
      object.v[i] = std::polar(1.0, phase.v[i]) * amplitude.v[i];
    }
    sum.objects.push_back(object);
  }
};

double norm_of(const float* v, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(v[i]) * v[i];
  return std::sqrt(sum);
}

class model_cases : public testing::TestWithParam<int> {
 protected:
  Case test_case() const { return cases()[static_cast<size_t>(GetParam())]; }
};

TEST_P(model_cases, loss_and_gradients_agree_with_a_plain_model_in_double) {
  SCOPED_TRACE(test_case().name);
  Bench bench(test_case(), 11);
  TrainingGraph graph = bench.graph();
  const TrainingResult result = graph.step(bench.stream);
  const Bench::Plain expected = bench.plain(bench.plain_parameters);
  EXPECT_WITHIN(std::abs(result.loss - expected.loss), 1e-5 * std::abs(expected.loss));
  EXPECT_WITHIN(std::abs(result.mae - expected.mae), 1e-5 * expected.mae);
  if (!test_case().supervised) EXPECT_WITHIN(std::abs(result.nll - expected.nll), 1e-5 * std::abs(expected.nll));
  if (test_case().tv != 0)
    EXPECT_WITHIN(std::abs(result.total_variation - expected.total_variation), 1e-5 * expected.total_variation);

  if (!test_case().supervised) {
    const double a = bench.log_scale, step = 1e-5;
    bench.log_scale = a + step;
    const double up = bench.plain(bench.plain_parameters).loss;
    bench.log_scale = a - step;
    const double slope = (up - bench.plain(bench.plain_parameters).loss) / (2 * step);
    bench.log_scale = a;
    EXPECT_WITHIN(std::abs(result.grad_log_scale - slope), 1e-4 * std::abs(slope));
  }

  // Directions in which every tensor has an equal, known share of the loss's change, with alternating signs in the
  // second, so that a factor missing in one tensor shows.
  const std::vector<float> gradient = download(bench.stream, bench.gradients);
  std::mt19937 random(17);
  std::normal_distribution<double> normal;
  for (int direction = 0; direction < 2; ++direction) {
    std::vector<double> d(gradient.size(), 0.0);
    double slope = 0, step = 1e300;
    int tensors = 0;
    for (const ParameterEntry& e : bench.unet.parameters()) {
      const float* const g = gradient.data() + e.offset;
      const int64_t count = e.shape.elements();
      const double norm = norm_of(g, count);
      ASSERT_GT(norm, 0) << e.name << " has no gradient";
      const double sign = direction == 0 ? 1 : (tensors % 2 == 0 ? 2 : -1);
      double size = 0;
      for (int64_t i = 0; i < count; ++i) {
        const auto at = static_cast<size_t>(e.offset + i);
        d[at] = sign * (g[i] / norm + 0.3 * normal(random) / std::sqrt(static_cast<double>(count))) / norm;
        slope += d[at] * g[i];
        size = std::max(size, std::abs(d[at]));
      }
      step = std::min(step, 1e-6 / size);
      ++tensors;
    }
    std::vector<double> up = bench.plain_parameters, down = up;
    for (size_t i = 0; i < d.size(); ++i) {
      up[i] += step * d[i];
      down[i] -= step * d[i];
    }
    const double difference = (bench.plain(up).loss - bench.plain(down).loss) / (2 * step);
    EXPECT_WITHIN(std::abs(slope - difference), 1e-3 * std::abs(difference));
  }
}

TEST_P(model_cases, stages_that_run_again_give_the_same_bits_in_less_memory) {
  SCOPED_TRACE(test_case().name);
  Bench bench(test_case(), 14);
  TrainingResult results[2];
  std::vector<float> gradients[2];
  int64_t bytes[2] = {};
  for (const bool again : {false, true}) {
    bench.recompute = again;
    TrainingGraph graph = bench.graph();
    bytes[again] = graph.planned_bytes();
    for (int step = 0; step < 2; ++step) results[again] = graph.step(bench.stream);
    gradients[again] = download(bench.stream, bench.gradients);
  }
  EXPECT_EQ(results[0].loss, results[1].loss);
  EXPECT_EQ(results[0].grad_log_scale, results[1].grad_log_scale);
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_GT(norm_of(gradients[0].data(), static_cast<int64_t>(gradients[0].size())), 0);
  EXPECT_LT(bytes[1], bytes[0]);
}

TEST_P(model_cases, steps_repeat_bit_for_bit_and_take_no_memory) {
  SCOPED_TRACE(test_case().name);
  Bench bench(test_case(), 12);
  TrainingGraph graph = bench.graph();
  const int64_t in_use = bench.device.memory_in_use_bytes(), peak = bench.device.memory_peak_bytes();
  const TrainingResult first = graph.step(bench.stream);
  const std::vector<float> gradient = download(bench.stream, bench.gradients);
  const TrainingResult again = graph.step(bench.stream);
  EXPECT_EQ(first.loss, again.loss);
  EXPECT_EQ(first.grad_log_scale, again.grad_log_scale);
  EXPECT_EQ(download(bench.stream, bench.gradients), gradient);
  fill_zero(bench.stream, bench.gradients.view());
  EXPECT_EQ(graph.evaluate(bench.stream).loss, first.loss);
  EXPECT_EQ(download(bench.stream, bench.gradients), std::vector<float>(gradient.size(), 0));
  EXPECT_EQ(bench.device.memory_in_use_bytes(), in_use);
  EXPECT_EQ(bench.device.memory_peak_bytes(), peak);
}

TEST_P(model_cases, inference_gives_the_training_outputs_and_the_merged_object) {
  SCOPED_TRACE(test_case().name);
  Bench bench(test_case(), 13);
  TrainingGraph training = bench.graph();
  training.evaluate(bench.stream);
  InferenceGraph inference(bench.device, bench.unet, bench.parameters.view(),
                           {.batch = bench.test_case.batch, .weight = std::as_const(bench.weight).view()});
  EXPECT_LT(inference.planned_bytes(), training.planned_bytes());
  bench.fill(inference);
  inference.run(bench.stream);
  const HostCopy trained_amplitude(bench.stream, training.amplitude()), trained_phase(bench.stream, training.phase()),
      amplitude(bench.stream, inference.amplitude()), phase(bench.stream, inference.phase());
  for (int64_t b = 0; b < training.amplitude().extent(0); ++b)
    for (int64_t c = 0; c < training.amplitude().extent(1); ++c)
      for (int64_t y = 0; y < bench.n; ++y)
        for (int64_t x = 0; x < bench.n; ++x) {
          ASSERT_EQ(trained_amplitude(b, c, y, x), amplitude(b, c, y, x));
          ASSERT_EQ(trained_phase(b, c, y, x), phase(b, c, y, x));
        }
  const Bench::Plain expected = bench.plain(bench.plain_parameters);
  ASSERT_EQ(inference.objects().shape(), (Shape{bench.test_case.batch, bench.n, bench.n}));
  const HostCopy objects(bench.stream, inference.objects());
  for (size_t b = 0; b < expected.objects.size(); ++b) {
    const complex64* const object = objects.data() + static_cast<int64_t>(b) * bench.n * bench.n;
    EXPECT_WITHIN(relative_l2(object, expected.objects[b].v.data(), bench.n * bench.n), 5e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(forward_model, model_cases, testing::Range(0, static_cast<int>(cases().size())));

TEST(forward_model, frames_become_channels_and_stay_what_is_measured) {
  for (const Network network : {Network::grouped, Network::shared}) {
    Bench bench({"", small(2, true, true, true, network), false, 2}, 21);
    TrainingGraph graph = bench.graph();
    ASSERT_EQ(graph.measured().shape(), (Shape{2, 4, 64, 64}));
    const HostCopy<float> measured(bench.stream, graph.measured()), x(bench.stream, graph.x());
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t c = 0; c < 4; ++c)
        for (int64_t i = 0; i < 64 * 64; ++i) {
          const float expected = 0.5F * bench.frames[static_cast<size_t>((b * 4 + c) * 4096 + i)];
          ASSERT_EQ(measured(b, c, i / 64, i % 64), expected);
          ASSERT_EQ(network == Network::shared ? x(b * 4 + c, i / 64, i % 64, 0) : x(b, i / 64, i % 64, c), expected);
        }
  }
}

TEST(forward_model, changed_parameters_are_used_after_the_call) {
  Bench bench({"", small(1, true, true, true)}, 22);
  TrainingGraph graph = bench.graph();
  const double before = graph.evaluate(bench.stream).loss;
  std::vector<float> larger = download(bench.stream, bench.parameters);
  for (float& v : larger) v *= 1.5F;
  copy_to_device(bench.stream, bench.parameters.view(), larger.data(), bench.parameters.elements());
  graph.parameters_changed();
  const double after = graph.evaluate(bench.stream).loss;
  EXPECT_NE(before, after);
  EXPECT_EQ(bench.graph().evaluate(bench.stream).loss, after);
}

TEST(forward_model, a_moved_graph_keeps_its_views) {
  Bench bench({"", small(1, true, true, true)}, 23);
  TrainingGraph graph = bench.graph();
  const TensorView<float> x = graph.x(), offsets = graph.offsets();
  const double loss = graph.evaluate(bench.stream).loss;
  TrainingGraph moved(std::move(graph));
  EXPECT_EQ(moved.x().data(), x.data());
  EXPECT_EQ(moved.offsets().data(), offsets.data());
  EXPECT_EQ(moved.evaluate(bench.stream).loss, loss);
}

// Section 0.4: a flat object under the symmetric ideal probe makes the far field exactly zero on a row and a column.
TEST(forward_model, a_flat_object_starts_finite_with_both_losses) {
  for (const int gridsize : {1, 2}) {
    const UNet unet = UNet::generator(small(gridsize, true, true, true));
    const Device device = test_device();
    Stream stream(device);
    Tensor<float> parameters(device, {unet.parameter_count()}, "parameters");
    Tensor<float> gradients(device, {unet.parameter_count()}, "gradients");
    fill_zero(stream, parameters.view());  // amplitude 0.5, phase 0 everywhere
    const io::ComplexImage host_probe = normalise_probe(default_probe(64), 4);
    const Tensor<complex64> probe = upload<complex64>(stream, {1, 64, 64}, host_probe.data);
    const Tensor<float> weight =
        upload<float>(stream, {64, 64}, merge_weight(unet.config(), MergeWeight::probe, 0.02, host_probe));
    for (const bool nll : {true, false}) {
      TrainingSettings settings;
      settings.batch = 2;
      settings.canvas_px = 72;
      settings.probe = probe.view();
      settings.weight = weight.view();
      settings.nll_weight = nll ? 1 : 0;
      settings.mae_weight = nll ? 0 : 1;
      TrainingGraph graph(device, unet, parameters.view(), gradients.view(), settings);
      graph.set_scales(6.9F, 988.0F);
      graph.set_frames(stream, random_floats(2 * gridsize * gridsize * 4096, 0, 1, 3), 1);
      const TrainingResult result = graph.step(stream);
      EXPECT_TRUE(std::isfinite(result.loss)) << result.loss;
      double norm = 0;
      for (const float g : download(stream, gradients)) {
        ASSERT_TRUE(std::isfinite(g));
        norm = std::max(norm, std::abs(static_cast<double>(g)));
      }
      EXPECT_GT(norm, 0);
    }
  }
}

TEST(forward_model, merge_weight_follows_the_rule) {
  GeneratorConfig config = small(2, true, true, true);
  io::ComplexImage probe{2, 64, 64, std::vector<complex64>(2 * 64 * 64)};
  probe.data[10] = {3, 4};                    // mode 0, pixel (0, 10): power 25
  probe.data[4096 + 32 * 64 + 32] = {0, 10};  // mode 1, pixel (32, 32): power 100, the maximum
  std::vector<float> w = merge_weight(config, MergeWeight::probe, 0.02, probe);
  ASSERT_EQ(w.size(), 4096U);
  EXPECT_FLOAT_EQ(w[10], 0.27F);
  EXPECT_FLOAT_EQ(w[32 * 64 + 32], 1.02F);
  EXPECT_FLOAT_EQ(w[0], 0.02F);
  w = merge_weight(config, MergeWeight::square, 0.05, {});
  EXPECT_FLOAT_EQ(w[16 * 64 + 16], 1);
  EXPECT_FLOAT_EQ(w[47 * 64 + 47], 1);
  EXPECT_FLOAT_EQ(w[15 * 64 + 16], 0.05F);
  EXPECT_FLOAT_EQ(w[47 * 64 + 48], 0.05F);
  config.probe_big = false;  // nothing outside the central square to merge
  EXPECT_EQ(merge_weight(config, MergeWeight::probe, 0.02, probe)[10], 0);
  EXPECT_FLOAT_EQ(merge_weight(config, MergeWeight::probe, 0.02, probe)[32 * 64 + 32], 1.02F);
  config.pad_object = false;  // the head covers everything
  EXPECT_FLOAT_EQ(merge_weight(config, MergeWeight::probe, 0.02, probe)[10], 0.27F);
}

TEST(forward_model, masked_probe_is_zero_outside_its_support) {
  const std::vector<complex64> values = random_complex(2 * 64 * 64, 31);
  const io::ComplexImage masked = masked_probe({2, 64, 64, values});
  for (int64_t k = 0; k < 2; ++k)
    for (int64_t y = 0; y < 64; ++y)
      for (int64_t x = 0; x < 64; ++x) {
        const auto i = static_cast<size_t>((k * 64 + y) * 64 + x);
        const bool inside = std::hypot(static_cast<double>(y) - 31.5, static_cast<double>(x) - 31.5) < 16;
        ASSERT_EQ(masked.data[i], inside ? values[i] : complex64{});
      }
}

TEST(forward_model, says_what_does_not_fit) {
  Bench bench({"", small(2, true, true, true)}, 41);
  const auto message_with = [&](auto change) {
    TrainingSettings settings = bench.settings();
    change(settings);
    return error_message(
        [&] { TrainingGraph(bench.device, bench.unet, bench.parameters.view(), bench.gradients.view(), settings); });
  };
  const auto expect_named = [](const std::string& message, const char* expected) {
    EXPECT_NE(message.find(expected), std::string::npos) << message;
  };
  expect_named(message_with([](TrainingSettings& s) { s.batch = 0; }), "a batch of 0 groups");
  expect_named(message_with([](TrainingSettings& s) { s.probe = {}; }), "expected [K,N,N]");
  expect_named(message_with([](TrainingSettings& s) { s.weight = {}; }), "merge weight [");
  expect_named(message_with([](TrainingSettings& s) { s.mask = s.mask.slice(0, 0, 32); }), "mask [32, 64]");
  expect_named(
      error_message([&] { TrainingGraph(bench.device, bench.unet, bench.parameters.view(), {}, bench.settings()); }),
      "gradients");
  TrainingGraph graph = bench.graph();
  expect_named(error_message([&] { graph.set_frames(bench.stream, std::span(bench.frames).first(9), 1); }),
               "4 frames of 64 x 64");
  expect_named(error_message([&] { merge_weight(bench.unet.config(), MergeWeight::probe, -1, {}); }), "border");
  expect_named(error_message([&] { merge_weight(bench.unet.config(), MergeWeight::probe, 0, {}); }),
               "modes of side 64");
  const io::ComplexImage dark{1, 64, 64, std::vector<complex64>(4096)};
  expect_named(error_message([&] { merge_weight(bench.unet.config(), MergeWeight::probe, 0, dark); }),
               "zero everywhere");
}

}  // namespace
}  // namespace ptyfuse::tests
