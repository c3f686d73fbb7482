#include "kernels/ops/fft2.h"

#include <gtest/gtest.h>

#include <thread>

#include "kernels/ops/split_fft2_cpu.h"
#include "tests/support/compare.h"
#include "tests/support/device.h"
#include "tests/support/physics_reference.h"
#include "tests/support/random_data.h"

namespace ptyfuse::tests {
namespace {

using ops::FftDirection;

struct Case {
  Shape shape;
};
const Case cases[] = {{{0, 8, 8}},  {{1, 1, 1}},   {{2, 1, 5}},   {{3, 7, 7}},   {{2, 6, 9}},     {{2, 16, 16}},
                      {{1, 24, 8}}, {{1, 64, 64}}, {{1, 32, 64}}, {{2, 15, 20}}, {{70000, 2, 2}}, {{1, 128, 128}}};

class Fft2 : public testing::TestWithParam<Case> {};

TEST_P(Fft2, equals_the_sum_with_zero_frequency_in_the_middle) {
  const Shape shape = GetParam().shape;
  const int64_t pixels = shape[1] * shape[2];
  const Device device = test_device();
  Stream stream(device);
  const auto in = upload<complex64>(stream, shape, random_complex(shape.elements(), 1));
  Tensor<complex64> out(device, shape, "out"), again(device, shape, "again");
  const ops::Fft2 fft(device, shape[1], shape[2]);
  fft.run(stream, FftDirection::forward, in.view(), out.view());
  const HostCopy host_in(stream, in), host_out(stream, out);
  for (int64_t i = 0; i < std::min<int64_t>(shape[0], 3); ++i) {
    const Field want =
        fourier(Field(host_in.data() + i * pixels, host_in.data() + (i + 1) * pixels), shape[1], shape[2]);
    EXPECT_WITHIN(relative_l2(host_out.data() + i * pixels, want.data(), pixels), 5e-7);
  }
  // The inverse gives back the image, in place as well.
  fft.run(stream, FftDirection::inverse, std::as_const(out).view(), again.view());
  EXPECT_WITHIN(relative_l2(download(stream, again).data(), host_in.data(), shape.elements()), 1e-6);
  fft.run(stream, FftDirection::forward, std::as_const(again).view(), again.view());
  EXPECT_WITHIN(relative_l2(download(stream, again).data(), host_out.data(), shape.elements()), 1e-6);
}

TEST_P(Fft2, inverse_is_the_adjoint) {
  const Shape shape = GetParam().shape;
  Stream stream(test_device());
  const auto x = upload<complex64>(stream, shape, random_complex(shape.elements(), 1));
  const auto y = upload<complex64>(stream, shape, random_complex(shape.elements(), 2));
  Tensor<complex64> ax(stream.device(), shape, "ax"), ay(stream.device(), shape, "ay");
  const ops::Fft2 fft(stream.device(), shape[1], shape[2]);
  fft.run(stream, FftDirection::forward, x.view(), ax.view());
  fft.run(stream, FftDirection::inverse, y.view(), ay.view());
  const auto left = inner_product(download(stream, ax).data(), download(stream, y).data(), shape.elements());
  const auto right = inner_product(download(stream, x).data(), download(stream, ay).data(), shape.elements());
  EXPECT_WITHIN(std::abs(left - right), 1e-6 * static_cast<double>(shape.elements()));
}

INSTANTIATE_TEST_SUITE_P(fft2, Fft2, testing::ValuesIn(cases));

TEST(fft2, of_a_point_at_the_origin_is_flat) {
  Stream stream(test_device());
  const auto in = upload<complex64>(stream, {1, 2, 2}, {2, 0, 0, 0});
  Tensor<complex64> out(stream.device(), {1, 2, 2}, "out");
  const ops::Fft2 fft(stream.device(), 2, 2);
  fft.run(stream, FftDirection::forward, in.view(), out.view());
  EXPECT_WITHIN(max_difference(download(stream, out).data(), std::vector<complex64>(4, 1).data(), 4), 1e-7);
  const auto flat = upload<complex64>(stream, {1, 2, 2}, {1, 1, 1, 1});
  fft.run(stream, FftDirection::forward, flat.view(), out.view());
  EXPECT_WITHIN(max_difference(download(stream, out).data(), std::vector<complex64>{0, 0, 0, 2}.data(), 4), 1e-7);
}

TEST(fft2, one_object_serves_two_threads) {
  const Device device = test_device();
  const Shape shape{40, 32, 32};
  const ops::Fft2 fft(device, 32, 32);
  Stream stream(device);
  const auto in = upload<complex64>(stream, shape, random_complex(shape.elements(), 1));
  Tensor<complex64> alone(device, shape, "alone"), first(device, shape, "1"), second(device, shape, "2");
  const int64_t in_use = device.memory_in_use_bytes();
  fft.run(stream, FftDirection::forward, in.view(), alone.view());
  const auto work = [&](Tensor<complex64>& out) {
    Stream own(device);
    for (int i = 0; i < 20; ++i) fft.run(own, FftDirection::forward, in.view(), out.view());
    own.synchronise();
  };
  std::thread other([&] { work(first); });
  work(second);
  other.join();
  EXPECT_EQ(download(stream, first), download(stream, alone));
  EXPECT_EQ(download(stream, second), download(stream, alone));
  EXPECT_EQ(device.memory_in_use_bytes(), in_use);
  EXPECT_EQ(device.memory_peak_bytes(), in_use);
}

TEST(fft2, refuses_what_it_was_not_made_for) {
  Stream stream(test_device());
  const ops::Fft2 fft(stream.device(), 8, 8);
  Tensor<complex64> a(stream.device(), {1, 8, 4}, "a");
  EXPECT_THROW(fft.run(stream, FftDirection::forward, std::as_const(a).view(), a.view()), Error);
  Stream other(test_device());
  Tensor<complex64> b(stream.device(), {1, 8, 8}, "b");
  EXPECT_THROW(fft.run(other, FftDirection::forward, std::as_const(b).view(), b.view()), Error);
  EXPECT_THROW(ops::Fft2(stream.device(), 0, 8), Error);
}

// The transform of planes inside the fused physics step, at every side with a body of its own and some without.
TEST(fft2, of_planes_equals_the_sum) {
  for (const int64_t side : {1, 5, 8, 12, 16, 32, 64, 128, 256}) {
    SCOPED_TRACE(side);
    const int64_t pixels = side * side, pitch = side + 3, plane = (side * pitch + 15) / 16 * 16;
    const auto image = random_complex(pixels, static_cast<unsigned>(side));
    Tensor<float> planes(Device::cpu({.threads = 1}), {2, plane}, "planes");
    std::fill_n(planes.data(), planes.elements(), NAN);
    const auto at = [&](int64_t y, int64_t x) { return planes.data() + y * pitch + x; };
    for (int64_t i = 0; i < pixels; ++i) {
      at(i / side, i % side)[0] = image[static_cast<size_t>(i)].real();
      at(i / side, i % side)[plane] = image[static_cast<size_t>(i)].imag();
    }
    const ops::cpu::SplitFft2 fft(side, pitch, plane);
    fft.forward(planes.data());
    const Field want = fourier(Field(image.begin(), image.end()), side, side);
    Field got(want.size()), back(want.size());
    const int64_t to_middle = side - side / 2;
    for (int64_t i = 0; i < pixels; ++i) {
      const float* f = at((i / side + to_middle) % side, (i % side + to_middle) % side);
      got[static_cast<size_t>(i)] = std::complex<double>(f[0], f[plane]) / static_cast<double>(side);
    }
    EXPECT_WITHIN(relative_l2(got.data(), want.data(), pixels), 5e-7);
    fft.inverse(planes.data());
    for (int64_t i = 0; i < pixels; ++i) {
      const float* f = at(i / side, i % side);
      back[static_cast<size_t>(i)] = std::complex<double>(f[0], f[plane]) / static_cast<double>(pixels);
    }
    EXPECT_WITHIN(relative_l2(back.data(), image.data(), pixels), 1e-6);
    for (int64_t y = 0; y < side; ++y) ASSERT_TRUE(std::isnan(at(y, side)[0])) << "wrote behind row " << y;
  }
}

}  // namespace
}  // namespace ptyfuse::tests
