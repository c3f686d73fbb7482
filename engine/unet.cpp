#include "engine/unet.h"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/ops/nodes.h"

namespace ptyfuse {
namespace {

// The last decoder channels feed the border heads (section 3).
constexpr int64_t border_input_channels = 4;

struct Widths {
  std::vector<int64_t> encoder, decoder;
  int64_t border = 0;  // of a generator
};

/// Section 3's table, before filters_scale.
Widths generator_widths(int64_t side_px) {
  switch (side_px) {
    case 64:
      return {{32, 64, 128}, {64, 32}, 32};
    case 128:
      return {{16, 32, 64, 128}, {128, 64, 32}, 16};
    case 256:
      return {{8, 16, 32, 64, 128}, {256, 128, 64, 32}, 8};
    default:
      break;
  }
  throw_shape_error("UNet", "patches of " + std::to_string(side_px) + " px; expected 64, 128 or 256");
}

/// `least`: the narrowest of the network's layers, of which the others are multiples.
int64_t scaled(int64_t width, double filters_scale, int64_t least) {
  const double exact = static_cast<double>(width) * filters_scale;
  if (!(exact >= 1 && exact <= 65536) || exact != std::floor(exact))
    throw_shape_error(
        "UNet", fmt::format("--filters-scale {:g} turns a width of {} channels into {:g}; whole, positive widths come "
                            "of {:g} and its multiples, such as 0.25, 0.5, 1, 2 or 4",
                            filters_scale, width, exact, 1 / static_cast<double>(least)));
  return static_cast<int64_t>(exact);
}

double kernel_bound(const ParameterEntry& kernel, Initialisation how) {
  const auto in = static_cast<double>(9 * kernel.shape[2]), out = static_cast<double>(9 * kernel.shape[3]);
  const double glorot = std::sqrt(6 / (in + out));
  if (how == Initialisation::glorot) return glorot;
  // A head's activation is no ReLU, and where it starts decides how even the first object is.
  constexpr double head_share = 0.1;
  return kernel.name.find(".head") != std::string::npos ? head_share * glorot : std::sqrt(6 / in);
}

Widths widths_of(const GeneratorConfig& config, bool supervised) {
  Widths widths = supervised ? Widths{{32, 64, 128}, {128, 64, 32}} : generator_widths(config.side_px);
  const int64_t least = widths.encoder.front();
  for (int64_t& w : widths.encoder) w = scaled(w, config.filters_scale, least);
  for (int64_t& w : widths.decoder) w = scaled(w, config.filters_scale, least);
  if (!supervised) widths.border = scaled(widths.border, config.filters_scale, least);
  return widths;
}

ops::HeadActivation amplitude_activation(AmplitudeActivation a) {
  switch (a) {
    case AmplitudeActivation::sigmoid:
      return ops::HeadActivation::sigmoid;
    case AmplitudeActivation::swish:
      return ops::HeadActivation::swish;
    case AmplitudeActivation::softplus:
      return ops::HeadActivation::softplus;
    case AmplitudeActivation::relu:
      return ops::HeadActivation::relu;
  }
  return ops::HeadActivation::sigmoid;
}

std::string indexed(const std::string& prefix, size_t stage) {
  return prefix + "." + std::to_string(stage);
}

/// The network as a walk over its layers. The walk is written once, for whoever wants to know the layers: `Walker`
/// gives
///   Handle conv(name, Handle in, out_channels, ConvActivation, bool input_upsampled)
///   Handle conv_and_pool(name, Handle in, out_channels, ConvActivation)
///   Handle channels(Handle, begin, end), int64_t width(Handle)
///   Handle head(HeadSpec, Handle centre, const Handle* border, bool padded)
///   void begin_stage(), end_stage(): round layers whose inner values no other stage reads
template <class Walker>
class Walk {
 public:
  using Handle = typename Walker::Handle;
  Walk(Walker& walker, const GeneratorConfig& config, bool supervised)
      : walker_(walker), config_(config), supervised_(supervised), widths_(widths_of(config, supervised)) {}

  std::pair<Handle, Handle> run(Handle x) {
    for (size_t stage = 0; stage < widths_.encoder.size(); ++stage) {
      walker_.begin_stage();
      x = encoder_stage(indexed("enc", stage), x, widths_.encoder[stage]);
      walker_.end_stage();
    }
    const Handle amplitude = decoder("amp", x, amplitude_activation(config_.amplitude));
    return {amplitude, decoder("phase", x, ops::HeadActivation::pi_tanh)};
  }

