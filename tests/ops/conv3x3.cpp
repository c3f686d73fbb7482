#include "kernels/ops/conv3x3.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "kernels/ops/max_pool2.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

using ops::Conv3x3;
using ops::Conv3x3Spec;
using ops::ConvActivation;
using ops::Precision;

struct Case {
  const char* name;
  int64_t batch, height, width, in_channels, out_channels;
  bool relu = false, upsampled = false;
  int64_t in_gap = 0, out_gap = 0;  // channels between pixels that do not belong to the view
  Precision precision = Precision::fp32;
  double tolerance = 4e-6, gradient_tolerance = 1e-5;
};

#ifdef PTYFUSE_EMU
constexpr int64_t many_images = 300;  // the emulated GPU is slow
#else
constexpr int64_t many_images = 70000;  // more than a GPU's grid has blocks in its second and third extent
#endif

const Case cases[] = {
    {"one_pixel", 1, 1, 1, 1, 1},
    {"one_row", 2, 1, 9, 3, 5, true},
    {"one_column", 2, 9, 1, 3, 5, true},
    {"two_by_two", 3, 2, 2, 2, 3, false, true},
    {"odd_sizes", 2, 5, 7, 3, 17, true},
    {"tiles_fit", 2, 8, 12, 8, 16},
    {"tiles_and_a_bit", 1, 9, 13, 20, 36, true},
    {"first_layer_gridsize1", 2, 16, 16, 1, 32, true},
    {"first_layer", 2, 16, 16, 4, 64, true},
    {"middle", 2, 16, 16, 64, 72, true},
    {"deep", 3, 8, 8, 130, 96, true},
    {"upsampled", 2, 16, 8, 24, 40, true, true},
    {"upsampled_uneven", 1, 6, 10, 9, 7, true, true},
    {"head_of_central_channels", 2, 8, 8, 60, 4, false, false, 4, 0},
    {"border_of_outer_channels", 2, 8, 8, 4, 48, true, true, 60, 0},
    {"head_gap_out", 2, 12, 8, 28, 1, false, true, 4, 3},
    {"many_tiny_images", many_images, 1, 2, 1, 2, true, false, 0, 0, Precision::fp32, 4e-6, 5e-5},
    {"bf16", 2, 8, 8, 12, 20, true, false, 0, 0, Precision::bf16},
    {"bf16_upsampled", 1, 8, 12, 33, 18, false, true, 0, 0, Precision::bf16},
};

float bf16(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  const uint32_t low = bits & 0xFFFF, up = low > 0x8000 || (low == 0x8000 && (bits >> 16 & 1)) ? 0x10000 : 0;
  bits = (bits & 0xFFFF0000) + up;
  std::memcpy(&v, &bits, 4);
  return v;
}

std::vector<float> noise(int64_t n, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-scale, scale);
  std::vector<float> v(static_cast<size_t>(n));
  for (float& e : v) e = uniform(random);
  return v;
}

// The contract in double, on images without gaps.
struct Reference {
  const Case& c;
  int64_t source_height() const { return c.upsampled ? c.height / 2 : c.height; }
  int64_t source_width() const { return c.upsampled ? c.width / 2 : c.width; }

