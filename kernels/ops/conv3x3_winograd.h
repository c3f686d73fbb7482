#pragma once
#include <memory>

#include "kernels/ops/conv3x3_body.h"
#include "kernels/ops/conv3x3_winograd_kernels.h"

namespace ptyfuse::ops::cpu {

/// Convolution by Winograd's minimal filtering F(4x4,3x3): a quarter of the direct formula's products. Every thread
/// takes a run of tiles, block by block: transform, products per plane, inverse with bias and activation, in its own
/// cache.
class WinogradConv3x3 final : public Conv3x3Body {
 public:
  WinogradConv3x3(const Device& device, const Conv3x3Spec& spec, bool training, std::shared_ptr<Conv3x3Scratch> scratch,
                  const WinogradKernels& kernels);
  void set_weights(Stream& stream, TensorView<const float> weights, TensorView<const float> bias) override;
  void forward(Stream& stream, TensorView<const float> in, TensorView<float> out) override;
  void backward(Stream& stream, TensorView<const float> in, TensorView<const float> out,
                TensorView<const float> grad_out, TensorView<float> grad_in, bool accumulate_grad_in,
                TensorView<float> grad_weights, TensorView<float> grad_bias) override;

 private:
  /// A matrix per plane of the transform: [tiles of a block][channels] or packed weights.
  struct Planes {
    int64_t row = 0, plane = 0;
  };
  /// A thread's part of the scratch memory.
  struct Workspace {
    float *in, *out, *outside;
  };
  struct WeightPart {
    int64_t row_begin, row_end;
    float *gradient, *sums;
    bool accumulate = false;
  };

  int64_t tiles(int64_t batch) const;
  Workspace workspace(int thread) const;
  void pack(TensorView<const float> weights, bool rotated, Tensor<float>& packed) const;
  TileTransform transform_of(const TensorView<const float>& image, const TileRun& tiles) const;
  TileTransform transform_of_gradient(const TensorView<const float>& out, const TensorView<const float>& grad_out,
                                      const TileRun& tiles) const;
  template <class Body>
  void for_blocks(int64_t begin, int64_t end, Body body) const;
  /// The gradient of the weights from one block, for some of the input's channels.
  void weight_block(const Workspace& work, const TileRun& block, TensorView<const float> in,
                    TensorView<const float> out, TensorView<const float> grad_out, const WeightPart& part) const;
  void input_block(const Workspace& work, const TileRun& block, TensorView<const float> out,
                   TensorView<const float> grad_out, TensorView<float> grad_in, bool accumulate) const;

  const Device device_;
  const Conv3x3Spec spec_;
  const WinogradKernels& kernels_;
  const int up_, planes_;
  int64_t block_tiles_ = 0;
  Planes in_, out_;                         // of a block of tiles
  int64_t packed_plane_ = 0;                // of the weights, and of their gradients
  int64_t packed_rotated_plane_ = 0;        // of the weights turned for the way back
  int tile_parts_ = 1, channel_parts_ = 1;  // how the gradients of the weights are shared out among threads
  int64_t workspace_size_ = 0, gradient_size_ = 0;
  std::shared_ptr<Conv3x3Scratch> scratch_;
  Tensor<float> packed_, packed_rotated_, bias_, zeros_;
};

}  // namespace ptyfuse::ops::cpu
