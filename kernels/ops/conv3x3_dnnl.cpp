#include "kernels/ops/conv3x3_dnnl.h"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

namespace ptyfuse::ops::cpu {
namespace {

using dnnl::memory;
using Arguments = std::unordered_map<int, memory>;

// A thread converts, and oneDNN computes, this many images at a time.
constexpr int64_t most_images = 8;

/// oneDNN stays on the calling thread while this lives: it asks OpenMP how many threads it may use, when it plans and
/// when it runs.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

/// Elements as oneDNN gets them.
struct Bf16 {
  using Type = uint16_t;
  static constexpr memory::data_type type = memory::data_type::bf16;
  static Type from(float v) {
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    const uint32_t nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, quiet_nan = (bits >> 16) | 0x40;
    return static_cast<uint16_t>((bits & 0x7FFFFFFF) > 0x7F800000 ? quiet_nan : nearest);
  }
};
struct Fp32 {
  using Type = float;
  static constexpr memory::data_type type = memory::data_type::f32;
  static Type from(float v) { return v; }
};

/// Plans of the three passes over a batch of `images`. oneDNN 3 dropped the operation descriptors of 2.
struct Plans {
  dnnl::convolution_forward::primitive_desc forward;
  dnnl::convolution_backward_data::primitive_desc input;
  dnnl::convolution_backward_weights::primitive_desc weights;

  Plans(const dnnl::engine& engine, const Conv3x3Spec& spec, bool training, int64_t images, memory::data_type type) {
    using tag = memory::format_tag;
    constexpr auto f32 = memory::data_type::f32;
    constexpr auto direct = dnnl::algorithm::convolution_direct;
    const int64_t ci = spec.in_channels, co = spec.out_channels;
    const memory::dims in_dims{images, ci, spec.height, spec.width}, out_dims{images, co, spec.height, spec.width};
    const memory::desc in(in_dims, type, tag::nhwc), grad_in(in_dims, f32, tag::nhwc);
    const memory::desc out(out_dims, f32, tag::nhwc), grad_out(out_dims, type, tag::nhwc);
    const memory::desc any_weights({co, ci, 3, 3}, type, tag::any), any_gradient({co, ci, 3, 3}, f32, tag::any);
    const memory::desc bias({co}, f32, tag::x);
    const memory::dims stride{1, 1}, pad{1, 1};
    dnnl::primitive_attr plain, fused;
    plain.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    fused.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    dnnl::post_ops after;
#if DNNL_VERSION_MAJOR >= 3
    if (spec.activation == ConvActivation::relu) after.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    fused.set_post_ops(after);
    forward = {engine, dnnl::prop_kind::forward_training, direct, in, any_weights, bias, out, stride, pad, pad, fused};
    if (!training) return;
    input = {engine, direct, grad_in, any_weights, grad_out, stride, pad, pad, forward, plain};
    weights = {engine, direct, in, any_gradient, bias, grad_out, stride, pad, pad, forward, plain};
#else
    if (spec.activation == ConvActivation::relu) after.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    fused.set_post_ops(after);
    using Forward = dnnl::convolution_forward;
    using Input = dnnl::convolution_backward_data;
    using Weights = dnnl::convolution_backward_weights;
    forward = Forward::primitive_desc(
        Forward::desc(dnnl::prop_kind::forward_training, direct, in, any_weights, bias, out, stride, pad, pad), fused,
        engine);
    if (!training) return;
    input = Input::primitive_desc(Input::desc(direct, grad_in, any_weights, grad_out, stride, pad, pad), plain, engine,
                                  forward);
    weights = Weights::primitive_desc(Weights::desc(direct, in, any_gradient, bias, grad_out, stride, pad, pad), plain,
                                      engine, forward);
#endif
  }
};

/// Runs of memory handed out one after the other, each at a new cache line.
class Layout {
 public:
  int64_t take(int64_t bytes) {
    const int64_t at = bytes_;
    bytes_ += (bytes + 63) / 64 * 64;
    return at;
  }
  int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_ = 0;
};

template <class Element>
class DnnlConv3x3 final : public Conv3x3Body {
 public:
  DnnlConv3x3(const Device& device, const Conv3x3Spec& spec, bool training, std::shared_ptr<Conv3x3Scratch> scratch)
      : device_(device),
        spec_(spec),
        training_(training),
        images_(std::clamp<int64_t>((spec.batch + device.threads() - 1) / device.threads(), 1, most_images)),
        engine_(dnnl::engine::kind::cpu, 0),
        plans_(engine_, spec, training, images_, Element::type),
        scratch_(scratch ? std::move(scratch) : std::make_shared<Conv3x3Scratch>(device)) {
    const int64_t ci = spec.in_channels, co = spec.out_channels;
    bias_ = Tensor<float>(device, {co}, "conv3x3 bias");
    packed_ = Tensor<uint8_t>(device, {size_of(plans_.forward.weights_desc())}, "conv3x3 weights");
    convolution_ = dnnl::convolution_forward(plans_.forward);
    int64_t library_bytes = size_of(plans_.forward.scratchpad_desc());
    pack_ = reorder(user_weights(), plans_.forward.weights_desc(), library_bytes);
    if (training) {
      packed_rotated_ =
          Tensor<uint8_t>(device, {size_of(plans_.input.weights_desc())}, "conv3x3 weights of the way back");
      back_to_input_ = dnnl::convolution_backward_data(plans_.input);
      back_to_weights_ = dnnl::convolution_backward_weights(plans_.weights);
      pack_rotated_ = reorder(user_weights(), plans_.input.weights_desc(), library_bytes);
      unpack_ = reorder(plans_.weights.diff_weights_desc(), user_weights(), library_bytes);
      library_bytes =
          std::max({library_bytes, size_of(plans_.input.scratchpad_desc()), size_of(plans_.weights.scratchpad_desc())});
    }
    const int64_t element = sizeof(typename Element::Type), f32 = sizeof(float);
    in_at_ = layout_.take(images_ * pixels() * ci * element);
    result_at_ = layout_.take(images_ * pixels() * std::max(ci, co) * f32);
    library_bytes_ = library_bytes;
    library_at_ = layout_.take(library_bytes);
    if (training) {
      grad_at_ = layout_.take(images_ * pixels() * co * element);
      packed_gradient_at_ = layout_.take(size_of(plans_.weights.diff_weights_desc()));
      gradient_at_ = layout_.take((9 * ci * co + co) * f32);
      sum_at_ = layout_.take((9 * ci * co + co) * f32);
    }
    scratch_->reserve(device.threads() * layout_.bytes());
    for (int t = 0; t < device.threads(); ++t) workers_.emplace_back(engine_);
    for (Worker& w : workers_) bind(w);
  }