  // Calls body(in pixel, out pixel, tap) for every product of the sum.
  template <class Body>
  void for_taps(Body body) const {
    const int64_t up = c.upsampled ? 2 : 1;
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t y = 0; y < c.height; ++y)
        for (int64_t x = 0; x < c.width; ++x)
          for (int64_t ky = 0; ky < 3; ++ky)
            for (int64_t kx = 0; kx < 3; ++kx) {
              const int64_t sy = y + ky - 1, sx = x + kx - 1;
              if (sy < 0 || sx < 0 || sy >= c.height || sx >= c.width) continue;
              body((b * source_height() + sy / up) * source_width() + sx / up, (b * c.height + y) * c.width + x,
                   ky * 3 + kx);
            }
  }
  std::vector<double> forward(const std::vector<double>& in, const std::vector<double>& weights,
                              const std::vector<double>& bias) const {
    const int64_t ci = c.in_channels, co = c.out_channels;
    std::vector<double> out(static_cast<size_t>(c.batch * c.height * c.width * co));
    for (size_t e = 0; e < out.size(); ++e) out[e] = bias[e % static_cast<size_t>(co)];
    for_taps([&](int64_t ip, int64_t op, int64_t k) {
      for (int64_t i = 0; i < ci; ++i)
        for (int64_t o = 0; o < co; ++o)
          out[size_t(op * co + o)] += in[size_t(ip * ci + i)] * weights[size_t((k * ci + i) * co + o)];
    });
    if (c.relu)
      for (double& e : out) e = e > 0 ? e : 0;
    return out;
  }
  // grad: masked already.
  void backward(const std::vector<double>& in, const std::vector<double>& weights, const std::vector<double>& grad,
                std::vector<double>& grad_in, std::vector<double>& grad_weights, std::vector<double>& grad_bias) const {
    const int64_t ci = c.in_channels, co = c.out_channels;
    grad_in.assign(in.size(), 0), grad_weights.assign(weights.size(), 0), grad_bias.assign(size_t(co), 0);
    for (size_t e = 0; e < grad.size(); ++e) grad_bias[e % size_t(co)] += grad[e];
    for_taps([&](int64_t ip, int64_t op, int64_t k) {
      for (int64_t i = 0; i < ci; ++i)
        for (int64_t o = 0; o < co; ++o) {
          const double g = grad[size_t(op * co + o)];
          grad_in[size_t(ip * ci + i)] += g * weights[size_t((k * ci + i) * co + o)];
          grad_weights[size_t((k * ci + i) * co + o)] += g * in[size_t(ip * ci + i)];
        }
    });
  }
};

std::vector<double> to_double(const std::vector<float>& v) {
  return {v.begin(), v.end()};
}
double relative(const std::vector<float>& a, const std::vector<double>& b) {
  return relative_l2(a.data(), b.data(), static_cast<int64_t>(b.size()));
}

// One convolution with its tensors on a device; images may have gaps between pixels, filled with a mark.
class Fixture {
 public:
  static constexpr float mark = 1234.5F;

  explicit Fixture(const Case& c, int threads = 2)
      : c_(c),
        device_(test_device(threads)),
        stream_(device_),
        conv_(device_, spec(c), true),
        in_(noise(in_pixels() * c.in_channels, 1)),
        weights_(noise(9 * c.in_channels * c.out_channels, 2, 0.3F)),
        bias_(noise(c.out_channels, 3)),
        grad_out_(noise(out_pixels() * c.out_channels, 4)),
        in_memory_(spread(in_, in_pixels(), c.in_channels, c.in_gap)),
        out_memory_(spread(std::vector<float>(grad_out_.size(), NAN), out_pixels(), c.out_channels, c.out_gap)),
        grad_out_memory_(spread(grad_out_, out_pixels(), c.out_channels, c.out_gap)),
        grad_in_memory_(spread(std::vector<float>(in_.size(), NAN), in_pixels(), c.in_channels, c.in_gap)) {
    set_weights(weights_, bias_);
  }

  static Conv3x3Spec spec(const Case& c) {
    return {.batch = c.batch,
            .height = c.height,
            .width = c.width,
            .in_channels = c.in_channels,
            .out_channels = c.out_channels,
            .activation = c.relu ? ConvActivation::relu : ConvActivation::none,
            .precision = c.precision,
            .input_upsampled = c.upsampled};
  }

  void set_weights(const std::vector<float>& weights, const std::vector<float>& bias) {
    const Tensor<float> w = upload<float>(stream_, {3, 3, c_.in_channels, c_.out_channels}, weights);
    const Tensor<float> b = upload<float>(stream_, {c_.out_channels}, bias);
    conv_.set_weights(stream_, w.view(), b.view());
  }
  void set_in(const std::vector<float>& values) { in_memory_ = spread(values, in_pixels(), c_.in_channels, c_.in_gap); }
  void set_grad_out(const std::vector<float>& values) {
    grad_out_memory_ = spread(values, out_pixels(), c_.out_channels, c_.out_gap);
  }
  TensorView<float> in() { return in_memory_.view().slice(3, 0, c_.in_channels); }
  TensorView<float> out() { return out_memory_.view().slice(3, 0, c_.out_channels); }
  TensorView<float> grad_out() { return grad_out_memory_.view().slice(3, 0, c_.out_channels); }
  TensorView<float> grad_in() { return grad_in_memory_.view().slice(3, 0, c_.in_channels); }

