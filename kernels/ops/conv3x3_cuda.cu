// The CUDA convolution's body: memory, and which kernels a call consists of.
#include "kernels/ops/conv3x3_cuda.h"

#include <algorithm>

#include "kernels/ops/conv3x3_body.h"

namespace ptyfuse::ops::cuda {

ConvPatches conv_patches(int64_t batch, int64_t height, int64_t width) {
  constexpr int side = 8;
  const int64_t across = (width + side - 1) / side, per_image = (height + side - 1) / side * across;
  return {static_cast<int>(height), static_cast<int>(width), static_cast<int>(across), static_cast<int>(per_image),
          batch * per_image};
}

int conv_columns(int64_t out_channels) {
  if (out_channels <= 16) return 16;
  // 64 columns, unless the last block's second half would stay empty.
  return (out_channels + 31) / 32 % 2 == 0 ? 64 : 32;
}

int64_t conv_packed_bytes(int64_t in_channels, int64_t out_channels, Precision precision) {
  const int64_t columns = conv_columns(out_channels);
  const int64_t padded_out = (out_channels + columns - 1) / columns * columns;
  const int64_t padded_in = (in_channels + conv_chunk - 1) / conv_chunk * conv_chunk;
  return 9 * padded_in * padded_out * conv_planes(precision) * static_cast<int64_t>(sizeof(uint16_t));
}

namespace {

bool aligned(const void* address, int bytes) {
  return reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes) == 0;
}

ConvSource source_of(const TensorView<const float>& images, const float* gate = nullptr, int64_t gate_stride = 0) {
  const int64_t channels = images.extent(3), stride = images.stride(2);
  return {.data = images.data(),
          .gate = gate,
          .pixel_stride = stride,
          .gate_stride = gate_stride,
          .channels = static_cast<int>(channels),
          .vectors = channels % 4 == 0 && stride % 4 == 0 && gate_stride % 4 == 0 && aligned(images.data(), 16) &&
                     aligned(gate, 16)};
}

class CudaConv3x3 final : public Conv3x3Body {
 public:
  CudaConv3x3(const Device& device, const Conv3x3Spec& spec, bool training, std::shared_ptr<Conv3x3Scratch> scratch)
      : spec_(spec), scratch_(std::move(scratch)) {
    check_size();
    packed_ = Buffer(device, conv_packed_bytes(spec.in_channels, spec.out_channels, spec.precision),
                     "weights of a convolution");
    const int64_t columns = conv_columns(spec.out_channels);
    bias_ = Tensor<float>(device, {(spec.out_channels + columns - 1) / columns * columns}, "bias of a convolution");
    if (!training) return;
    turned_ = Buffer(device, conv_packed_bytes(spec.out_channels, spec.in_channels, spec.precision),
                     "turned weights of a convolution");
    if (scratch_ == nullptr) scratch_ = std::make_shared<Conv3x3Scratch>(device);
    scratch_->reserve(conv_partial_bytes(patches(spec.batch), spec.in_channels, spec.out_channels, spec.precision));
  }

  void set_weights(Stream& stream, TensorView<const float> weights, TensorView<const float> bias) override {
    ConvPackArgs args{.weights = weights.data(),
                      .bias = bias.data(),
                      .packed = static_cast<uint16_t*>(packed_.data()),
                      .packed_bias = bias_.data(),
                      .in_channels = static_cast<int>(spec_.in_channels),
                      .out_channels = static_cast<int>(spec_.out_channels)};
    conv_pack(stream, args, spec_.precision);
    if (turned_.data() == nullptr) return;
    args.bias = nullptr;
    args.packed = static_cast<uint16_t*>(turned_.data());
    args.turned = true;
    conv_pack(stream, args, spec_.precision);
  }

  void forward(Stream& stream, TensorView<const float> in, TensorView<float> out) override {
    forward_and_pool(stream, in, out, {});
  }