  void set_weights(Stream&, TensorView<const float> weights, TensorView<const float> bias) override {
    const OneThread one;
    std::copy_n(bias.data(), bias.elements(), bias_.data());
    Worker& w = workers_[0];
    set_addresses(w, memory_of(0));
    w.user_weights.set_data_handle(const_cast<float*>(weights.data()));
    execute(pack_, w, w.user_weights, w.weights);
    if (!training_) return;
    execute(pack_rotated_, w, w.user_weights, w.rotated);
  }

  void forward(Stream&, TensorView<const float> in, TensorView<float> out) override {
    for_chunks(in.extent(0), [&](Worker& w, const char*, int64_t first, int64_t count) {
      convert_input(in, first, count, w);
      convolution_.execute(w.stream, w.forward);
      const int64_t co = spec_.out_channels;
      const float* from = w.result;
      float* to = out.data() + first * pixels() * out.stride(2);
      for (int64_t p = 0; p < count * pixels(); ++p, from += co, to += out.stride(2)) std::copy_n(from, co, to);
    });
  }

  void backward(Stream&, TensorView<const float> in, TensorView<const float> out, TensorView<const float> grad_out,
                TensorView<float> grad_in, bool accumulate_grad_in, TensorView<float> grad_weights,
                TensorView<float> grad_bias) override {
    const int64_t ci = spec_.in_channels, co = spec_.out_channels, size = 9 * ci * co;
    for (Worker& w : workers_) w.used = false;
    for_chunks(in.extent(0), [&](Worker& w, char* memory, int64_t first, int64_t count) {
      convert_input(in, first, count, w);
      convert_gradient(out, grad_out, first, count, w);
      back_to_weights_.execute(w.stream, w.to_weights);
      execute(unpack_, w, w.packed_gradient, w.user_gradient);
      const float* gradient = reinterpret_cast<const float*>(memory + gradient_at_);
      float* sum = reinterpret_cast<float*>(memory + sum_at_);
      for (int64_t e = 0; e < size + co; ++e) sum[e] = w.used ? sum[e] + gradient[e] : gradient[e];
      w.used = true;
      if (!grad_in) return;
      back_to_input_.execute(w.stream, w.to_input);
      put_input_gradient(grad_in, first, count, accumulate_grad_in, w);
    });
    std::fill_n(grad_weights.data(), size, 0.0F);
    std::fill_n(grad_bias.data(), co, 0.0F);
    device_.parallel_for(size + co, 4096, [&](int64_t begin, int64_t end, int) {
      for (size_t t = 0; t < workers_.size(); ++t) {
        if (!workers_[t].used) continue;
        const float* sum = reinterpret_cast<const float*>(memory_of(static_cast<int>(t)) + sum_at_);
        for (int64_t e = begin; e < std::min(end, size); ++e) grad_weights.data()[e] += sum[e];
        for (int64_t e = std::max(begin, size); e < end; ++e) grad_bias.data()[e - size] += sum[e];
      }
    });
  }

