#include "autodiff/tape.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <random>
#include <thread>

#include "tests/autodiff/plain_nodes.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"

namespace ptyfuse::tests {
namespace {

using autodiff::SegmentValues;
using autodiff::TapeMode;

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::shape);
    return e.what();
  }
  return "";
}

struct Parameter {
  Parameter(const Device& device, const Shape& shape)
      : value(device, shape, "value"), gradient(device, shape, "gradient") {}
  void fill(const std::vector<float>& v) { std::copy(v.begin(), v.end(), value.data()); }
  ValueId on(Tape& tape) { return tape.parameter(value.view(), gradient.view(), "w"); }
  Tensor<float> value, gradient;
};

TEST(tape, gradients_of_two_readers_add_up) {
  // w -> v = 2w; loss = sum (3v)^2/2 + sum (5v)^2/2: d loss / d w = 2 * (9 + 25) * v = 136 w
  const Device device = host_device();
  Stream stream(device);
  Parameter w(device, {1, 3});
  w.fill({1, -2, 0.5F});
  Tape tape(device);
  const ValueId v = tile(tape, w.on(tape), 3, 2);
  double a = 0, b = 0;
  half_square(tape, tile(tape, v, 3, 3), &a);
  half_square(tape, tile(tape, v, 3, 5), &b);
  tape.plan(TapeMode::training);
  for (int run = 0; run < 2; ++run) {
    tape.forward(stream);
    tape.backward(stream);
    EXPECT_FLOAT_EQ(a + b, 0.5 * (36 + 100) * (1 + 4 + 0.25));
    EXPECT_FLOAT_EQ(w.gradient.data()[0], 136);
    EXPECT_FLOAT_EQ(w.gradient.data()[1], -272);
    EXPECT_FLOAT_EQ(w.gradient.data()[2], 68);
  }
}

TEST(tape, shapes_and_names_stay_valid_while_more_is_recorded) {
  Tape tape(test_device());
  const ValueId first = tape.input({2, 3}, "first");
  const Shape& shape = tape.shape(first);
  const std::string& name = tape.name(first);
  for (int i = 0; i < 1000; ++i) tape.input(shape, name);
  EXPECT_EQ(&shape, &tape.shape(first));
  EXPECT_EQ(&name, &tape.name(first));
  EXPECT_EQ(shape, (Shape{2, 3}));
  EXPECT_EQ(name, "first");
}