 private:
  Handle encoder_stage(const std::string& prefix, Handle in, int64_t width) {
    const Handle first = walker_.conv(prefix + ".conv0", in, width, ops::ConvActivation::relu, false);
    return walker_.conv_and_pool(prefix + ".conv1", first, width, ops::ConvActivation::relu);
  }
  Handle pair(const std::string& prefix, Handle in, int64_t width, bool input_upsampled) {
    const Handle first = walker_.conv(prefix + ".conv0", in, width, ops::ConvActivation::relu, input_upsampled);
    return walker_.conv(prefix + ".conv1", first, width, ops::ConvActivation::relu, false);
  }
  Handle last_conv(const std::string& name, Handle in) {
    return walker_.conv(name, in, config_.head_channels(), ops::ConvActivation::none, true);
  }

  /// Each stage ends in a nearest upsampling, which the next convolution does as it reads.
  Handle decoder(const std::string& kind, Handle h, ops::HeadActivation activation) {
    for (size_t stage = 0; stage < widths_.decoder.size(); ++stage) {
      walker_.begin_stage();
      h = pair(indexed(kind + ".dec", stage), h, widths_.decoder[stage], stage > 0);
      walker_.end_stage();
    }
    if (supervised_) return last_conv(kind + ".head", h);
    walker_.begin_stage();
    const Handle out = heads(kind, h, activation);
    walker_.end_stage();
    return out;
  }
  Handle heads(const std::string& kind, Handle h, ops::HeadActivation activation) {
    ops::HeadSpec spec;
    spec.centre = activation;
    spec.border = config_.border == BorderActivation::swish ? ops::HeadActivation::swish : activation;
    const std::string border = kind + ".border";
    if (!config_.pad_object)
      return walker_.head(spec, last_conv(border + ".head", pair(border, h, widths_.border, true)), nullptr, false);
    const int64_t inner = walker_.width(h) - border_input_channels;
    const Handle centre = last_conv(kind + ".head", walker_.channels(h, 0, inner));
    if (!config_.probe_big) return walker_.head(spec, centre, nullptr, true);
    const Handle outer = walker_.channels(h, inner, inner + border_input_channels);
    const Handle sum = last_conv(border + ".head", pair(border, outer, widths_.border, true));
    return walker_.head(spec, centre, &sum, true);
  }

  Walker& walker_;
  const GeneratorConfig& config_;
  bool supervised_;
  Widths widths_;
};

/// Lays the parameters out in order of computation.
struct Layout {
  using Handle = int64_t;  // channels
  std::vector<ParameterEntry>& entries;
  int64_t offset = 0;

  void push(std::string name, const Shape& shape) {
    entries.push_back({std::move(name), shape, offset});
    offset += shape.elements();
  }
  Handle conv(const std::string& name, Handle in, int64_t out, ops::ConvActivation, bool) {
    push(name + "/kernel", {3, 3, in, out});
    push(name + "/bias", {out});
    return out;
  }
  Handle conv_and_pool(const std::string& name, Handle in, int64_t out, ops::ConvActivation activation) {
    return conv(name, in, out, activation, false);
  }
  Handle channels(Handle, int64_t begin, int64_t end) { return end - begin; }
  int64_t width(Handle in) { return in; }
  Handle head(const ops::HeadSpec&, Handle centre, const Handle*, bool) { return centre; }
  void begin_stage() {}
  void end_stage() {}
};

/// The convolutions' specifications.
struct Specifications {
  struct Handle {
    int64_t channels, side;
  };
  int64_t images;
  ops::Precision precision;
  std::vector<ops::Conv3x3Spec> specs = {};

  Handle conv(const std::string&, Handle in, int64_t out, ops::ConvActivation activation, bool input_upsampled) {
    const int64_t side = input_upsampled ? 2 * in.side : in.side;
    specs.push_back({.batch = images,
                     .height = side,
                     .width = side,
                     .in_channels = in.channels,
                     .out_channels = out,
                     .activation = activation,
                     .precision = precision,
                     .input_upsampled = input_upsampled});
    return {out, side};
  }
  Handle conv_and_pool(const std::string& name, Handle in, int64_t out, ops::ConvActivation activation) {
    return {out, conv(name, in, out, activation, false).side / 2};
  }
  Handle channels(Handle in, int64_t begin, int64_t end) { return {end - begin, in.side}; }
  int64_t width(Handle in) { return in.channels; }
  Handle head(const ops::HeadSpec&, Handle centre, const Handle*, bool) { return centre; }
  void begin_stage() {}
  void end_stage() {}
};

/// Records the layers on a tape, taking the parameters in the layout's order.
struct Recorder {
  using Handle = autodiff::ValueId;
  autodiff::Tape& tape;
  const std::vector<ParameterEntry>& entries;
  TensorView<float> parameters, gradients;
  ops::Precision precision;
  size_t next = 0;