  std::vector<float> forward() {
    conv_.forward(stream_, in(), out());
    return gather(out_memory_, c_.out_channels);
  }
  struct Gradients {
    std::vector<float> in, weights, bias;
  };
  Gradients backward(bool accumulate = false) {
    Tensor<float> w(device_, {3, 3, c_.in_channels, c_.out_channels}, "w"), b(device_, {c_.out_channels}, "b");
    conv_.backward(stream_, in(), out(), grad_out(), grad_in(), accumulate, w.view(), b.view());
    return {gather(grad_in_memory_, c_.in_channels), download(stream_, w), download(stream_, b)};
  }

  // What the arithmetic sees of a value.
  std::vector<double> seen(const std::vector<float>& v) const {
    std::vector<double> d(v.begin(), v.end());
    if (c_.precision == Precision::bf16)
      for (double& e : d) e = bf16(static_cast<float>(e));
    return d;
  }
  std::vector<double> masked_grad() {
    const std::vector<float> out = gather(out_memory_, c_.out_channels);
    std::vector<double> g = seen(grad_out_);
    if (c_.relu)
      for (size_t e = 0; e < g.size(); ++e)
        if (!(out[e] > 0)) g[e] = 0;
    return g;
  }

  int64_t in_pixels() const { return out_pixels() / (c_.upsampled ? 4 : 1); }
  int64_t out_pixels() const { return c_.batch * c_.height * c_.width; }

  Case c_;
  Device device_;
  Stream stream_;
  Conv3x3 conv_;
  std::vector<float> in_, weights_, bias_, grad_out_;
  Tensor<float> in_memory_, out_memory_, grad_out_memory_, grad_in_memory_;

 private:
  Tensor<float> spread(const std::vector<float>& values, int64_t pixels, int64_t channels, int64_t gap) {
    std::vector<float> host(static_cast<size_t>(pixels * (channels + gap)), mark);
    for (int64_t p = 0; p < pixels; ++p)
      std::copy_n(values.begin() + p * channels, channels, host.begin() + p * (channels + gap));
    const int64_t scale = pixels == out_pixels() ? 1 : 2;
    return upload<float>(stream_, {c_.batch, c_.height / scale, c_.width / scale, channels + gap}, host);
  }
  std::vector<float> gather(const Tensor<float>& memory, int64_t channels) {
    const std::vector<float> host = download(stream_, memory);
    const int64_t stride = memory.shape()[3];
    std::vector<float> values;
    for (size_t e = 0; e < host.size(); ++e) {
      if (static_cast<int64_t>(e) % stride < channels)
        values.push_back(host[e]);
      else
        EXPECT_EQ(host[e], mark) << "a value between pixels was written";
    }
    return values;
  }
};

class Conv3x3Cases : public testing::TestWithParam<Case> {};

TEST_P(Conv3x3Cases, forward_equals_the_formula) {
  Fixture s(GetParam());
  const std::vector<double> expected =
      Reference{GetParam()}.forward(s.seen(s.in_), s.seen(s.weights_), to_double(s.bias_));
  EXPECT_WITHIN(relative(s.forward(), expected), GetParam().tolerance);
}

TEST_P(Conv3x3Cases, backward_equals_the_formula) {
  Fixture s(GetParam());
  s.forward();
  const Fixture::Gradients got = s.backward();
  std::vector<double> in, weights, bias;
  Reference{GetParam()}.backward(s.seen(s.in_), s.seen(s.weights_), s.masked_grad(), in, weights, bias);
  EXPECT_WITHIN(relative(got.in, in), GetParam().tolerance);
  EXPECT_WITHIN(relative(got.weights, weights), GetParam().gradient_tolerance);
  EXPECT_WITHIN(relative(got.bias, bias), GetParam().gradient_tolerance);
}