TEST(tape, runs_of_channels_share_memory_and_gradient) {
  const Device device = host_device();
  Stream stream(device);
  Parameter w(device, {2, 5});
  w.fill({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  Tape tape(device);
  const ValueId v = tile(tape, w.on(tape), 5, 1);
  const ValueId left = tape.channels(v, 0, 2), inner = tape.channels(tape.channels(v, 1, 5), 1, 3);
  tape.keep(v);
  double a = 0, b = 0;
  half_square(tape, tile(tape, left, 2, 10), &a);
  half_square(tape, inner, &b);
  tape.plan(TapeMode::training);
  EXPECT_EQ(tape.shape(inner), (Shape{2, 2}));
  EXPECT_EQ(tape.value(inner).data(), tape.value(v).data() + 2);
  EXPECT_EQ(tape.value(inner).stride(0), 5);
  tape.forward(stream);
  tape.backward(stream);
  // channels 0, 1 through the tile (factor 100), 2, 3 directly, 4 read by none
  const std::vector<float> expected = {100, 200, 3, 4, 0, 600, 700, 8, 9, 0};
  EXPECT_WITHIN(max_difference(w.gradient.data(), expected.data(), 10), 0);
  EXPECT_FLOAT_EQ(a, 50 * (1 + 4 + 36 + 49));
  EXPECT_FLOAT_EQ(b, 0.5 * (9 + 16 + 64 + 81));
}

TEST(tape, values_without_a_parameter_or_a_loss_have_no_gradient) {
  const Device device = host_device();
  Parameter w(device, {1, 2});
  Tape tape(device);
  const ValueId x = tape.input({1, 2}, "x");
  const ValueId from_input = tile(tape, x, 2, 1);
  const ValueId used = product(tape, from_input, tile(tape, w.on(tape), 2, 1));
  const ValueId idle = tile(tape, used, 4, 1);
  double loss = 0;
  half_square(tape, used, &loss);
  tape.plan(TapeMode::training);
  EXPECT_FALSE(tape.wants_gradient(x));
  EXPECT_FALSE(tape.wants_gradient(from_input));
  EXPECT_TRUE(tape.wants_gradient(used));
  EXPECT_FALSE(tape.wants_gradient(idle));
  EXPECT_EQ(tape.gradient(idle).data(), nullptr);
}

TEST(tape, inference_frees_after_the_last_reader) {
  const Device device = host_device();
  Stream stream(device);
  Tape tape(device);
  ValueId v = tape.input({16, 16}, "x");
  const ValueId x = v;
  for (int i = 0; i < 20; ++i) v = tile(tape, v, 16, 1.1F);
  tape.keep(v);
  tape.plan(TapeMode::inference);
  EXPECT_EQ(tape.planned_bytes(), 4 * 16 * 16 * 4);  // the input, the kept output and two that take turns
  for (int64_t i = 0; i < 256; ++i) tape.value(x).data()[i] = static_cast<float>(i);
  tape.forward(stream);
  EXPECT_NEAR(tape.value(v)(3, 5), 53 * std::pow(1.1, 20), 1e-3);
  EXPECT_NE(message_of([&] { tape.backward(stream); }).find("TapeMode::training"), std::string::npos);
}

TEST(tape, a_segment_keeps_its_input_alone_and_runs_again) {
  // w -> [w^2, w^4, w^8] -> [w^16, w^32, w^64] -> loss w^128/2; values that only a segment reads are gone in between.
  class Counted final : public Node {
   public:
    Counted(ValueId in, ValueId out, std::vector<int>* calls) : in_(in), out_(out), calls_(calls) {}
    const char* name() const override { return "square"; }
    std::vector<ValueId> inputs() const override { return {in_}; }
    std::vector<ValueId> outputs() const override { return {out_}; }
    std::vector<ValueId> backward_reads() const override { return {in_}; }
    void forward(Stream&, const Tape& tape) override {
      calls_->push_back(out_.index);
      const TensorView<float> in = tape.value(in_), out = tape.value(out_);
      for_each_element(in.shape(), [&](int64_t r, int64_t c) { out(r, c) = in(r, c) * in(r, c); });
    }
    void backward(Stream&, const Tape& tape) override {
      calls_->push_back(-out_.index);
      const TensorView<float> in = tape.value(in_), to = tape.gradient(in_), from = tape.gradient(out_);
      for_each_element(in.shape(), [&](int64_t r, int64_t c) { to(r, c) = 2 * in(r, c) * from(r, c); });
    }

   private:
    ValueId in_, out_;
    std::vector<int>* calls_;
  };
  const Device device = host_device();
  Stream stream(device);
  int64_t bytes[2] = {};
  for (const SegmentValues segments : {SegmentValues::kept, SegmentValues::recomputed}) {
    const bool again = segments == SegmentValues::recomputed;
    SCOPED_TRACE(again);
    Parameter w(device, {1, 64});
    w.fill(std::vector<float>(64, 1.03125F));
    Tape tape(device);
    std::vector<int> calls;
    std::vector<ValueId> chain{tile(tape, w.on(tape), 64, 1)};
    for (int segment = 0; segment < 2; ++segment) {
      tape.begin_segment();
      for (int node = 0; node < 3; ++node) {
        const ValueId in = chain.back();
        chain.push_back(tape.intermediate({1, 64}, "square"));
        tape.add(std::make_unique<Counted>(in, chain.back(), &calls));
      }
      tape.end_segment();
    }
    double loss = 0;
    half_square(tape, chain.back(), &loss);
    tape.plan(TapeMode::training, segments);
    bytes[again ? 1 : 0] = tape.planned_bytes();
    for (int run = 0; run < 2; ++run) {
      calls.clear();
      tape.forward(stream);
      tape.backward(stream);
      const auto v = [&](int i) { return chain[static_cast<size_t>(i)].index; };
      // What a segment gives to the next one is kept; of its nodes those run again that write what is not.
      std::vector<int> expected{v(1), v(2), v(3), v(4), v(5), v(6)};
      const std::vector<int> back =
          again ? std::vector<int>{v(4), v(5), -v(6), -v(5), -v(4), v(1), v(2), -v(3), -v(2), -v(1)}
                : std::vector<int>{-v(6), -v(5), -v(4), -v(3), -v(2), -v(1)};
      expected.insert(expected.end(), back.begin(), back.end());
      EXPECT_EQ(calls, expected);
      const double slope = 64 * std::pow(1.03125, 127);
      EXPECT_WITHIN(std::abs(w.gradient.data()[63] - slope), 1e-4 * slope);
    }
  }
  EXPECT_LT(bytes[1], bytes[0]);
}

/// A random graph of tiles, products, runs of channels and losses, with the same in double and without shared memory.
class RandomGraph {
 public:
  RandomGraph(const Device& device, uint64_t seed) : random_(seed), tape(device), stream_(device) {
    const int parameters = 2;
    for (int p = 0; p < parameters; ++p) {
      weights_.push_back(std::make_unique<Parameter>(device, Shape{rows, channels}));
      add_value(tile(tape, weights_.back()->on(tape), channels, 1), nodes_++);
    }
    input_ = tape.input({rows, channels}, "x");
    add_value(input_, -1);
    std::mt19937_64 cuts(seed);
    bool inside = false;
    for (int step = 0; step < 25; ++step) {
      if (cuts() % 4 == 0) {
        if (inside) tape.end_segment();
        inside = !inside;
        if (inside) tape.begin_segment();
      }
      record_one();
    }
    if (inside) tape.end_segment();
    for (const size_t v : {reference_.size() - 1, reference_.size() - 2, reference_.size() - 3}) {
      losses_.push_back(std::make_unique<double>(0));
      const size_t end = pick_run(v);
      half_square(tape, reference_[end].id, losses_.back().get());
      loss_of_.push_back(end);
    }
  }

  void check_step() {
    for (const auto& w : weights_) w->fill(draw());
    const std::vector<float> x = draw();
    std::copy(x.begin(), x.end(), tape.value(input_).data());
    tape.forward(stream_);
    if (tape.mode() == TapeMode::training) tape.backward(stream_);
    evaluate_reference(x);
    for (size_t l = 0; l < losses_.size(); ++l) {
      double expected = 0;
      for (const double v : reference_[loss_of_[l]].value) expected += 0.5 * v * v;
      EXPECT_WITHIN(std::abs(*losses_[l] - expected), 1e-5 * expected + 1e-12);
    }
    if (tape.mode() != TapeMode::training) return;
    for (size_t p = 0; p < weights_.size(); ++p)
      if (tape.wants_gradient(reference_[p].id))
        EXPECT_WITHIN(relative_l2(weights_[p]->gradient.data(), reference_[p].gradient.data(), rows * channels), 1e-5);
  }

 private:
  static constexpr int64_t rows = 3, channels = 6;
  enum class Kind { source, run, tile, product };
  struct Plain {
    ValueId id;
    int node = -1;
    Kind kind = Kind::source;
    size_t a = 0, b = 0;
    int64_t first = 0, width = channels;
    float factor = 1;
    int split = 0;  // how this value is read: 0 not yet, 1 whole, 2 as [0,2) and [2,6)
    std::vector<double> value, gradient;
  };

  std::vector<float> draw() {
    std::uniform_real_distribution<float> u(0.5F, 1.2F);
    std::vector<float> v(rows * channels);
    for (float& e : v) e = u(random_);
    return v;
  }
  Plain& add_value(ValueId id, int node) {
    Plain p;
    p.id = id;
    p.node = node;
    p.width = tape.shape(id)[1];
    reference_.push_back(p);
    return reference_.back();
  }
  /// `v` itself or a run of it, so that all its readers' runs are equal or disjoint.
  size_t pick_run(size_t v) {
    Plain& source = reference_[v];
    const bool may_split = source.node >= 0 && source.kind != Kind::run && source.width == channels;
    if (source.split == 0) source.split = may_split && random_() % 2 == 0 ? 2 : 1;
    if (source.split == 1) return v;
    const int64_t first = random_() % 2 == 0 ? 0 : 2, last = first == 0 ? 2 : channels;
    Plain& run = add_value(tape.channels(source.id, first, last), reference_[v].node);
    run.kind = Kind::run;
    run.a = v;
    run.first = first;
    run.split = 1;
    return reference_.size() - 1;
  }
  void record_one() {
    const size_t a = pick_run(random_() % reference_.size());
    const size_t b = pick_run(random_() % reference_.size());
    if (a != b && reference_[a].width == reference_[b].width && random_() % 3 != 0) {
      Plain& out = add_value(product(tape, reference_[a].id, reference_[b].id), nodes_++);
      out.kind = Kind::product;
      out.a = a;
      out.b = b;
      return;
    }
    const int64_t width = random_() % 2 == 0 ? channels : 2;
    const float factor = 0.9F;
    Plain& out = add_value(tile(tape, reference_[a].id, width, factor), nodes_++);
    out.kind = Kind::tile;
    out.a = a;
    out.factor = factor;
  }

  void evaluate_reference(const std::vector<float>& x) {
    for (size_t i = 0; i < reference_.size(); ++i) {
      Plain& p = reference_[i];
      p.value.assign(static_cast<size_t>(rows * p.width), 0);
      p.gradient.assign(p.value.size(), 0);
      for_each(p, [&](int64_t r, int64_t c, double& v) {
        const auto flat = static_cast<size_t>(r * p.width + c);
        switch (p.kind) {
          case Kind::source:
            v = i < weights_.size() ? weights_[i]->value.data()[flat] : x[flat];
            break;
          case Kind::run:
            v = at(p.a, r, p.first + c);
            break;
          case Kind::tile:
            v = p.factor * at(p.a, r, c % reference_[p.a].width);
            break;
          case Kind::product:
            v = at(p.a, r, c) * at(p.b, r, c);
            break;
        }
      });
    }
    for (const size_t l : loss_of_)
      for (size_t e = 0; e < reference_[l].value.size(); ++e) reference_[l].gradient[e] += reference_[l].value[e];
    for (size_t i = reference_.size(); i-- > 0;) {
      Plain& p = reference_[i];
      for_each(p, [&](int64_t r, int64_t c, double&) {
        const double g = p.gradient[static_cast<size_t>(r * p.width + c)];
        switch (p.kind) {
          case Kind::source:
            break;
          case Kind::run:
            gradient_at(p.a, r, p.first + c) += g;
            break;
          case Kind::tile:
            gradient_at(p.a, r, c % reference_[p.a].width) += p.factor * g;
            break;
          case Kind::product:
            gradient_at(p.a, r, c) += g * at(p.b, r, c);
            gradient_at(p.b, r, c) += g * at(p.a, r, c);
            break;
        }
      });
    }
  }
  template <class F>
  void for_each(Plain& p, F&& f) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < p.width; ++c) f(r, c, p.value[static_cast<size_t>(r * p.width + c)]);
  }
  double at(size_t v, int64_t r, int64_t c) {
    return reference_[v].value[static_cast<size_t>(r * reference_[v].width + c)];
  }
  double& gradient_at(size_t v, int64_t r, int64_t c) {
    return reference_[v].gradient[static_cast<size_t>(r * reference_[v].width + c)];
  }

  std::mt19937_64 random_;

 public:
  Tape tape;

 private:
  Stream stream_;
  int nodes_ = 0;
  ValueId input_;
  std::vector<std::unique_ptr<Parameter>> weights_;
  std::vector<Plain> reference_;
  std::vector<std::unique_ptr<double>> losses_;
  std::vector<size_t> loss_of_;
};