  void forward_and_pool(Stream& stream, TensorView<const float> in, TensorView<float> out,
                        TensorView<float> pooled) override {
    conv_forward(stream,
                 {.in = source_of(in),
                  .weights = static_cast<const uint16_t*>(packed_.data()),
                  .bias = bias_.data(),
                  .out = out.data(),
                  .out_stride = out.stride(2),
                  .pooled = pooled.data(),
                  .out_channels = static_cast<int>(spec_.out_channels),
                  .patches = patches(in.extent(0)),
                  .out_pairs = pairs(out),
                  .pooled_pairs = pooled && pairs(pooled),
                  .relu = spec_.activation == ConvActivation::relu,
                  .upsampled = spec_.input_upsampled},
                 spec_.precision);
  }

  void backward(Stream& stream, TensorView<const float> in, TensorView<const float> out,
                TensorView<const float> grad_out, TensorView<float> grad_in, bool accumulate_grad_in,
                TensorView<float> grad_weights, TensorView<float> grad_bias) override {
    const bool gated = spec_.activation == ConvActivation::relu;
    const ConvSource gradient = source_of(grad_out, gated ? out.data() : nullptr, gated ? out.stride(2) : 0);
    if (grad_in)
      conv_input_gradient(stream,
                          {.in = gradient,
                           .weights = static_cast<const uint16_t*>(turned_.data()),
                           .out = grad_in.data(),
                           .out_stride = grad_in.stride(2),
                           .out_channels = static_cast<int>(spec_.in_channels),
                           .patches = patches(in.extent(0)),
                           .out_pairs = pairs(grad_in),
                           .upsampled = spec_.input_upsampled,
                           .accumulate = accumulate_grad_in},
                          spec_.precision);
    conv_weight_gradient(stream,
                         {.in = source_of(in),
                          .grad_out = gradient,
                          .partial = static_cast<float*>(scratch_->data()),
                          .grad_weights = grad_weights.data(),
                          .grad_bias = grad_bias.data(),
                          .patches = patches(in.extent(0)),
                          .upsampled = spec_.input_upsampled},
                         spec_.precision);
  }

 private:
  // The kernels count pixels of an image, channels and blocks in 32 bits.
  void check_size() const {
    constexpr int64_t most_pixels = int64_t{1} << 28, most_channels = int64_t{1} << 20, most_blocks = int64_t{1} << 30;
    const int64_t pixels = spec_.height <= most_pixels ? spec_.height * spec_.width : most_pixels + 1;
    if (spec_.width > most_pixels || pixels > most_pixels || spec_.in_channels > most_channels ||
        spec_.out_channels > most_channels ||
        spec_.batch > most_blocks / (pixels / 16 + 1) / (std::max(spec_.in_channels, spec_.out_channels) / 16 + 1))
      throw_shape_error("conv3x3", "batch " + std::to_string(spec_.batch) + ", image " + std::to_string(spec_.height) +
                                       " x " + std::to_string(spec_.width) + ", channels " +
                                       std::to_string(spec_.in_channels) + " to " + std::to_string(spec_.out_channels) +
                                       " is more than a GPU takes in one call; use smaller batches");
  }
  ConvPatches patches(int64_t batch) const { return conv_patches(batch, spec_.height, spec_.width); }
  static bool pairs(const TensorView<float>& images) {
    return images.extent(3) % 2 == 0 && images.stride(2) % 2 == 0 && aligned(images.data(), 8);
  }

  const Conv3x3Spec spec_;
  Buffer packed_, turned_;
  Tensor<float> bias_;
  std::shared_ptr<Conv3x3Scratch> scratch_;
};

}  // namespace

std::unique_ptr<Conv3x3Body> make_conv3x3(const Device& device, const Conv3x3Spec& spec, bool training,
                                          std::shared_ptr<Conv3x3Scratch> scratch) {
  return std::make_unique<CudaConv3x3>(device, spec, training, std::move(scratch));
}

}  // namespace ptyfuse::ops::cuda
