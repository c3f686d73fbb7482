#include "kernels/ops/conv3x3_winograd.h"

#include <algorithm>
#include <cstring>

namespace ptyfuse::ops::cpu {
namespace {

// Rows and planes are kept an odd number of cache lines apart: at powers of two, the planes of a tile would compete for
// the same few places of the cache.
constexpr int64_t line = 16;
int64_t odd_lines(int64_t floats) {
  const int64_t lines = (floats + line - 1) / line;
  return (lines + (lines % 2 == 0 ? 1 : 0)) * line;
}

// Tiles that a thread transforms at a time. Each block reads all transformed weights: fewer tiles would stay in a
// nearer cache, but wait more often for the weights.
constexpr int64_t most_block_tiles = 64;
// Gradients of transformed weights, all threads together.
constexpr int64_t gradient_bytes = int64_t{64} << 20;
// Products below which a thread is not worth waking.
constexpr int64_t grain_products = 500000;

}  // namespace

WinogradConv3x3::WinogradConv3x3(const Device& device, const Conv3x3Spec& spec, bool training,
                                 std::shared_ptr<Conv3x3Scratch> scratch, const WinogradKernels& kernels)
    : device_(device),
      spec_(spec),
      kernels_(kernels),
      up_(spec.input_upsampled ? 1 : 0),
      planes_(spec.input_upsampled ? 25 : 36),
      scratch_(std::move(scratch)) {
  const int64_t ci = spec.in_channels, co = spec.out_channels;
  in_.row = odd_lines(kernels.padded(ci));
  out_.row = odd_lines(kernels.padded(co));
  block_tiles_ =
      std::clamp<int64_t>((tiles(spec.batch) + device.threads() - 1) / device.threads(), 1, most_block_tiles);
  in_.plane = odd_lines(block_tiles_ * in_.row);
  out_.plane = odd_lines(block_tiles_ * out_.row);
  workspace_size_ = planes_ * (in_.plane + out_.plane) + std::max(in_.row, out_.row);

  packed_plane_ = odd_lines(ci * kernels.padded(co));
  packed_ = Tensor<float>(device, {planes_ * packed_plane_}, "conv3x3 weights");
  bias_ = Tensor<float>(device, {co}, "conv3x3 bias");
  zeros_ = Tensor<float>(device, {std::max(ci, co)}, "conv3x3 zeros");
  std::fill_n(zeros_.data(), zeros_.elements(), 0.0F);
  if (training) {
    packed_rotated_plane_ = odd_lines(co * kernels.padded(ci));
    packed_rotated_ = Tensor<float>(device, {planes_ * packed_rotated_plane_}, "conv3x3 weights of the way back");
    gradient_size_ = planes_ * packed_plane_ + out_.row;
    tile_parts_ = device.threads();
    while (tile_parts_ > 1 && tile_parts_ * gradient_size_ * static_cast<int64_t>(sizeof(float)) > gradient_bytes &&
           (channel_parts_ + 1) * line <= ci) {
      ++channel_parts_;
      tile_parts_ = std::max(1, device.threads() / channel_parts_);
    }
  }
  if (!scratch_) scratch_ = std::make_shared<Conv3x3Scratch>(device);
  const int64_t floats = device.threads() * workspace_size_ + (training ? tile_parts_ * gradient_size_ : 0);
  // What falls outside an image is written, and read where gradients are added up, but never used.
  scratch_->reserve(floats * static_cast<int64_t>(sizeof(float)));
}

int64_t WinogradConv3x3::tiles(int64_t batch) const {
  return batch * ((spec_.height + 3) / 4) * ((spec_.width + 3) / 4);
}

WinogradConv3x3::Workspace WinogradConv3x3::workspace(int thread) const {
  float* const base = static_cast<float*>(scratch_->data()) + thread * workspace_size_;
  return {base, base + planes_ * in_.plane, base + planes_ * (in_.plane + out_.plane)};
}

void WinogradConv3x3::set_weights(Stream&, TensorView<const float> weights, TensorView<const float> bias) {
  std::copy_n(bias.data(), bias.elements(), bias_.data());
  pack(weights, false, packed_);
  if (packed_rotated_.data() != nullptr) pack(weights, true, packed_rotated_);
}

void WinogradConv3x3::pack(TensorView<const float> weights, bool rotated, Tensor<float>& packed) const {
  WeightTransform args{.weights = weights.data(),
                       .in_channels = spec_.in_channels,
                       .out_channels = spec_.out_channels,
                       .rotated = rotated,
                       .to_bf16 = spec_.precision == Precision::bf16,
                       .packed = packed.data(),
                       .plane = rotated ? packed_rotated_plane_ : packed_plane_};
  const int64_t rows = rotated ? args.out_channels : args.in_channels;
  const int64_t columns = rotated ? args.in_channels : args.out_channels;
  device_.parallel_for(kernels_.panels(columns) * rows, 128, [&](int64_t begin, int64_t end, int) {
    WeightTransform part = args;
    part.begin = begin;
    part.end = end;
    kernels_.pack_weights[up_](part);
  });
}

TileTransform WinogradConv3x3::transform_of(const TensorView<const float>& image, const TileRun& tiles) const {
  return {.tiles = tiles,
          .image = image.data(),
          .pixel = image.stride(2),
          .channels = image.extent(3),
          .to_bf16 = spec_.precision == Precision::bf16,
          .zeros = zeros_.data()};
}

TileTransform WinogradConv3x3::transform_of_gradient(const TensorView<const float>& out,
                                                     const TensorView<const float>& grad_out,
                                                     const TileRun& tiles) const {
  TileTransform args = transform_of(grad_out, tiles);
  if (spec_.activation == ConvActivation::relu) {
    args.mask = out.data();
    args.mask_pixel = out.stride(2);
  }
  return args;
}

// Calls body(tiles of a block) for blocks as even as they can be.
template <class Body>
void WinogradConv3x3::for_blocks(int64_t begin, int64_t end, Body body) const {
  const int64_t blocks = (end - begin + block_tiles_ - 1) / block_tiles_;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t from = begin + (end - begin) * i / blocks, to = begin + (end - begin) * (i + 1) / blocks;
    body(TileRun{spec_.height, spec_.width, from, to - from});
  }
}