class random_graphs : public testing::TestWithParam<std::pair<TapeMode, SegmentValues>> {};

TEST_P(random_graphs, agree_with_values_in_memory_of_their_own) {
  const Device device = host_device();
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    RandomGraph graph(device, seed);
    graph.tape.plan(GetParam().first, GetParam().second);
    const int64_t in_use = device.memory_in_use_bytes(), peak = device.memory_peak_bytes();
    for (int step = 0; step < 2; ++step) graph.check_step();
    EXPECT_EQ(device.memory_in_use_bytes(), in_use);
    EXPECT_EQ(device.memory_peak_bytes(), peak);
  }
}

INSTANTIATE_TEST_SUITE_P(tape, random_graphs,
                         testing::Values(std::pair{TapeMode::inference, SegmentValues::kept},
                                         std::pair{TapeMode::training, SegmentValues::kept},
                                         std::pair{TapeMode::training, SegmentValues::recomputed}));

TEST(tape, two_run_at_once_on_two_threads) {
  const Device device = host_device();
  std::atomic<int> finished{0};
  const auto work = [&](uint64_t first_seed) {
    for (uint64_t seed = first_seed; seed < first_seed + 90; ++seed) {
      RandomGraph graph(device, seed);
      graph.tape.plan(TapeMode::training);
      for (int step = 0; step < 5; ++step) graph.check_step();
    }
    ++finished;
  };
  std::thread a(work, 100), b(work, 200);
  a.join();
  b.join();
  EXPECT_EQ(finished, 2);
  EXPECT_EQ(device.memory_in_use_bytes(), 0);
}

