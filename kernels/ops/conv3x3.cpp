#include "kernels/ops/conv3x3.h"

#include "kernels/ops/argument_checks.h"
#include "kernels/ops/conv3x3_body.h"
#include "kernels/ops/dispatch.h"

namespace ptyfuse::ops {
namespace {

std::unique_ptr<Conv3x3Body> make_body(const Device& device, const Conv3x3Spec& spec, bool training,
                                       std::shared_ptr<Conv3x3Scratch> scratch) {
  switch (device.kind()) {
    case DeviceKind::cpu:
      return cpu::make_conv3x3(device, spec, training, std::move(scratch));
      PTYFUSE_ON_CUDA(cuda::make_conv3x3(device, spec, training, std::move(scratch)));
  }
  throw Error(ErrorKind::device, "conv3x3: unknown device");
}

void check_spec(const Conv3x3Spec& s) {
  if (s.batch < 0 || s.height < 1 || s.width < 1 || s.in_channels < 1 || s.out_channels < 1)
    throw_shape_error("conv3x3", "batch " + std::to_string(s.batch) + ", image " + std::to_string(s.height) + " x " +
                                     std::to_string(s.width) + ", channels " + std::to_string(s.in_channels) + " to " +
                                     std::to_string(s.out_channels) +
                                     ": expected batch >= 0 and every other extent >= 1");
  if (s.input_upsampled && (s.height % 2 != 0 || s.width % 2 != 0))
    throw_shape_error("conv3x3", "image " + std::to_string(s.height) + " x " + std::to_string(s.width) +
                                     " of an upsampled input: expected even height and width");
}

// `view` must be [batch, height, width, channels] with unit channel stride and no gaps but those between pixels.
void check_images(const char* name, const TensorView<const float>& view, const Shape& expected) {
  if (view.rank() != 4 || !(view.shape() == expected))
    throw_shape_error("conv3x3", std::string(name) + " is " + view.shape().str() + ", expected " + expected.str());
  if (view.empty()) return;
  if (view.data() == nullptr) throw_shape_error("conv3x3", std::string(name) + " has no memory");
  const int64_t pixel = view.stride(2);
  const bool fits = (view.extent(3) == 1 || view.stride(3) == 1) && pixel >= view.extent(3) &&
                    (view.extent(1) == 1 || view.stride(1) == pixel * view.extent(2)) &&
                    (view.extent(0) == 1 || view.stride(0) == pixel * view.extent(2) * view.extent(1));
  if (!fits)
    throw_shape_error("conv3x3", std::string(name) + " " + view.shape().str() +
                                     ": expected channels side by side and no gaps other than between pixels");
}

void check_parameter(const char* name, const TensorView<const float>& view, const Shape& expected) {
  if (!(view.shape() == expected))
    throw_shape_error("conv3x3", std::string(name) + " is " + view.shape().str() + ", expected " + expected.str());
  if (!view.contiguous() || view.data() == nullptr)
    throw_shape_error("conv3x3", std::string(name) + " " + view.shape().str() + ": expected contiguous memory");
}

}  // namespace

struct Conv3x3::Impl {
  Impl(const Device& on, const Conv3x3Spec& s, bool for_training, std::shared_ptr<Conv3x3Scratch> scratch)
      : device(on), spec(s), training(for_training), body(make_body(on, s, for_training, std::move(scratch))) {}

  void check_stream(const Stream& stream) const {
    if (!(stream.device() == device)) throw Error(ErrorKind::device, "conv3x3: the stream is of another device");
  }
  Shape in_shape(int64_t batch) const {
    const int64_t factor = spec.input_upsampled ? 2 : 1;
    return {batch, spec.height / factor, spec.width / factor, spec.in_channels};
  }
  Shape out_shape(int64_t batch) const { return {batch, spec.height, spec.width, spec.out_channels}; }
  Shape weights_shape() const { return {3, 3, spec.in_channels, spec.out_channels}; }
  Shape bias_shape() const { return {spec.out_channels}; }
  int64_t batch_of(const TensorView<const float>& in) const {
    const int64_t batch = in.rank() == 4 ? in.extent(0) : 0;
    if (batch > spec.batch)
      throw_shape_error("conv3x3", "batch " + std::to_string(batch) + " exceeds " + std::to_string(spec.batch) +
                                       ", the largest it was built for");
    return batch;
  }
  void check_forward(const Stream& stream, const TensorView<const float>& in, const TensorView<float>& out) const {
    check_stream(stream);
    const int64_t batch = batch_of(in);
    check_images("in", in, in_shape(batch));
    check_images("out", out, out_shape(batch));
    if (!has_weights) throw_shape_error("conv3x3", "forward before set_weights");
  }