TEST_P(Conv3x3Cases, gradients_agree_with_central_differences) {
  Case c = GetParam();
  c.batch = std::min<int64_t>(c.batch, 8);  // differences of more images take long and say no more
  Fixture s(c);
  s.forward();
  const Fixture::Gradients got = s.backward();
  const Reference reference{c};
  const std::vector<double> in = s.seen(s.in_), weights = s.seen(s.weights_), bias = to_double(s.bias_);
  const std::vector<double> grad = s.seen(s.grad_out_);
  auto objective = [&](const std::vector<double>& x, const std::vector<double>& w, const std::vector<double>& b) {
    const std::vector<double> out = reference.forward(x, w, b);
    double sum = 0;
    for (size_t e = 0; e < out.size(); ++e) sum += out[e] * grad[e];
    return sum;
  };
  std::mt19937 random(5);
  auto check = [&](const char* what, const std::vector<double>& at, const std::vector<float>& gradient, auto value) {
    double norm = 0;
    for (float g : gradient) norm += double{g} * g / static_cast<double>(gradient.size());
    for (int draw = 0; draw < 2; ++draw) {
      const size_t e = random() % at.size();
      constexpr double step = 1e-5;
      std::vector<double> up = at, down = at;
      up[e] += step, down[e] -= step;
      const double difference = (value(up) - value(down)) / (2 * step);
      // A kink of the rectifier within the step spoils a difference; steps this small meet none in these cases.
      EXPECT_NEAR(gradient[e], difference, 2e-5 * (std::abs(difference) + std::sqrt(norm))) << what << " " << e;
    }
  };
  check("in", in, got.in, [&](const auto& v) { return objective(v, weights, bias); });
  check("weights", weights, got.weights, [&](const auto& v) { return objective(in, v, bias); });
  check("bias", bias, got.bias, [&](const auto& v) { return objective(in, weights, v); });
}

TEST_P(Conv3x3Cases, way_back_is_the_adjoint) {
  Case c = GetParam();
  c.relu = false;
  Fixture s(c);
  const std::vector<float> zero_bias(static_cast<size_t>(c.out_channels), 0.0F);
  // Values that bfloat16 holds exactly, so that rounding does not stand between the operation and its adjoint.
  for (auto* v : {&s.in_, &s.weights_, &s.grad_out_})
    for (float& e : *v) e = bf16(e);
  s.set_weights(s.weights_, zero_bias);
  s.set_in(s.in_), s.set_grad_out(s.grad_out_);
  const std::vector<float> out = s.forward(), back = s.backward().in;
  double left = 0, right = 0, scale = 0;
  for (size_t e = 0; e < out.size(); ++e) left += double{out[e]} * s.grad_out_[e], scale += std::abs(double{out[e]});
  for (size_t e = 0; e < back.size(); ++e) right += double{back[e]} * s.in_[e];
  EXPECT_WITHIN(std::abs(left - right), 2e-6 * scale);
}

TEST_P(Conv3x3Cases, pools_as_it_goes) {
  Case c = GetParam();
  c.out_gap = 0;
  if (c.height % 2 != 0 || c.width % 2 != 0) c.height *= 2, c.width *= 2;
  Fixture s(c);
  const Shape half{c.batch, c.height / 2, c.width / 2, c.out_channels};
  const std::vector<float> nan(static_cast<size_t>(half.elements()), NAN);
  auto pooled = upload<float>(s.stream_, half, nan), expected = upload<float>(s.stream_, half, nan);
  const std::vector<float> out = s.forward();
  ops::max_pool2(s.stream_, s.out(), expected.view());
  fill_zero(s.stream_, s.out_memory_.view());
  s.conv_.forward_and_pool(s.stream_, s.in(), s.out(), pooled.view());
  EXPECT_EQ(download(s.stream_, s.out_memory_), out);
  EXPECT_EQ(download(s.stream_, pooled), download(s.stream_, expected));
}

TEST_P(Conv3x3Cases, same_bits_in_two_runs) {
  Fixture a(GetParam()), b(GetParam());
  EXPECT_EQ(a.forward(), b.forward());
  const Fixture::Gradients first = a.backward(), second = b.backward(), again = b.backward();
  EXPECT_EQ(first.in, second.in);
  EXPECT_EQ(first.weights, second.weights);
  EXPECT_EQ(first.bias, second.bias);
  EXPECT_EQ(first.weights, again.weights);
}

