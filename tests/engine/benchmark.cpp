#include "engine/benchmark.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "autodiff/tape.h"
#include "engine/forward_model.h"
#include "engine/network_cost.h"
#include "io/hdf5.h"
#include "io/scan.h"
#include "kernels/ops/adam.h"
#include "kernels/ops/physics.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/temporary_folder.h"

namespace ptyfuse::tests {
namespace {

BenchmarkConfig tiny(const std::string& only, int64_t gridsize = 2) {
  BenchmarkConfig c;
  c.only = only;
  c.gridsize = gridsize;
  c.filters_scale = 0.25;
  c.batch = 2;
  c.patterns = 20;
  c.warm_up = 0;
  c.repeats = 1;
  return c;
}

GeneratorConfig network_of(const BenchmarkConfig& c) {
  GeneratorConfig g;
  g.gridsize = static_cast<int>(c.gridsize);
  g.filters_scale = c.filters_scale;
  return g;
}

/// A case's record, open for reading.
class Recorded {
 public:
  explicit Recorded(const BenchmarkConfig& c) : path(folder_.file(c.only + ".h5")) {
    record_benchmark(test_device(), c, path, false);
    file_ = io::h5::File::open(path);
  }
  template <class T = float>
  std::vector<T> read(const std::string& name) const {
    return file_.dataset(name).read_all<T>();
  }
  Shape shape(const std::string& name) const {
    Shape s;
    const io::h5::Dataset dataset = file_.dataset(name);
    for (const int64_t extent : dataset.shape()) s.push_back(extent);
    return s;
  }
  double number(const std::string& name) const { return read<double>(name).at(0); }
  template <class T = float>
  Tensor<T> upload(Stream& stream, const std::string& name) const {
    return tests::upload<T>(stream, shape(name), read<T>(name));
  }
  std::vector<float> parameters(const std::string& group, const UNet& unet) const {
    std::vector<float> flat;
    for (const ParameterEntry& p : unet.parameters()) {
      EXPECT_EQ(shape(group + "/" + p.name), p.shape) << p.name;
      const std::vector<float> values = read(group + "/" + p.name);
      flat.insert(flat.end(), values.begin(), values.end());
    }
    return flat;
  }
  nlohmann::json config() const { return nlohmann::json::parse(file_.text("config").value()); }

 private:
  TemporaryFolder folder_;

 public:
  std::string path;