  Handle parameter() {
    const ParameterEntry& e = entries[next++];
    const int64_t end = e.offset + e.shape.elements();
    const TensorView<float> gradient =
        gradients.data() == nullptr ? TensorView<float>() : gradients.slice(0, e.offset, end).reshape(e.shape);
    return tape.parameter(parameters.slice(0, e.offset, end).reshape(e.shape), gradient, e.name);
  }
  Handle conv(const std::string&, Handle in, int64_t, ops::ConvActivation activation, bool input_upsampled) {
    const Handle kernel = parameter();
    const Handle bias = parameter();
    return autodiff::conv3x3(tape, in, kernel, bias, activation, precision, input_upsampled);
  }
  Handle conv_and_pool(const std::string&, Handle in, int64_t, ops::ConvActivation activation) {
    const Handle kernel = parameter();
    const Handle bias = parameter();
    return autodiff::conv3x3_and_pool(tape, in, kernel, bias, activation, precision);
  }
  Handle channels(Handle in, int64_t begin, int64_t end) { return tape.channels(in, begin, end); }
  int64_t width(Handle in) { return tape.shape(in)[3]; }
  Handle head(const ops::HeadSpec& spec, Handle centre, const Handle* border, bool padded) {
    return autodiff::head(tape, spec, centre, border != nullptr ? *border : Handle{}, padded);
  }
  void begin_stage() { tape.begin_segment(); }
  void end_stage() { tape.end_segment(); }
};

}  // namespace

UNet UNet::generator(const GeneratorConfig& config) {
  if (config.gridsize != 1 && config.gridsize != 2)
    throw_shape_error("UNet", "gridsize " + std::to_string(config.gridsize) + "; expected 1 or 2");
  if (config.network == Network::shared && !config.object_big && config.gridsize != 1)
    throw_shape_error("UNet",
                      "a shared network gives every member a patch of its own, which only object_big merges; "
                      "switch object_big on or take the grouped network");
  UNet net;
  net.config_ = config;
  Layout layout{net.parameters_};
  Walk<Layout>(layout, net.config_, false).run(config.input_channels());
  net.parameter_count_ = layout.offset;
  return net;
}

UNet UNet::supervised(const GeneratorConfig& config) {
  if (config.side_px <= 0 || config.side_px % 8 != 0)
    throw_shape_error("UNet", "patches of " + std::to_string(config.side_px) + " px; expected a multiple of 8");
  UNet net;
  net.supervised_ = true;
  net.config_ = config;
  net.config_.gridsize = 1;
  net.config_.network = Network::grouped;
  net.config_.object_big = false;
  net.config_.pad_object = false;
  Layout layout{net.parameters_};
  Walk<Layout>(layout, net.config_, true).run(1);
  net.parameter_count_ = layout.offset;
  return net;
}

void UNet::initialise(Random& random, Initialisation how, std::span<float> values) const {
  if (static_cast<int64_t>(values.size()) != parameter_count_)
    throw_shape_error("UNet::initialise",
                      std::to_string(values.size()) + " values; expected " + std::to_string(parameter_count_));
  for (const ParameterEntry& e : parameters_) {
    const std::span<float> tensor =
        values.subspan(static_cast<size_t>(e.offset), static_cast<size_t>(e.shape.elements()));
    if (e.shape.rank() != 4) {
      std::fill(tensor.begin(), tensor.end(), 0.0F);
      continue;
    }
    const double bound = kernel_bound(e, how);
    for (float& v : tensor) v = static_cast<float>(random.uniform(-bound, bound));
  }
}

std::vector<ops::Conv3x3Spec> UNet::convolutions(int64_t images) const {
  Specifications walker{images, config_.precision};
  Walk<Specifications>(walker, config_, supervised_).run({supervised_ ? 1 : config_.input_channels(), config_.side_px});
  return walker.specs;
}

UNet::Output UNet::record(autodiff::Tape& tape, autodiff::ValueId x, TensorView<float> parameters,
                          TensorView<float> gradients) const {
  const Shape expected{parameter_count_};
  if (!(parameters.shape() == expected) || !parameters.contiguous())
    throw_shape_error("UNet::record", "parameters " + parameters.shape().str() + "; expected " + expected.str());
  if (gradients.data() != nullptr && (!(gradients.shape() == expected) || !gradients.contiguous()))
    throw_shape_error("UNet::record", "gradients " + gradients.shape().str() + "; expected " + expected.str());
  const Shape& in = tape.shape(x);
  if (in.rank() != 4 || in[1] != config_.side_px || in[2] != config_.side_px || in[3] != config_.input_channels())
    throw_shape_error("UNet::record", "input " + in.str() + "; expected [images, " + std::to_string(config_.side_px) +
                                          ", " + std::to_string(config_.side_px) + ", " +
                                          std::to_string(config_.input_channels()) + "]");
  Recorder recorder{tape, parameters_, parameters, gradients, config_.precision};
  const auto [amplitude, phase] = Walk<Recorder>(recorder, config_, supervised_).run(x);
  return {amplitude, phase};
}

}  // namespace ptyfuse