void WinogradConv3x3::forward(Stream&, TensorView<const float> in, TensorView<float> out) {
  const int64_t ci = spec_.in_channels, co = spec_.out_channels;
  const int64_t grain = 1 + grain_products / (planes_ * ci * co);
  device_.parallel_for(tiles(in.extent(0)), grain, [&](int64_t begin, int64_t end, int thread) {
    const Workspace work = workspace(thread);
    for_blocks(begin, end, [&](const TileRun& block) {
      TileTransform load = transform_of(in, block);
      load.to = work.in, load.row = in_.row, load.plane = in_.plane;
      kernels_.input[up_](load);
      kernels_.products({.planes = planes_,
                         .a = work.in,
                         .a_row = in_.row,
                         .a_plane = in_.plane,
                         .b = packed_.data(),
                         .b_plane = packed_plane_,
                         .c = work.out,
                         .c_row = out_.row,
                         .c_plane = out_.plane,
                         .tiles = block.count,
                         .inner = ci,
                         .outer = co});
      kernels_.output[up_]({.tiles = block,
                            .from = work.out,
                            .row = out_.row,
                            .plane = out_.plane,
                            .channels = co,
                            .bias = bias_.data(),
                            .relu = spec_.activation == ConvActivation::relu,
                            .image = out.data(),
                            .pixel = out.stride(2),
                            .outside = work.outside});
    });
  });
}