 private:
  io::h5::File file_;
};

TEST(network_cost, counts_the_direct_formula) {
  // The figures of the method without probe_big, in MFLOP for a group of four.
  const struct {
    int64_t side_px;
    double forward, training;
  } cases[] = {{64, 1462, 4368}, {128, 2942, 8788}};
  for (const auto& c : cases) {
    GeneratorConfig g;
    g.side_px = c.side_px;
    g.probe_big = false;
    const UNet unet = UNet::generator(g);
    const ops::Cost forward = network_forward_cost(unet, 1), backward = network_backward_cost(unet, 1);
    EXPECT_NEAR(forward.flop / 1e6, c.forward, 0.6) << c.side_px;
    EXPECT_NEAR((forward.flop + backward.flop) / 1e6, c.training, 0.6) << c.side_px;
    EXPECT_DOUBLE_EQ(network_forward_cost(unet, 3).flop, 3 * forward.flop);
    // Weights are read once however many images there are.
    EXPECT_NEAR(network_forward_cost(unet, 3).bytes, 3 * forward.bytes - 2 * 4.0 * unet.parameter_count(), 1);
    EXPECT_GT(backward.bytes, forward.bytes);
  }
}

TEST(network_cost, of_one_small_layer_by_hand) {
  GeneratorConfig g;
  g.gridsize = 1;
  g.filters_scale = 0.25;
  const std::vector<ops::Conv3x3Spec> layers = UNet::generator(g).convolutions(5);
  ASSERT_EQ(layers.size(), 6U + 2 * (4 + 1 + 3));  // encoder; decoder stages, head and border, twice
  EXPECT_EQ(layers[0].batch, 5);
  EXPECT_EQ(layers[0].in_channels, 1);
  EXPECT_EQ(layers[0].out_channels, 8);
  EXPECT_EQ(layers[0].height, 64);
  EXPECT_EQ(layers[5].height, 16);  // enc.2.conv1
  EXPECT_EQ(layers[6].height, 8);   // amp.dec.0.conv0, behind three poolings
  EXPECT_EQ(layers[8].height, 16);  // amp.dec.1.conv0 upsamples as it reads
  EXPECT_TRUE(layers[8].input_upsampled);
}

TEST(benchmark, every_case_runs_and_states_its_work) {
  const Device device = test_device();
  std::set<std::string> listed, ran;
  std::map<std::string, int64_t> peak_bytes;
  for (const BenchmarkCase& c : benchmark_cases()) {
    EXPECT_TRUE(listed.insert(c.name).second) << c.name;
    EXPECT_FALSE(c.summary.empty()) << c.name;
  }
  for (const BenchmarkSuite suite : {BenchmarkSuite::model, BenchmarkSuite::io, BenchmarkSuite::ops}) {
    BenchmarkConfig c = tiny("");
    c.suite = suite;
    run_benchmark(device, c, {}, [&](const BenchmarkLine& line) {
      ran.insert(line.name);
      EXPECT_GT(line.median_s, 0) << line.name;
      EXPECT_LE(line.min_s, line.median_s) << line.name;
      EXPECT_GT(line.patterns, 0) << line.name;
      EXPECT_GT(line.median_cpu_s, 0) << line.name;
      EXPECT_GT(line.bytes, 0) << line.name;
      EXPECT_EQ(line.flop > 0, line.name != "upsample2") << line.name;
      if (suite == BenchmarkSuite::ops) {
        EXPECT_EQ(line.patterns, c.batch * c.gridsize * c.gridsize) << line.name;
      }
      // A GPU is waited for at the end of an epoch.
      EXPECT_EQ(line.calls, line.name == "train_step" && device.kind() != DeviceKind::cpu ? 8 : 1) << line.name;
      peak_bytes[line.name] = line.device_peak_bytes;
    });
  }
  // Whatever ran before it.
  for (const std::string name : {"physics", "scale"})
    run_benchmark(device, tiny(name), {}, [&](const BenchmarkLine& line) {
      EXPECT_EQ(line.device_peak_bytes, peak_bytes[name]) << name;
      EXPECT_GT(line.device_peak_bytes, 0) << name;
    });
  EXPECT_LT(peak_bytes["scale"], peak_bytes["conv3x3_backward"]);
  EXPECT_LT(peak_bytes["unet_forward"], peak_bytes["unet_backward"]);
  for (const std::string machine : {"copy", "fma"}) ran.insert(machine);  // measured by cli_workflow
  EXPECT_EQ(ran, listed);
}

TEST(benchmark, a_recorded_forward_pass_repeats_from_its_file) {
  for (const int64_t gridsize : {1, 2}) {
    const BenchmarkConfig c = tiny("unet_forward", gridsize);
    const Recorded record(c);
    EXPECT_EQ(record.config()["gridsize"], gridsize);
    const UNet unet = UNet::generator(network_of(c));
    Stream stream(test_device());
    Tensor<float> parameters = upload<float>(stream, {unet.parameter_count()}, record.parameters("weights", unet));
    autodiff::Tape tape(stream.device());
    const autodiff::ValueId x = tape.input(record.shape("inputs/x"), "x");
    const UNet::Output out = unet.record(tape, x, parameters.view(), {});
    tape.keep(out.amplitude);
    tape.keep(out.phase);
    tape.plan(autodiff::TapeMode::inference);
    const std::vector<float> images = record.read("inputs/x");
    copy_to_device(stream, tape.value(x), images.data(), static_cast<int64_t>(images.size()));
    tape.forward(stream);
    const HostCopy<float> amplitude(stream, tape.value(out.amplitude)), phase(stream, tape.value(out.phase));
    const std::vector<float> a = record.read("outputs/amplitude"), p = record.read("outputs/phase");
    EXPECT_WITHIN(max_difference(amplitude.data(), a.data(), static_cast<int64_t>(a.size())), 0);
    EXPECT_WITHIN(max_difference(phase.data(), p.data(), static_cast<int64_t>(p.size())), 0);
  }
}

TEST(benchmark, recorded_physics_repeats_from_its_file) {
  const Recorded record(tiny("physics"));
  Stream stream(test_device());
  const auto amplitude = record.upload(stream, "inputs/amplitude"), phase = record.upload(stream, "inputs/phase"),
             measured = record.upload(stream, "inputs/measured"), offsets = record.upload(stream, "inputs/offsets_px"),
             weight = record.upload(stream, "inputs/weight");
  const auto probe = record.upload<complex64>(stream, "inputs/probe");
  Tensor<float> grad_amplitude(stream.device(), amplitude.shape(), "gradient"),
      grad_phase(stream.device(), phase.shape(), "gradient");
  ops::PhysicsSpec spec;
  spec.batch = amplitude.shape()[0];
  spec.members = spec.heads = amplitude.shape()[1];
  spec.side = amplitude.shape()[2];
  spec.canvas = static_cast<int64_t>(record.number("inputs/canvas_px"));
  ops::PhysicsInputs in;
  in.amplitude = amplitude.view();
  in.phase = phase.view();
  in.measured = measured.view();
  in.offsets_px = offsets.view();
  in.weight = weight.view();
  in.probe = probe.view();
  in.log_scale = static_cast<float>(record.number("inputs/log_scale"));
  in.measured_scale = static_cast<float>(record.number("inputs/measured_scale"));
  const ops::PhysicsResult result =
      ops::Physics(stream.device(), spec).run(stream, in, grad_amplitude.view(), grad_phase.view());
  EXPECT_EQ(result.loss, record.number("outputs/loss"));
  EXPECT_EQ(download(stream, grad_amplitude), record.read("outputs/grad_amplitude"));
  EXPECT_EQ(download(stream, grad_phase), record.read("outputs/grad_phase"));
}

// By the graph and Adam themselves, without a trainer: the groups come in another order, so to rounding.
TEST(benchmark, a_recorded_training_step_repeats_from_its_file) {
  for (const int64_t gridsize : {1, 2}) {
    const BenchmarkConfig c = tiny("train_step", gridsize);
    const Recorded record(c);
    const UNet unet = UNet::generator(network_of(c));
    const int64_t count = unet.parameter_count();
    Stream stream(test_device());
    Tensor<float> parameters = upload<float>(stream, {count}, record.parameters("weights", unet));
    Tensor<float> gradients(stream.device(), {count}, "gradients"), m(stream.device(), {count}, "m"),
        v(stream.device(), {count}, "v");
    fill_zero(stream, m.view());
    fill_zero(stream, v.view());
    const auto probe = record.upload<complex64>(stream, "inputs/probe");
    const auto weight = record.upload(stream, "inputs/weight");
    TrainingSettings settings;
    settings.batch = c.batch;
    settings.canvas_px = static_cast<int64_t>(record.number("inputs/canvas_px"));
    settings.probe = probe.view();
    settings.weight = weight.view();
    TrainingGraph graph(stream.device(), unet, parameters.view(), gradients.view(), settings);
    graph.set_scales(static_cast<float>(record.number("inputs/log_scale")),
                     static_cast<float>(record.number("inputs/measured_scale")));
    graph.set_frames(stream, record.read("inputs/x"), 1);
    const std::vector<float> offsets = record.read("inputs/offsets_px");
    copy_to_device(stream, graph.offsets(), offsets.data(), static_cast<int64_t>(offsets.size()));
    const double loss = graph.step(stream).loss;
    EXPECT_WITHIN(std::abs(loss / record.number("outputs/loss") - 1), 1e-5);
    ops::AdamSettings adam;
    adam.learning_rate = record.number("inputs/learning_rate");
    ops::adam(stream, adam, 1, std::as_const(gradients).view(), parameters.view(), m.view(), v.view());
    const std::vector<float> gradient = download(stream, gradients), after = download(stream, parameters),
                             recorded_gradient = record.parameters("outputs/gradient", unet),
                             recorded_after = record.parameters("outputs/weights", unet);
    EXPECT_WITHIN(relative_l2(gradient.data(), recorded_gradient.data(), count), 2e-3);
    EXPECT_WITHIN(relative_l2(after.data(), recorded_after.data(), count), 2e-3);
    EXPECT_GT(relative_l2(after.data(), record.parameters("weights", unet).data(), count), 1e-3);
  }
}

TEST(benchmark, a_recorded_reconstruction_leaves_its_scan) {
  const BenchmarkConfig c = tiny("reconstruct");
  const Recorded record(c);
  const auto scan = io::open_scan(record.path + ".scan.h5");
  EXPECT_EQ(scan->info().frames, c.patterns);
  EXPECT_EQ(scan->info().group_members, 4);
  EXPECT_EQ(static_cast<int64_t>(scan->info().groups.size()), 4 * c.patterns);
  EXPECT_EQ(record.shape("outputs/object"), record.shape("outputs/coverage"));
  const std::vector<complex64> object = record.read<complex64>("outputs/object");
  double power = 0;
  for (const complex64 z : object) power += std::norm(z);
  EXPECT_GT(power, 0);
}

TEST(benchmark, data_follow_from_the_seed) {
  BenchmarkConfig c = tiny("physics");
  const Recorded first(c), again(c);
  EXPECT_EQ(first.read("inputs/phase"), again.read("inputs/phase"));
  c.seed = 1;
  EXPECT_NE(Recorded(c).read("inputs/phase"), first.read("inputs/phase"));
}

TEST(benchmark, refuses_what_cannot_be_recorded) {
  const TemporaryFolder folder;
  for (const std::string only : {"", "adam", "nothing"}) {
    EXPECT_THROW(record_benchmark(test_device(), tiny(only), folder.file("r.h5"), false), UsageError) << only;
    EXPECT_TRUE(folder.names().empty());
  }
}

}  // namespace
}  // namespace ptyfuse::tests
