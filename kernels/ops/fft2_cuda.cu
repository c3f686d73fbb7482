#include "kernels/ops/fft2_cuda.h"

#include <algorithm>
#include <cmath>

#include "kernels/ops/fft2_shared.cuh"

namespace ptyfuse::ops::cuda {
namespace {

struct TransformArgs {
  const float2* in;
  float2* out;
  float scale;
};

// A block takes an image from device memory and brings it back, in two half warps' widths or more a row.
template <int kSide, bool kInverse>
__global__ __launch_bounds__(512) void transform_images(const TransformArgs args) {
  using Fft = SharedFft2<kSide>;
  const Fft fft(dynamic_smem<unsigned char>());
  const float2* const in = args.in + static_cast<int64_t>(blockIdx.x) * Fft::pixels;
  float2* const out = args.out + static_cast<int64_t>(blockIdx.x) * Fft::pixels;
  __syncthreads();
  const auto shifted = [](int frequency) { return (frequency + kSide / 2) % kSide; };
  if constexpr (kInverse) {
#pragma unroll 1
    for (int p = 0; p < Fft::second_passes; ++p) {
      float2 v[8];
#pragma unroll
      for (int k = 0; k < 8; ++k)
        v[k] = scale(args.scale, in[shifted(fft.row_frequency(p, k)) * kSide + shifted(fft.column_frequency())]);
      fft.store_spectrum(p, v);
    }
    fft.end_backward([&](int y, int x, int, float2 value) { out[y * kSide + x] = value; });
  } else {
    fft.begin_forward([&](int y, int x, int) { return scale(args.scale, in[y * kSide + x]); });
#pragma unroll 1
    for (int p = 0; p < Fft::second_passes; ++p) {
      float2 v[8];
      fft.load_spectrum(p, v);
#pragma unroll
      for (int k = 0; k < 8; ++k)
        out[shifted(fft.row_frequency(p, k)) * kSide + shifted(fft.column_frequency())] = v[k];
    }
  }
}

template <int kSide>
void launch_shared(Stream& stream, FftDirection direction, int64_t images, const TransformArgs& args) {
  using Fft = SharedFft2<kSide>;
  const dim3 grid(static_cast<unsigned>(images)), block(Fft::threads);
  if (direction == FftDirection::forward)
    launch(transform_images<kSide, false>, grid, block, Fft::shared_bytes, stream)(args);
  else
    launch(transform_images<kSide, true>, grid, block, Fft::shared_bytes, stream)(args);
}

struct RotateArgs {
  const float2* in;
  float2* out;
  int64_t pixels;  // of all images
  int height, width, y0, x0;
  float scale;
};

// out[y,x] = scale * in[y + y0, x + x0] of every image, indices modulo its sides; a thread for each pixel.
__global__ void rotate_images(const RotateArgs args) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= args.pixels) return;
  const int64_t row = i / args.width, image = row / args.height;
  const int x = static_cast<int>(i - row * args.width) + args.x0;
  const int y = static_cast<int>(row - image * args.height) + args.y0;
  const int64_t from = image * args.height + (y < args.height ? y : y - args.height);
  args.out[i] = scale(args.scale, args.in[from * args.width + (x < args.width ? x : x - args.width)]);
}

void rotate(Stream& stream, const RotateArgs& args) {
  constexpr int threads = 256;
  launch(rotate_images, dim3(static_cast<unsigned>((args.pixels + threads - 1) / threads)), dim3(threads), 0,
         stream)(args);
}

}  // namespace

Fft2::Planned::Planned(const Device& device, int64_t count, int64_t height, int64_t width)
    : plan(device, count, height, width), images(device, {count, height, width}, "fft2 images"), done(device) {}

Fft2::Fft2(const Device& device, int64_t height, int64_t width) : height_(height), width_(width) {
  if (height == width && (height == 64 || height == 128)) return;
  // Some 8 MiB: enough to fill a GPU, little enough that a single image may bring all of it along.
  constexpr int64_t pixels_at_once = 1 << 20, most_images = 4096;
  const int64_t images = std::clamp(pixels_at_once / (height * width), int64_t{1}, most_images);
  planned_ = std::make_unique<Planned>(device, images, height, width);
}

void Fft2::run(Stream& stream, FftDirection direction, TensorView<const complex64> in,
               TensorView<complex64> out) const {
  if (in.empty()) return;
  if (planned_ != nullptr) return run_planned(stream, direction, in, out);
  const int64_t images = in.extent(0);
  const TransformArgs args{device_pointer(in.data()), device_pointer(out.data()), 1.0F / static_cast<float>(height_)};
  if (height_ == 64)
    launch_shared<64>(stream, direction, images, args);
  else
    launch_shared<128>(stream, direction, images, args);
}

void Fft2::run_planned(Stream& stream, FftDirection direction, TensorView<const complex64> in,
                       TensorView<complex64> out) const {
  Planned& planned = *planned_;
  const std::lock_guard lock(planned.mutex);
  if (planned.last && planned.last->native_handle() != stream.native_handle()) {
    planned.done.record(*planned.last);
    planned.done.hold_back(stream);
  }
  planned.last = stream;
  const int64_t pixels = height_ * width_;
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(pixels)));
  const int height = static_cast<int>(height_), width = static_cast<int>(width_);
  float2* const work = device_pointer(planned.images.data());
  for (int64_t done = 0; done < in.extent(0); done += planned.plan.batch()) {
    const int64_t count = std::min(planned.plan.batch(), in.extent(0) - done);
    const float2* const from = device_pointer(in.data() + done * pixels);
    float2* const to = device_pointer(out.data() + done * pixels);
    if (direction == FftDirection::forward) {
      rotate(stream, {from, work, count * pixels, height, width, 0, 0, scale});
      planned.plan.run(stream, false, work, count);
      rotate(stream, {work, to, count * pixels, height, width, height - height / 2, width - width / 2, 1.0F});
    } else {
      rotate(stream, {from, work, count * pixels, height, width, height / 2, width / 2, scale});
      planned.plan.run(stream, true, work, count);
      rotate(stream, {work, to, count * pixels, height, width, 0, 0, 1.0F});
    }
  }
}

}  // namespace ptyfuse::ops::cuda