INSTANTIATE_TEST_SUITE_P(conv3x3, Conv3x3Cases, testing::ValuesIn(cases),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(conv3x3, sums_what_lies_under_the_window) {
  Case c{"hand", 1, 3, 3, 1, 1};
  Fixture s(c);
  s.set_in(std::vector<float>(9, 1));
  s.set_weights(std::vector<float>(9, 1), {0.5F});
  const std::vector<float> sums = s.forward();
  const float expected[] = {4.5F, 6.5F, 4.5F, 6.5F, 9.5F, 6.5F, 4.5F, 6.5F, 4.5F};
  EXPECT_WITHIN(max_difference(sums.data(), expected, 9), 1e-5);

  // One weight, above and to the left: the image moves down and to the right.
  s.set_in({1, 2, 3, 4, 5, 6, 7, 8, 9});
  s.set_weights({1, 0, 0, 0, 0, 0, 0, 0, 0}, {0});
  const std::vector<float> moved = s.forward();
  const float shifted[] = {0, 0, 0, 0, 1, 2, 0, 4, 5};
  EXPECT_WITHIN(max_difference(moved.data(), shifted, 9), 1e-5);
}

TEST(conv3x3, adds_to_the_gradient_of_the_input_when_asked) {
  for (const Case& c :
       {Case{"", 2, 5, 6, 3, 9, true}, Case{"", 2, 8, 8, 12, 4, true, true, 5, 2}, Case{"", 2, 8, 8, 6, 8, true}}) {
    Fixture s(c);
    s.forward();
    const std::vector<float> once = s.backward().in, twice = s.backward(true).in;
    for (size_t e = 0; e < once.size(); ++e) EXPECT_NEAR(twice[e], 2 * once[e], 1e-5);
  }
}

TEST(conv3x3, leaves_the_gradient_of_the_input_out_when_asked) {
  Fixture s(Case{"", 2, 8, 8, 4, 16, true});
  s.forward();
  const Fixture::Gradients all = s.backward();
  Tensor<float> w(s.device_, {3, 3, 4, 16}, "w"), b(s.device_, {16}, "b");
  s.conv_.backward(s.stream_, s.in(), s.out(), s.grad_out(), {}, false, w.view(), b.view());
  EXPECT_EQ(download(s.stream_, w), all.weights);
  EXPECT_EQ(download(s.stream_, b), all.bias);
}

TEST(conv3x3, bf16_differs_from_fp32) {
  Case c{"", 1, 8, 8, 16, 16};
  const std::vector<float> exact = Fixture(c).forward();
  c.precision = Precision::bf16;
  const std::vector<float> rounded = Fixture(c).forward();
  const double error = relative_l2(rounded.data(), exact.data(), static_cast<int64_t>(exact.size()));
  EXPECT_GT(error, 1e-4);
  EXPECT_WITHIN(error, 1e-2);
}

TEST(conv3x3, takes_smaller_batches_and_none) {
  Fixture s(Case{"", 5, 8, 8, 8, 24, true});
  const std::vector<float> all = s.forward();
  const int64_t image = 8 * 8 * 24;
  Tensor<float> out(s.device_, {2, 8, 8, 24}, "out");
  s.conv_.forward(s.stream_, s.in().slice(0, 0, 2), out.view());
  const std::vector<float> some = download(s.stream_, out);
  EXPECT_EQ(std::memcmp(some.data(), all.data(), sizeof(float) * 2 * image), 0);

  Tensor<float> w(s.device_, {3, 3, 8, 24}, "w"), b(s.device_, {24}, "b");
  s.conv_.forward(s.stream_, s.in().slice(0, 0, 0), s.out().slice(0, 0, 0));
  s.conv_.backward(s.stream_, s.in().slice(0, 0, 0), s.out().slice(0, 0, 0), s.grad_out().slice(0, 0, 0),
                   s.grad_in().slice(0, 0, 0), false, w.view(), b.view());
  for (float e : download(s.stream_, w)) EXPECT_EQ(e, 0);
  for (float e : download(s.stream_, b)) EXPECT_EQ(e, 0);
}

// The work is shared out by the batch, and fewer images may take more working memory: 264 parts of 1056 patches, 212 of
// 1057.
TEST(conv3x3, smaller_batches_stay_within_the_memory_of_the_largest) {
  constexpr int64_t images = 1056;
  const Device device = test_device();
  Stream stream(device);
  const auto in = upload<float>(stream, {images, 8, 8, 4}, random_floats(images * 256, -1, 1, 1));
  const auto grad_out = upload<float>(stream, {images, 8, 8, 4}, random_floats(images * 256, -1, 1, 2));
  std::vector<float> gradients[2];
  for (const int64_t largest : {images, images + 1}) {
    Conv3x3 conv(
        device,
        {.batch = largest, .height = 8, .width = 8, .in_channels = 4, .out_channels = 4, .precision = Precision::bf16},
        true);
    Tensor<float> w(device, {3, 3, 4, 4}, "w"), b(device, {4}, "b");
    fill_zero(stream, w.view());
    fill_zero(stream, b.view());
    conv.set_weights(stream, std::as_const(w).view(), std::as_const(b).view());
    conv.backward(stream, in.view(), in.view(), grad_out.view(), {}, false, w.view(), b.view());
    gradients[largest - images] = download(stream, w);
  }
  EXPECT_WITHIN(relative_l2(gradients[1].data(), gradients[0].data(), 9 * 4 * 4), 1e-5);
}

TEST(conv3x3, calls_take_no_memory) {
  Fixture s(Case{"", 2, 8, 8, 8, 24, true});
  Tensor<float> w(s.device_, {3, 3, 8, 24}, "w"), b(s.device_, {24}, "b");
  const int64_t before = s.device_.memory_in_use_bytes();
  s.conv_.forward(s.stream_, s.in(), s.out());
  s.conv_.backward(s.stream_, s.in(), s.out(), s.grad_out(), s.grad_in(), false, w.view(), b.view());
  EXPECT_EQ(s.device_.memory_in_use_bytes(), before);
}

template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::shape);
    return e.what();
  }
  return "no error";
}