  /// What oneDNN chose for the passes that will run.
  bool all_on_amx() const {
    auto on_amx = [](const auto& plan) { return std::string(plan.impl_info_str()).find("amx") != std::string::npos; };
    return on_amx(plans_.forward) && (!training_ || (on_amx(plans_.input) && on_amx(plans_.weights)));
  }

 private:
  using Type = typename Element::Type;

  /// What one thread hands to oneDNN; addresses are set at the start of each call.
  struct Worker {
    explicit Worker(const dnnl::engine& engine) : stream(engine) {}
    dnnl::stream stream;
    memory user_weights, weights, rotated, user_gradient, packed_gradient;
    Arguments forward, to_input, to_weights, reorder;
    Type *in = nullptr, *grad = nullptr;
    float* result = nullptr;
    bool used = false;
  };

  static int64_t size_of(const memory::desc& desc) { return static_cast<int64_t>(desc.get_size()); }
  int64_t pixels() const { return spec_.height * spec_.width; }
  memory::desc user_weights() const {
    return {{spec_.out_channels, spec_.in_channels, 3, 3}, memory::data_type::f32, memory::format_tag::hwio};
  }
  /// Adds the bytes that the reorder works in to `library_bytes`, if they are more.
  dnnl::reorder reorder(const memory::desc& from, const memory::desc& to, int64_t& library_bytes) const {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::reorder::primitive_desc plan(engine_, from, engine_, to, attr);
    library_bytes = std::max(library_bytes, size_of(plan.scratchpad_desc()));
    return dnnl::reorder(plan);
  }
  static void execute(const dnnl::reorder& reorder, Worker& w, const memory& from, const memory& to) {
    w.reorder.at(DNNL_ARG_FROM) = from;
    w.reorder.at(DNNL_ARG_TO) = to;
    reorder.execute(w.stream, w.reorder);
  }
  char* memory_of(int thread) const { return static_cast<char*>(scratch_->data()) + thread * layout_.bytes(); }