  Device device;
  Conv3x3Spec spec;
  bool training;
  bool has_weights = false;
  std::unique_ptr<Conv3x3Body> body;
};

Conv3x3::Conv3x3(const Device& device, const Conv3x3Spec& spec, bool training,
                 std::shared_ptr<Conv3x3Scratch> scratch) {
  check_spec(spec);
  impl_ = std::make_unique<Impl>(device, spec, training, std::move(scratch));
}
Conv3x3::~Conv3x3() = default;
Conv3x3::Conv3x3(Conv3x3&&) noexcept = default;
Conv3x3& Conv3x3::operator=(Conv3x3&&) noexcept = default;

const Conv3x3Spec& Conv3x3::spec() const {
  return impl_->spec;
}

void Conv3x3::set_weights(Stream& stream, TensorView<const float> weights, TensorView<const float> bias) {
  impl_->check_stream(stream);
  check_parameter("weights", weights, impl_->weights_shape());
  check_parameter("bias", bias, impl_->bias_shape());
  impl_->body->set_weights(stream, weights, bias);
  impl_->has_weights = true;
}

void Conv3x3::forward(Stream& stream, TensorView<const float> in, TensorView<float> out) {
  impl_->check_forward(stream, in, out);
  impl_->body->forward(stream, in, out);
}

void Conv3x3::forward_and_pool(Stream& stream, TensorView<const float> in, TensorView<float> out,
                               TensorView<float> pooled) {
  impl_->check_forward(stream, in, out);
  if (impl_->spec.height % 2 != 0 || impl_->spec.width % 2 != 0)
    throw_shape_error("conv3x3", "out is " + out.shape().str() + ": expected even height and width to pool");
  require_contiguous("conv3x3", "out", out);
  require_dense("conv3x3", "pooled", pooled,
                {out.extent(0), impl_->spec.height / 2, impl_->spec.width / 2, impl_->spec.out_channels});
  impl_->body->forward_and_pool(stream, in, out, pooled);
}

void Conv3x3::backward(Stream& stream, TensorView<const float> in, TensorView<const float> out,
                       TensorView<const float> grad_out, TensorView<float> grad_in, bool accumulate_grad_in,
                       TensorView<float> grad_weights, TensorView<float> grad_bias) {
  impl_->check_stream(stream);
  if (!impl_->training) throw_shape_error("conv3x3", "backward of a convolution that was not built for training");
  const int64_t batch = impl_->batch_of(in);
  check_images("in", in, impl_->in_shape(batch));
  check_images("grad_out", grad_out, impl_->out_shape(batch));
  if (impl_->spec.activation == ConvActivation::relu) check_images("out", out, impl_->out_shape(batch));
  if (grad_in) check_images("grad_in", grad_in, impl_->in_shape(batch));
  check_parameter("grad_weights", grad_weights, impl_->weights_shape());
  check_parameter("grad_bias", grad_bias, impl_->bias_shape());
  if (!impl_->has_weights) throw_shape_error("conv3x3", "backward before set_weights");
  impl_->body->backward(stream, in, out, grad_out, grad_in, accumulate_grad_in, grad_weights, grad_bias);
}

Cost Conv3x3::forward_cost(const Conv3x3Spec& s) {
  const double pixels = static_cast<double>(s.batch) * static_cast<double>(s.height) * static_cast<double>(s.width);
  const double in = static_cast<double>(s.in_channels), out = static_cast<double>(s.out_channels);
  return {18 * pixels * in * out, 4 * (pixels * in / (s.input_upsampled ? 4 : 1) + pixels * out + 9 * in * out + out)};
}

}  // namespace ptyfuse::ops
