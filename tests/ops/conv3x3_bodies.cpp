// The bodies that Conv3x3 chooses among, on any machine: sixteen lanes are made of two times eight where the processor
// has no AVX-512, and oneDNN computes in float32 where it has no AMX.
#include <gtest/gtest.h>

#include <random>

#include "kernels/ops/conv3x3_dnnl.h"
#include "kernels/ops/conv3x3_winograd.h"

#include "kernels/ops/conv3x3_winograd_table.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"

namespace ptyfuse::tests {
namespace {

using ops::Conv3x3Spec;
using ops::ConvActivation;

struct SixteenLanes {
  static constexpr int lanes = 16, rows = 14;
};

struct Result {
  std::vector<float> out, grad_in, grad_weights, grad_bias;
};

std::vector<float> noise(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> v(static_cast<size_t>(n));
  for (float& e : v) e = uniform(random);
  return v;
}

// make(device) gives the body, the processor's whatever the tests run on.
template <class Make>
Result run_body(const Conv3x3Spec& spec, int threads, bool accumulate, Make make) {
  const Device device = Device::cpu({.threads = threads});
  Stream stream(device);
  const int64_t scale = spec.input_upsampled ? 2 : 1;
  const Shape in_shape{spec.batch, spec.height / scale, spec.width / scale, spec.in_channels};
  const Shape out_shape{spec.batch, spec.height, spec.width, spec.out_channels};
  const Shape weights_shape{3, 3, spec.in_channels, spec.out_channels}, bias_shape{spec.out_channels};
  auto random = [&](const Shape& shape, uint32_t seed) {
    return upload<float>(stream, shape, noise(shape.elements(), seed));
  };
  const Tensor<float> in = random(in_shape, 1), weights = random(weights_shape, 2), bias = random(bias_shape, 3);
  const Tensor<float> grad_out = random(out_shape, 4);
  Tensor<float> out(device, out_shape, "out"), grad_in(device, in_shape, "grad_in");
  Tensor<float> grad_weights(device, weights_shape, "grad_weights"), grad_bias(device, bias_shape, "grad_bias");
  const std::unique_ptr<ops::Conv3x3Body> conv = make(device);
  conv->set_weights(stream, weights.view(), bias.view());
  conv->forward(stream, in.view(), out.view());
  conv->backward(stream, in.view(), out.view(), grad_out.view(), grad_in.view(), false, grad_weights.view(),
                 grad_bias.view());
  if (accumulate)
    conv->backward(stream, in.view(), out.view(), grad_out.view(), grad_in.view(), true, grad_weights.view(),
                   grad_bias.view());
  return {download(stream, out), download(stream, grad_in), download(stream, grad_weights),
          download(stream, grad_bias)};
}

Result run(const Conv3x3Spec& spec, const ops::cpu::WinogradKernels& kernels, int threads = 2) {
  return run_body(spec, threads, true, [&](const Device& device) {
    return std::make_unique<ops::cpu::WinogradConv3x3>(device, spec, true, nullptr, kernels);
  });
}

void expect_close(const Result& a, const Result& b, double tolerance) {
  auto difference = [](const std::vector<float>& x, const std::vector<float>& y) {
    return relative_l2(x.data(), y.data(), static_cast<int64_t>(y.size()));
  };
  EXPECT_WITHIN(difference(a.out, b.out), tolerance);
  EXPECT_WITHIN(difference(a.grad_in, b.grad_in), tolerance);
  EXPECT_WITHIN(difference(a.grad_weights, b.grad_weights), 2 * tolerance);
  EXPECT_WITHIN(difference(a.grad_bias, b.grad_bias), 2 * tolerance);
}

Conv3x3Spec spec(int64_t batch, int64_t height, int64_t width, int64_t in, int64_t out, bool upsampled = false) {
  return {.batch = batch,
          .height = height,
          .width = width,
          .in_channels = in,
          .out_channels = out,
          .activation = ConvActivation::relu,
          .input_upsampled = upsampled};
}

TEST(conv3x3_winograd, every_vector_width_gives_the_same) {
  const bool avx512 = Device::cpu().cpu_features().avx512;
  for (const Conv3x3Spec& s : {spec(1, 4, 4, 1, 1), spec(2, 9, 6, 5, 19), spec(3, 8, 8, 40, 33),
                               spec(2, 12, 16, 16, 64), spec(2, 8, 12, 60, 4, true), spec(1, 6, 10, 17, 50, true)}) {
    SCOPED_TRACE(std::to_string(s.in_channels) + " to " + std::to_string(s.out_channels));
    const Result eight = run(s, ops::cpu::winograd_avx2());
    expect_close(run(s, ops::cpu::winograd_table<SixteenLanes>), eight, 2e-6);
    if (avx512) expect_close(run(s, ops::cpu::winograd_avx512()), eight, 2e-6);
  }
}

TEST(conv3x3_winograd, any_number_of_threads_gives_the_same) {
  // Eight threads' gradients of so many weights exceed the memory set aside: threads then share out channels as well.
  for (const Conv3x3Spec& s : {spec(2, 8, 8, 256, 256), spec(3, 16, 8, 20, 24, true)}) {
    const Result one = run(s, ops::cpu::winograd_avx2(), 1), eight = run(s, ops::cpu::winograd_avx2(), 8);
    EXPECT_EQ(one.out, eight.out);
    EXPECT_EQ(one.grad_in, eight.grad_in);
    expect_close(eight, one, 1e-6);
  }
}

TEST(conv3x3_dnnl, agrees_with_winograd) {
  // Batches that fill the threads' chunks of images, and that do not.
  for (const Conv3x3Spec& s : {spec(1, 8, 8, 16, 16), spec(5, 9, 6, 5, 19), spec(40, 4, 4, 8, 32),
                               spec(2, 8, 12, 60, 4, true), spec(3, 6, 10, 17, 50, true)}) {
    SCOPED_TRACE(std::to_string(s.in_channels) + " to " + std::to_string(s.out_channels));
    auto scratch_of = [](const Device& device) { return std::make_shared<ops::Conv3x3Scratch>(device); };
    auto run_dnnl = [&] {
      return run_body(s, 2, true, [&](const Device& device) {
        const auto scratch = scratch_of(device);
        auto conv = ops::cpu::make_dnnl_conv3x3(device, s, true, scratch, ops::Precision::fp32);
        scratch->reserve(int64_t{64} << 20);  // another convolution asks for more: the memory moves
        return conv;
      });
    };
    const Result got = run_dnnl(), again = run_dnnl();
    expect_close(got, run(s, ops::cpu::winograd_avx2()), 3e-6);
    EXPECT_EQ(got.out, again.out);
    EXPECT_EQ(got.grad_in, again.grad_in);
    EXPECT_EQ(got.grad_weights, again.grad_weights);
  }
}

TEST(conv3x3_dnnl, bf16_on_amx_agrees_with_rounding) {
  if (!Device::cpu().cpu_features().amx_bf16) GTEST_SKIP() << "this processor has no AMX";
  Conv3x3Spec s = spec(3, 16, 16, 64, 64);
  s.precision = ops::Precision::bf16;
  auto make = [&](const Device& device) {
    return ops::cpu::make_dnnl_conv3x3(device, s, true, nullptr, ops::Precision::bf16);
  };
  ASSERT_NE(make(Device::cpu()), nullptr);
  const Result got = run_body(s, 2, true, make);
  expect_close(got, run(s, ops::cpu::winograd_avx2()), 1e-5);
}

TEST(conv3x3_winograd, loses_few_digits_at_the_generators_widest_layer) {
  const Conv3x3Spec s{.batch = 1, .height = 16, .width = 16, .in_channels = 256, .out_channels = 256};
  const Result got =
      run(s, Device::cpu().cpu_features().avx512 ? ops::cpu::winograd_avx512() : ops::cpu::winograd_avx2());
  const std::vector<float> in = noise(16 * 16 * 256, 1), weights = noise(9 * 256 * 256, 2), bias = noise(256, 3);
  const std::vector<float> grad = noise(16 * 16 * 256, 4);
  // A few output channels of the output, and a few input channels of the weights' gradient, in double.
  double error = 0, norm = 0, gradient_error = 0, gradient_norm = 0;
  for (int64_t channel : {0, 77, 255})
    for (int64_t y = 0; y < 16; ++y)
      for (int64_t x = 0; x < 16; ++x) {
        double sum = bias[size_t(channel)];
        for (int64_t ky = 0; ky < 3; ++ky)
          for (int64_t kx = 0; kx < 3; ++kx) {
            const int64_t sy = y + ky - 1, sx = x + kx - 1;
            if (sy < 0 || sx < 0 || sy > 15 || sx > 15) continue;
            for (int64_t i = 0; i < 256; ++i)
              sum += double{in[size_t((sy * 16 + sx) * 256 + i)]} *
                     weights[size_t(((ky * 3 + kx) * 256 + i) * 256 + channel)];
          }
        const double difference = got.out[size_t((y * 16 + x) * 256 + channel)] - sum;
        error += difference * difference, norm += sum * sum;
      }
  for (int64_t i : {3, 130})
    for (int64_t o = 0; o < 256; ++o)
      for (int64_t ky = 0; ky < 3; ++ky)
        for (int64_t kx = 0; kx < 3; ++kx) {
          double sum = 0;
          for (int64_t y = 0; y < 16; ++y)
            for (int64_t x = 0; x < 16; ++x) {
              const int64_t sy = y + ky - 1, sx = x + kx - 1;
              if (sy < 0 || sx < 0 || sy > 15 || sx > 15) continue;
              sum += double{in[size_t((sy * 16 + sx) * 256 + i)]} * grad[size_t((y * 16 + x) * 256 + o)];
            }
          const double difference = got.grad_weights[size_t(((ky * 3 + kx) * 256 + i) * 256 + o)] - sum;
          gradient_error += difference * difference, gradient_norm += sum * sum;
        }
  EXPECT_WITHIN(std::sqrt(error / norm), 2e-6);
  EXPECT_WITHIN(std::sqrt(gradient_error / gradient_norm), 3e-6);
}

}  // namespace
}  // namespace ptyfuse::tests
