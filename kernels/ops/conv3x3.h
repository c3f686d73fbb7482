#pragma once
#include <memory>

#include "kernels/device/buffer.h"
#include "kernels/ops/cost.h"

namespace ptyfuse::ops {

/// Arithmetic of the generator's convolutions. Tensors in memory are float32 in both.
enum class Precision {
  fp32,  ///< on GPUs by three bfloat16 for each value, which hold all its bits; infinities become NaN there
  bf16,  ///< inputs, weights and output gradients rounded to bfloat16 (nearest even), products accumulated in float32
};

/// What the convolution's epilogue applies to its sum plus bias.
enum class ConvActivation { none, relu };

struct Conv3x3Spec {
  int64_t batch = 0, height = 0, width = 0;  ///< largest batch; images of output (and input) in pixels
  int64_t in_channels = 0, out_channels = 0;
  ConvActivation activation = ConvActivation::none;
  Precision precision = Precision::fp32;
  bool input_upsampled = false;  ///< the input has half the height and width and is read as if upsampled (nearest, x2)
};

/// Working memory of convolutions on one device that never run at the same time. Each takes what it needs when it is
/// built; what lies here is lost between calls.
class Conv3x3Scratch {
 public:
  explicit Conv3x3Scratch(const Device& device) : device_(device) {}
  void reserve(int64_t bytes) {
    if (bytes <= buffer_.bytes()) return;
    buffer_ = Buffer();
    buffer_ = Buffer(device_, bytes, "conv3x3 scratch");
  }
  void* data() const { return buffer_.data(); }

 private:
  Device device_;
  Buffer buffer_;
};

/// A 3x3 convolution, prepared for one shape:
///   out[b,y,x,o] = act(bias[o] + sum_{ky,kx,i} in[b, y+ky-1, x+kx-1, i] * weights[ky,kx,i,o]), zeros outside the image
/// (cross-correlation, "same"). in [B,H,W,Cin], out [B,H,W,Cout] float32, channel-last; the pixel stride (stride of
/// axis 2) may exceed the channel count, rows and images must follow each other without other gaps. weights
/// [3,3,Cin,Cout] and bias [Cout] contiguous. B may be anything from 0 to spec.batch.
///
/// All memory is taken at construction and counted in the device's account (scratch is the object's own unless
/// `scratch` is given, which may be shared by objects that never run at the same time); calls allocate nothing. Calls
/// of one object must not overlap in time. Results repeat bit for bit for equal threads(). Error(shape): a shape or
/// stride that does not fit. Source: SPEC of the method, section 3 (Chollet's Keras Conv2D).
class Conv3x3 {
 public:
  Conv3x3(const Device& device, const Conv3x3Spec& spec, bool training,
          std::shared_ptr<Conv3x3Scratch> scratch = nullptr);
  ~Conv3x3();
  Conv3x3(Conv3x3&&) noexcept;
  Conv3x3& operator=(Conv3x3&&) noexcept;

  const Conv3x3Spec& spec() const;

  /// Takes over the weights (transforms and packs them). To be called before forward or backward whenever they changed.
  void set_weights(Stream& stream, TensorView<const float> weights, TensorView<const float> bias);

  void forward(Stream& stream, TensorView<const float> in, TensorView<float> out);
  /// forward(), and max_pool2(out) into pooled [B,H/2,W/2,Cout] as it goes; out and pooled contiguous, H and W even.
  void forward_and_pool(Stream& stream, TensorView<const float> in, TensorView<float> out, TensorView<float> pooled);

  /// The way back. grad_out is the gradient of out; with relu, positions where out <= 0 pass nothing on (so `out` must
  /// be the output of forward; ignored without activation). grad_weights [3,3,Cin,Cout] and grad_bias [Cout] are
  /// overwritten. grad_in [B,H,W,Cin] (half height and width when input_upsampled) may be empty (data() == nullptr):
  /// then it is left out; it is overwritten, or added to when accumulate_grad_in. Error(shape): not built for training.
  void backward(Stream& stream, TensorView<const float> in, TensorView<const float> out,
                TensorView<const float> grad_out, TensorView<float> grad_in, bool accumulate_grad_in,
                TensorView<float> grad_weights, TensorView<float> grad_bias);

  /// Of forward, by the direct formula: 18*B*H*W*Cin*Cout FLOP.
  static Cost forward_cost(const Conv3x3Spec& spec);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ptyfuse::ops