TEST(tape, moves_with_its_memory) {
  const Device device = host_device();
  Stream stream(device);
  Tape tape(device);
  const ValueId x = tape.input({1, 1}, "x");
  const ValueId y = tile(tape, x, 1, 4);
  tape.keep(y);
  tape.plan(TapeMode::inference);
  Tape other(std::move(tape));
  other.value(x).data()[0] = 2;
  other.forward(stream);
  EXPECT_EQ(other.value(y).data()[0], 8);
}

TEST(tape, parameters_version_grows) {
  Tape tape(host_device());
  const int64_t before = tape.parameters_version();
  tape.parameters_changed();
  EXPECT_GT(tape.parameters_version(), before);
}

TEST(tape, says_what_is_wrong_with_a_record) {
  const Device device = host_device();
  Parameter w(device, {1, 4});
  double loss = 0;
  struct Case {
    const char* expected;
    std::function<void(Tape&)> record;
  };
  const Case cases[] = {
      {"reads 'later' before a node has produced it",
       [](Tape& t) {
         tile(t, t.intermediate({1, 4}, "later"), 4, 1);
       }},
      {"reads 'w' twice",
       [&](Tape& t) {
         const ValueId v = w.on(t);
         product(t, v, v);
       }},
      {"'w' is a parameter that two nodes read",
       [&](Tape& t) {
         const ValueId v = w.on(t);
         half_square(t, tile(t, v, 4, 1), &loss);
         half_square(t, tile(t, v, 4, 1), &loss);
       }},
      {"produced by two nodes",
       [&](Tape& t) {
         const ValueId v = w.on(t), out = t.intermediate({1, 4}, "out");
         t.add(std::make_unique<Tile>(v, out, 1.0F));
         t.add(std::make_unique<Tile>(v, out, 1.0F));
       }},
      {"not an intermediate value",
       [&](Tape& t) {
         t.add(std::make_unique<Tile>(w.on(t), t.input({1, 4}, "x"), 1.0F));
       }},
      {"channels [2, 4) and [0, 3) of 'tile of w' overlap",
       [&](Tape& t) {
         const ValueId v = tile(t, w.on(t), 4, 1);
         half_square(t, t.channels(v, 2, 4), &loss);
         half_square(t, t.channels(v, 0, 3), &loss);
       }},
      {"channels [1, 5) of 'x' [1, 4]",
       [](Tape& t) {
         t.channels(t.input({1, 4}, "x"), 1, 5);
       }},
      {"value 7 is not one of its 0 values", [](Tape& t) { t.keep({7}); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.expected);
    Tape tape(device);
    const std::string message = message_of([&] {
      c.record(tape);
      tape.plan(TapeMode::training);
    });
    EXPECT_NE(message.find(c.expected), std::string::npos) << "but was: " << message;
  }
}

TEST(tape, refuses_calls_out_of_order) {
  const Device device = host_device();
  Stream stream(device), foreign(host_device());
  Tape tape(device);
  tape.input({1}, "x");
  EXPECT_NE(message_of([&] { tape.forward(stream); }).find("plan() comes before"), std::string::npos);
  tape.plan(TapeMode::inference);
  EXPECT_NE(message_of([&] { tape.input({1}, "y"); }).find("is planned"), std::string::npos);
  EXPECT_NE(message_of([&] { tape.plan(TapeMode::inference); }).find("is planned"), std::string::npos);
  EXPECT_NE(message_of([&] { tape.forward(foreign); }).find("another device"), std::string::npos);
}

TEST(tape, takes_no_more_than_the_device_allows) {
  const Device device = Device::cpu({.threads = 1, .memory_limit_bytes = 4096});
  Tape tape(device);
  tape.input({64, 64}, "x");
  try {
    tape.plan(TapeMode::inference);
    FAIL() << "16 KiB fitted in 4 KiB";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::memory);
    EXPECT_NE(std::string(e.what()).find("tape"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace ptyfuse::tests
