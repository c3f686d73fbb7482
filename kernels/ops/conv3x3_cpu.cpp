#include <algorithm>
#include <cstring>

#include "kernels/ops/conv3x3_body.h"

namespace ptyfuse::ops::cpu {
namespace {

/// The direct formula, vectorised over output channels (input channels on the way back).
class Direct final : public Conv3x3Body {
 public:
  Direct(const Device& device, const Conv3x3Spec& spec, bool training)
      : device_(device),
        spec_(spec),
        weights_(device, {9, spec.in_channels, spec.out_channels}, "conv3x3 weights"),
        bias_(device, {spec.out_channels}, "conv3x3 bias") {
    if (!training) return;
    transposed_ = Tensor<float>(device, {9, spec.out_channels, spec.in_channels}, "conv3x3 transposed weights");
    partial_ = Tensor<float>(device, {device.threads(), weights_.elements() + spec.out_channels}, "conv3x3 gradients");
    grad_ = Tensor<float>(device, {device.threads(), spec.out_channels + spec.in_channels}, "conv3x3 gradient rows");
  }

  void set_weights(TensorView<const float> weights, TensorView<const float> bias) override {
    const int64_t ci = spec_.in_channels, co = spec_.out_channels;
    for (int64_t e = 0; e < 9 * ci * co; ++e) weights_.data()[e] = rounded(weights.data()[e]);
    std::copy_n(bias.data(), co, bias_.data());
    if (transposed_.data() == nullptr) return;
    for (int64_t k = 0; k < 9; ++k)
      for (int64_t i = 0; i < ci; ++i)
        for (int64_t o = 0; o < co; ++o)
          transposed_.data()[(k * co + o) * ci + i] = weights_.data()[(k * ci + i) * co + o];
  }

  void forward(TensorView<const float> in, TensorView<float> out) override {
    const int64_t ci = spec_.in_channels, co = spec_.out_channels;
    device_.parallel_for(out.extent(0) * spec_.height, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t b = row / spec_.height, y = row % spec_.height;
        for (int64_t x = 0; x < spec_.width; ++x) {
          float* sum = &out(b, y, x, 0);
          std::copy_n(bias_.data(), co, sum);
          for_taps(y, x, [&](int64_t k, int64_t sy, int64_t sx) {
            const float* pixel = &in(b, sy >> shift(), sx >> shift(), 0);
            for (int64_t i = 0; i < ci; ++i)
              add_scaled(sum, weights_.data() + (k * ci + i) * co, rounded(pixel[i]), co);
          });
          if (spec_.activation == ConvActivation::relu)
            for (int64_t o = 0; o < co; ++o) sum[o] = std::max(sum[o], 0.0F);
        }
      }
    });
  }

  void backward(TensorView<const float> in, TensorView<const float> out, TensorView<const float> grad_out,
                TensorView<float> grad_in, bool accumulate_grad_in, TensorView<float> grad_weights,
                TensorView<float> grad_bias) override {
    const int64_t ci = spec_.in_channels, co = spec_.out_channels, size = 9 * ci * co;
    std::memset(partial_.data(), 0, static_cast<size_t>(partial_.elements()) * sizeof(float));
    device_.parallel_for(in.extent(0), 1, [&](int64_t begin, int64_t end, int thread) {
      float* dw = partial_.data() + thread * (size + co);
      float* g = grad_.data() + thread * (ci + co);
      for (int64_t b = begin; b < end; ++b) {
        if (grad_in && !accumulate_grad_in)
          for (int64_t y = 0; y < in.extent(1); ++y)
            for (int64_t x = 0; x < in.extent(2); ++x) std::fill_n(&grad_in(b, y, x, 0), ci, 0.0F);
        for (int64_t y = 0; y < spec_.height; ++y)
          for (int64_t x = 0; x < spec_.width; ++x) {
            for (int64_t o = 0; o < co; ++o)
              g[o] = spec_.activation == ConvActivation::relu && !(out(b, y, x, o) > 0) ? 0.0F
                                                                                        : rounded(grad_out(b, y, x, o));
            add_scaled(dw + size, g, 1, co);
            for_taps(y, x, [&](int64_t k, int64_t sy, int64_t sx) {
              sy >>= shift(), sx >>= shift();
              const float* pixel = &in(b, sy, sx, 0);
              for (int64_t i = 0; i < ci; ++i) add_scaled(dw + (k * ci + i) * co, g, rounded(pixel[i]), co);
              if (!grad_in) return;
              float* grad = &grad_in(b, sy, sx, 0);
              for (int64_t o = 0; o < co; ++o) add_scaled(grad, transposed_.data() + (k * co + o) * ci, g[o], ci);
            });
          }
      }
    });
    std::fill_n(grad_weights.data(), size, 0.0F);
    std::fill_n(grad_bias.data(), co, 0.0F);
    for (int t = 0; t < device_.threads(); ++t) {
      add_scaled(grad_weights.data(), partial_.data() + t * (size + co), 1, size);
      add_scaled(grad_bias.data(), partial_.data() + t * (size + co) + size, 1, co);
    }
  }

 private:
  int shift() const { return spec_.input_upsampled ? 1 : 0; }

  float rounded(float v) const {
    if (spec_.precision == Precision::fp32) return v;
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000U;
    std::memcpy(&v, &bits, sizeof bits);
    return v;
  }

  static void add_scaled(float* to, const float* from, float scale, int64_t n) {
#pragma omp simd
    for (int64_t e = 0; e < n; ++e) to[e] += scale * from[e];
  }

  template <class Body>
  void for_taps(int64_t y, int64_t x, Body body) const {
    for (int64_t ky = 0; ky < 3; ++ky)
      for (int64_t kx = 0; kx < 3; ++kx) {
        const int64_t sy = y + ky - 1, sx = x + kx - 1;
        if (sy >= 0 && sy < spec_.height && sx >= 0 && sx < spec_.width) body(ky * 3 + kx, sy, sx);
      }
  }

  Device device_;
  Conv3x3Spec spec_;
  Tensor<float> weights_, bias_, transposed_, partial_, grad_;
};

}  // namespace

std::unique_ptr<Conv3x3Body> make_conv3x3(const Device& device, const Conv3x3Spec& spec, bool training) {
  return std::make_unique<Direct>(device, spec, training);
}

}  // namespace ptyfuse::ops::cpu