  void bind(Worker& w) const {
    auto make = [&](const memory::desc& desc) { return memory(desc, engine_, DNNL_MEMORY_NONE); };
    w.user_weights = make(user_weights());
    w.weights = make(plans_.forward.weights_desc());
    const memory::desc bytes({library_bytes_}, memory::data_type::u8, memory::format_tag::x);
    w.reorder = {{DNNL_ARG_FROM, w.user_weights}, {DNNL_ARG_TO, w.weights}, {DNNL_ARG_SCRATCHPAD, make(bytes)}};
    w.forward = {{DNNL_ARG_SRC, make(plans_.forward.src_desc())},
                 {DNNL_ARG_WEIGHTS, w.weights},
                 {DNNL_ARG_BIAS, make(plans_.forward.bias_desc())},
                 {DNNL_ARG_DST, make(plans_.forward.dst_desc())},
                 {DNNL_ARG_SCRATCHPAD, make(plans_.forward.scratchpad_desc())}};
    if (!training_) return;
    w.rotated = make(plans_.input.weights_desc());
    w.user_gradient = make(user_weights());
    w.packed_gradient = make(plans_.weights.diff_weights_desc());
    w.to_input = {{DNNL_ARG_DIFF_DST, make(plans_.input.diff_dst_desc())},
                  {DNNL_ARG_WEIGHTS, w.rotated},
                  {DNNL_ARG_DIFF_SRC, make(plans_.input.diff_src_desc())},
                  {DNNL_ARG_SCRATCHPAD, make(plans_.input.scratchpad_desc())}};
    w.to_weights = {{DNNL_ARG_SRC, make(plans_.weights.src_desc())},
                    {DNNL_ARG_DIFF_DST, make(plans_.weights.diff_dst_desc())},
                    {DNNL_ARG_DIFF_WEIGHTS, w.packed_gradient},
                    {DNNL_ARG_DIFF_BIAS, make(plans_.weights.diff_bias_desc())},
                    {DNNL_ARG_SCRATCHPAD, make(plans_.weights.scratchpad_desc())}};
  }

  // The scratch may have moved since: a later convolution that shares it can have asked for more.
  void set_addresses(Worker& w, char* at) {
    w.in = reinterpret_cast<Type*>(at + in_at_);
    w.result = reinterpret_cast<float*>(at + result_at_);
    w.weights.set_data_handle(packed_.data());
    w.reorder.at(DNNL_ARG_SCRATCHPAD).set_data_handle(at + library_at_);
    w.forward.at(DNNL_ARG_SRC).set_data_handle(w.in);
    w.forward.at(DNNL_ARG_BIAS).set_data_handle(bias_.data());
    w.forward.at(DNNL_ARG_DST).set_data_handle(w.result);
    w.forward.at(DNNL_ARG_SCRATCHPAD).set_data_handle(at + library_at_);
    if (!training_) return;
    float* const gradient = reinterpret_cast<float*>(at + gradient_at_);
    w.grad = reinterpret_cast<Type*>(at + grad_at_);
    w.rotated.set_data_handle(packed_rotated_.data());
    w.user_gradient.set_data_handle(gradient);
    w.packed_gradient.set_data_handle(at + packed_gradient_at_);
    w.to_input.at(DNNL_ARG_DIFF_DST).set_data_handle(w.grad);
    w.to_input.at(DNNL_ARG_DIFF_SRC).set_data_handle(w.result);
    w.to_input.at(DNNL_ARG_SCRATCHPAD).set_data_handle(at + library_at_);
    w.to_weights.at(DNNL_ARG_SRC).set_data_handle(w.in);
    w.to_weights.at(DNNL_ARG_DIFF_DST).set_data_handle(w.grad);
    w.to_weights.at(DNNL_ARG_DIFF_BIAS).set_data_handle(gradient + 9 * spec_.in_channels * spec_.out_channels);
    w.to_weights.at(DNNL_ARG_SCRATCHPAD).set_data_handle(at + library_at_);
  }

  // Calls body(worker, its memory, first image, images) for the batch in chunks of images_.
  template <class Body>
  void for_chunks(int64_t batch, Body body) {
    device_.parallel_for((batch + images_ - 1) / images_, 1, [&](int64_t begin, int64_t end, int thread) {
      const OneThread one;
      Worker& w = workers_[static_cast<size_t>(thread)];
      set_addresses(w, memory_of(thread));
      for (int64_t i = begin; i < end; ++i)
        body(w, memory_of(thread), i * images_, std::min(images_, batch - i * images_));
    });
  }

