#pragma once
// What a device's convolution consists of, behind Conv3x3; private to this room.
#include <memory>

#include "kernels/ops/conv3x3.h"
#include "kernels/ops/max_pool2.h"

namespace ptyfuse::ops {

/// A device's convolution. Arguments are those of Conv3x3, already checked against its contract.
class Conv3x3Body {
 public:
  virtual ~Conv3x3Body() = default;
  virtual void set_weights(Stream& stream, TensorView<const float> weights, TensorView<const float> bias) = 0;
  virtual void forward(Stream& stream, TensorView<const float> in, TensorView<float> out) = 0;
  virtual void forward_and_pool(Stream& stream, TensorView<const float> in, TensorView<float> out,
                                TensorView<float> pooled) {
    forward(stream, in, out);
    max_pool2(stream, out, pooled);
  }
  virtual void backward(Stream& stream, TensorView<const float> in, TensorView<const float> out,
                        TensorView<const float> grad_out, TensorView<float> grad_in, bool accumulate_grad_in,
                        TensorView<float> grad_weights, TensorView<float> grad_bias) = 0;
};

namespace cpu {
std::unique_ptr<Conv3x3Body> make_conv3x3(const Device& device, const Conv3x3Spec& spec, bool training,
                                          std::shared_ptr<Conv3x3Scratch> scratch);
}
namespace cuda {
std::unique_ptr<Conv3x3Body> make_conv3x3(const Device& device, const Conv3x3Spec& spec, bool training,
                                          std::shared_ptr<Conv3x3Scratch> scratch);
}

}  // namespace ptyfuse::ops