TEST(conv3x3, keeps_nan_when_it_pools) {
  Fixture s(Case{"", 1, 4, 4, 1, 2, true});
  std::vector<float> in(16, 1.0F);
  in[15] = NAN;
  s.set_in(in);
  Tensor<float> pooled(s.stream_.device(), {1, 2, 2, 2}, "pooled");
  s.conv_.forward_and_pool(s.stream_, s.in(), s.out(), pooled.view());
  const std::vector<float> got = download(s.stream_, pooled);
  for (const size_t i : {6, 7}) EXPECT_TRUE(std::isnan(got[i]));
}

TEST(conv3x3, says_what_does_not_fit) {
  Fixture s(Case{"", 2, 8, 8, 8, 24, true});
  Tensor<float> w(s.device_, {3, 3, 8, 24}, "w"), b(s.device_, {24}, "b"), wrong(s.device_, {2, 8, 8, 9}, "wrong");
  auto has = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  has(message_of([&] { s.conv_.forward(s.stream_, wrong.view(), s.out()); }),
      "in is [2, 8, 8, 9], expected [2, 8, 8, 8]");
  has(message_of([&] { s.conv_.forward_and_pool(s.stream_, s.in(), s.out(), s.out()); }),
      "pooled is [2, 8, 8, 24], expected [2, 4, 4, 24]");
  has(message_of([&] { s.conv_.forward(s.stream_, s.in(), wrong.view()); }), "out is [2, 8, 8, 9]");
  has(message_of([&] { s.conv_.forward(s.stream_, s.in().permute({0, 2, 1, 3}), s.out()); }), "no gaps");
  has(message_of([&] { s.conv_.set_weights(s.stream_, b.view(), b.view()); }),
      "weights is [24], expected [3, 3, 8, 24]");
  has(message_of([&] { s.conv_.set_weights(s.stream_, w.view(), w.view()); }), "bias is");
  Tensor<float> large(s.device_, {3, 8, 8, 8}, "large");
  has(message_of([&] { s.conv_.forward(s.stream_, large.view(), s.out()); }), "batch 3 exceeds 2");
  Conv3x3 inference(s.device_, s.conv_.spec(), false);
  has(message_of([&] { inference.forward(s.stream_, s.in(), s.out()); }), "before set_weights");
  inference.set_weights(s.stream_, w.view(), b.view());
  has(message_of([&] {
        inference.backward(s.stream_, s.in(), s.out(), s.grad_out(), s.grad_in(), false, w.view(), b.view());
      }),
      "not built for training");
  Conv3x3Spec odd = s.conv_.spec();
  odd.input_upsampled = true, odd.height = 7;
  has(message_of([&] { Conv3x3(s.device_, odd, false); }), "expected even height and width");
  odd.in_channels = 0;
  has(message_of([&] { Conv3x3(s.device_, odd, false); }), "expected batch >= 0 and every other extent >= 1");
}

TEST(conv3x3, costs_what_the_formula_says) {
  const ops::Cost cost = Conv3x3::forward_cost(
      {.batch = 2, .height = 8, .width = 4, .in_channels = 3, .out_channels = 5, .input_upsampled = true});
  EXPECT_EQ(cost.flop, 18.0 * 2 * 8 * 4 * 3 * 5);
  EXPECT_EQ(cost.bytes, 4.0 * (2 * 8 * 3 + 2 * 8 * 4 * 5 + 9 * 15 + 5));
}

}  // namespace
}  // namespace ptyfuse::tests