  // Images that the last chunk lacks are zero.
  void convert_input(const TensorView<const float>& in, int64_t first, int64_t count, Worker& w) const {
    const int64_t ci = spec_.in_channels, half = spec_.input_upsampled ? 1 : 0;
    Type* to = w.in;
    for (int64_t b = first; b < first + count; ++b)
      for (int64_t y = 0; y < spec_.height; ++y)
        for (int64_t x = 0; x < spec_.width; ++x, to += ci) {
          const float* from =
              in.data() + ((b * in.extent(1) + (y >> half)) * in.extent(2) + (x >> half)) * in.stride(2);
#pragma omp simd
          for (int64_t c = 0; c < ci; ++c) to[c] = Element::from(from[c]);
        }
    std::fill_n(to, (images_ - count) * pixels() * ci, Type{});
  }

  void convert_gradient(const TensorView<const float>& out, const TensorView<const float>& grad_out, int64_t first,
                        int64_t count, Worker& w) const {
    const int64_t co = spec_.out_channels;
    const bool relu = spec_.activation == ConvActivation::relu;
    Type* to = w.grad;
    for (int64_t p = first * pixels(); p < (first + count) * pixels(); ++p, to += co) {
      const float* from = grad_out.data() + p * grad_out.stride(2);
      const float* value = relu ? out.data() + p * out.stride(2) : from;
#pragma omp simd
      for (int64_t c = 0; c < co; ++c) to[c] = Element::from(!relu || value[c] > 0 ? from[c] : 0.0F);
    }
    std::fill_n(to, (images_ - count) * pixels() * co, Type{});
  }

  void put_input_gradient(const TensorView<float>& grad_in, int64_t first, int64_t count, bool accumulate,
                          const Worker& w) const {
    const int64_t ci = spec_.in_channels, scale = spec_.input_upsampled ? 2 : 1;
    for (int64_t b = 0; b < count; ++b)
      for (int64_t y = 0; y < grad_in.extent(1); ++y)
        for (int64_t x = 0; x < grad_in.extent(2); ++x) {
          float* to =
              grad_in.data() + (((first + b) * grad_in.extent(1) + y) * grad_in.extent(2) + x) * grad_in.stride(2);
          if (!accumulate) std::fill_n(to, ci, 0.0F);
          for (int64_t dy = 0; dy < scale; ++dy)
            for (int64_t dx = 0; dx < scale; ++dx) {
              const float* from = w.result + ((b * spec_.height + scale * y + dy) * spec_.width + scale * x + dx) * ci;
#pragma omp simd
              for (int64_t c = 0; c < ci; ++c) to[c] += from[c];
            }
        }
  }

  const Device device_;
  const Conv3x3Spec spec_;
  const bool training_;
  const int64_t images_;
  dnnl::engine engine_;
  Plans plans_;
  std::shared_ptr<Conv3x3Scratch> scratch_;
  dnnl::convolution_forward convolution_;
  dnnl::convolution_backward_data back_to_input_;
  dnnl::convolution_backward_weights back_to_weights_;
  dnnl::reorder pack_, pack_rotated_, unpack_;
  Layout layout_;  // of a thread's scratch
  int64_t library_bytes_ = 0;
  int64_t in_at_ = 0, grad_at_ = 0, result_at_ = 0, library_at_ = 0;
  int64_t packed_gradient_at_ = 0, gradient_at_ = 0, sum_at_ = 0;
  Tensor<float> bias_;
  Tensor<uint8_t> packed_, packed_rotated_;
  std::vector<Worker> workers_;
};

}  // namespace

std::unique_ptr<Conv3x3Body> make_dnnl_conv3x3(const Device& device, const Conv3x3Spec& spec, bool training,
                                               const std::shared_ptr<Conv3x3Scratch>& scratch, Precision element) {
  const OneThread one;
  try {
    if (element == Precision::fp32) return std::make_unique<DnnlConv3x3<Fp32>>(device, spec, training, scratch);
    auto conv = std::make_unique<DnnlConv3x3<Bf16>>(device, spec, training, scratch);
    if (conv->all_on_amx()) return conv;
  } catch (const dnnl::error&) {
    return nullptr;
  }
  return nullptr;
}

}  // namespace ptyfuse::ops::cpu