void WinogradConv3x3::backward(Stream&, TensorView<const float> in, TensorView<const float> out,
                               TensorView<const float> grad_out, TensorView<float> grad_in, bool accumulate_grad_in,
                               TensorView<float> grad_weights, TensorView<float> grad_bias) {
  const int64_t ci = spec_.in_channels, co = spec_.out_channels, total = tiles(in.extent(0));
  if (total == 0) {
    std::fill_n(grad_weights.data(), grad_weights.elements(), 0.0F);
    std::fill_n(grad_bias.data(), grad_bias.elements(), 0.0F);
    return;
  }
  const int64_t worth = std::max<int64_t>(1, total * planes_ * ci * co / channel_parts_ / grain_products);
  const int tile_parts = static_cast<int>(std::min({int64_t{tile_parts_}, worth, total}));
  float* const gradients = static_cast<float*>(scratch_->data()) + device_.threads() * workspace_size_;

  device_.parallel_for(tile_parts * channel_parts_, 1, [&](int64_t first_part, int64_t last_part, int thread) {
    const Workspace work = workspace(thread);
    for (int64_t part = first_part; part < last_part; ++part) {
      const int64_t tile_part = part / channel_parts_, channel_part = part % channel_parts_;
      WeightPart weight{.row_begin = ci * channel_part / channel_parts_,
                        .row_end = ci * (channel_part + 1) / channel_parts_,
                        .gradient = gradients + tile_part * gradient_size_,
                        .sums = work.outside};
      // Parts of the channels see the same pixels of the output; the first keeps their sums.
      if (channel_part == 0) weight.sums = weight.gradient + planes_ * packed_plane_;
      std::fill_n(weight.sums, out_.row, 0.0F);
      for_blocks(total * tile_part / tile_parts, total * (tile_part + 1) / tile_parts, [&](const TileRun& block) {
        weight_block(work, block, in, out, grad_out, weight);
        weight.accumulate = true;
        // Here the block's gradient is still in the cache.
        if (grad_in && channel_parts_ == 1) input_block(work, block, out, grad_out, grad_in, accumulate_grad_in);
      });
    }
  });
  if (grad_in && channel_parts_ > 1)
    device_.parallel_for(total, 1, [&](int64_t begin, int64_t end, int thread) {
      for_blocks(begin, end, [&](const TileRun& block) {
        input_block(workspace(thread), block, out, grad_out, grad_in, accumulate_grad_in);
      });
    });

  device_.parallel_for(kernels_.panels(co) * ci, 128, [&](int64_t begin, int64_t end, int) {
    kernels_.weight_gradient[up_]({.packed = gradients,
                                   .plane = packed_plane_,
                                   .copy = gradient_size_,
                                   .copies = tile_parts,
                                   .in_channels = ci,
                                   .out_channels = co,
                                   .weights = grad_weights.data(),
                                   .begin = begin,
                                   .end = end});
  });
  for (int64_t o = 0; o < co; ++o) {
    float sum = 0;
    for (int part = 0; part < tile_parts; ++part) sum += gradients[part * gradient_size_ + planes_ * packed_plane_ + o];
    grad_bias.data()[o] = sum;
  }
}

void WinogradConv3x3::weight_block(const Workspace& work, const TileRun& block, TensorView<const float> in,
                                   TensorView<const float> out, TensorView<const float> grad_out,
                                   const WeightPart& part) const {
  TileTransform load = transform_of(in.slice(3, part.row_begin, part.row_end), block);
  load.to = work.in, load.row = in_.row, load.plane = in_.plane;
  kernels_.input[up_](load);
  TileTransform load_gradient = transform_of_gradient(out, grad_out, block);
  load_gradient.to = work.out, load_gradient.row = out_.row, load_gradient.plane = out_.plane;
  load_gradient.sums = part.sums;
  kernels_.gradient_for_weights[up_](load_gradient);
  kernels_.gradients({.planes = planes_,
                      .a = work.in,
                      .a_row = in_.row,
                      .a_plane = in_.plane,
                      .b = work.out,
                      .b_row = out_.row,
                      .b_plane = out_.plane,
                      .c = part.gradient,
                      .c_plane = packed_plane_,
                      .tiles = block.count,
                      .inner = spec_.in_channels,
                      .outer = spec_.out_channels,
                      .row_begin = part.row_begin,
                      .row_end = part.row_end,
                      .accumulate = part.accumulate});
}

void WinogradConv3x3::input_block(const Workspace& work, const TileRun& block, TensorView<const float> out,
                                  TensorView<const float> grad_out, TensorView<float> grad_in, bool accumulate) const {
  TileTransform load = transform_of_gradient(out, grad_out, block);
  load.to = work.out, load.row = out_.row, load.plane = out_.plane;
  kernels_.gradient_for_input[up_](load);
  kernels_.products({.planes = planes_,
                     .a = work.out,
                     .a_row = out_.row,
                     .a_plane = out_.plane,
                     .b = packed_rotated_.data(),
                     .b_plane = packed_rotated_plane_,
                     .c = work.in,
                     .c_row = in_.row,
                     .c_plane = in_.plane,
                     .tiles = block.count,
                     .inner = spec_.out_channels,
                     .outer = spec_.in_channels});
  kernels_.input_gradient[up_]({.tiles = block,
                                .from = work.in,
                                .row = in_.row,
                                .plane = in_.plane,
                                .channels = spec_.in_channels,
                                .accumulate = accumulate,
                                .image = grad_in.data(),
                                .pixel = grad_in.stride(2),
                                .outside = work.outside});
}

}  // namespace ptyfuse::ops::cpu
