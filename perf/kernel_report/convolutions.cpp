#include "kernels/ops/conv3x3.h"
#include "kernels/ops/conv3x3_cuda.h"
#include "perf/kernel_report/workloads.h"

namespace ptyfuse::perf {
namespace {

using ops::Conv3x3;
using ops::Conv3x3Spec;
using ops::ConvActivation;
using ops::Cost;
using ops::Precision;

struct Layer {
  std::string name;
  int64_t side, in, out;  ///< pixels of the output, channels
  bool upsampled;
  ConvActivation activation;
  int64_t in_all, in_first;  ///< channels of the tensor that the input is a part of, and the part's first
  bool pooled = false;
};

struct Generator {
  int64_t side, members;  ///< channels of its input and of its heads
  std::vector<int64_t> encoder, decoder;
  int64_t border;
};

// The layers of engine/unet.h's generator with padded objects, in order; both decoders are alike.
std::vector<Layer> layers_of(const Generator& g) {
  std::vector<Layer> layers;
  int64_t side = g.side, channels = g.members;
  const auto pair = [&](const std::string& name, int64_t width, bool upsampled, int64_t in_all, int64_t in_first) {
    layers.push_back({name + ".conv0", side, channels, width, upsampled, ConvActivation::relu, in_all, in_first});
    layers.push_back({name + ".conv1", side, width, width, false, ConvActivation::relu, width, 0});
    channels = width;
  };
  for (size_t stage = 0; stage < g.encoder.size(); ++stage) {
    pair("enc." + std::to_string(stage), g.encoder[stage], false, channels, 0);
    layers.back().pooled = true;
    side /= 2;
  }
  for (size_t stage = 0; stage < g.decoder.size(); ++stage) {
    if (stage > 0) side *= 2;
    pair("dec." + std::to_string(stage), g.decoder[stage], stage > 0, channels, 0);
  }
  side *= 2;
  const int64_t all = channels, outer = 4;
  layers.push_back({"head", side, all - outer, g.members, true, ConvActivation::none, all, 0});
  channels = outer;
  pair("border", g.border, true, all, all - outer);
  layers.push_back({"border.head", 2 * side, g.border, g.members, true, ConvActivation::none, g.border, 0});
  return layers;
}

std::string text_of(const Layer& l, Precision precision) {
  const std::string side = std::to_string(l.side);
  return l.name + ", " + side + "x" + side + ", " + std::to_string(l.in) + " to " + std::to_string(l.out) +
         (l.upsampled ? " upsampled" : "") + (l.pooled ? " pooled" : "") +
         (precision == Precision::bf16 ? " bf16" : " fp32");
}

void measure_layer(Bench& bench, const Layer& l, Precision precision) {
  const int64_t in_side = l.upsampled ? l.side / 2 : l.side;
  const Conv3x3Spec spec{1, l.side, l.side, l.in, l.out, l.activation, precision, l.upsampled};
  Conv3x3 conv(bench.device(), spec, true);
  const Shape in_shape{1, in_side, in_side, l.in_all}, out_shape{1, l.side, l.side, l.out};
  const auto in_tensor = bench.floats(in_shape), weights = bench.floats({3, 3, l.in, l.out}),
             bias = bench.floats({l.out});
  const auto grad_out = bench.floats(out_shape);
  auto pooled = bench.room({1, l.side / 2, l.side / 2, l.out});
  auto out = bench.room(out_shape), grad_in_tensor = bench.room(in_shape);
  auto grad_weights = bench.room(weights.shape()), grad_bias = bench.room(bias.shape());
  const auto in = in_tensor.view().slice(3, l.in_first, l.in_first + l.in);
  const auto grad_in = grad_in_tensor.view().slice(3, l.in_first, l.in_first + l.in);
  conv.set_weights(bench.stream(), weights.view(), bias.view());

  // Input and weights once, output once, and on the way back the output once more, which gates its gradient. Weights as
  // the kernels read them: packed.
  const auto bytes_of = [](int64_t floats) { return 4.0 * static_cast<double>(floats); };
  const double in_bytes = bytes_of(in_side * in_side * l.in), out_bytes = bytes_of(out.elements());
  const double gated_bytes = out_bytes * (l.activation == ConvActivation::relu ? 2 : 1);
  const auto packed_bytes = [&](int64_t from, int64_t to) {
    return static_cast<double>(ops::cuda::conv_packed_bytes(from, to, precision));
  };
  const double flop = Conv3x3::forward_cost(spec).flop, parameter_bytes = bytes_of(weights.elements() + l.out);
  const Cost forward{flop, in_bytes + packed_bytes(l.in, l.out) + bytes_of(l.out) + out_bytes * (l.pooled ? 1.25 : 1)};
  const Cost to_input{flop, gated_bytes + packed_bytes(l.out, l.in) + in_bytes};
  const Cost to_weights{flop, in_bytes + gated_bytes + parameter_bytes};

  bench.measure({"conv3x3 forward", text_of(l, precision), 1, {{"convolve", forward}}}, [&] {
    if (l.pooled)
      conv.forward_and_pool(bench.stream(), in, out.view(), pooled.view());
    else
      conv.forward(bench.stream(), in, out.view());
  });
  bench.measure({"conv3x3 backward", text_of(l, precision), 1, {{"convolve", to_input}, {"sum_products", to_weights}}},
                [&] {
                  conv.backward(bench.stream(), in, out.view(), grad_out.view(), grad_in, false, grad_weights.view(),
                                grad_bias.view());
                });
}

template <Precision kPrecision>
void measure_grouped64(Bench& bench) {
  for (const Layer& l : layers_of({64, 4, {32, 64, 128}, {64, 32}, 32})) measure_layer(bench, l, kPrecision);
  // Of width 2: few channels to many.
  if (kPrecision == Precision::bf16)
    measure_layer(bench, {"enc.0.conv0", 64, 4, 64, false, ConvActivation::relu, 4, 0}, kPrecision);
}
void measure_single128(Bench& bench) {
  for (const Layer& l : layers_of({128, 1, {8, 16, 32, 64}, {64, 32, 16}, 8})) measure_layer(bench, l, Precision::bf16);
}

// Packed once a step, for both directions.
void measure_packing(Bench& bench) {
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    const int64_t in = 64, out = 128;
    const Conv3x3Spec spec{1, 32, 32, in, out, ConvActivation::relu, precision, false};
    Conv3x3 conv(bench.device(), spec, true);
    const auto weights = bench.floats({3, 3, in, out}), bias = bench.floats({out});
    const double parameter_bytes = 4.0 * static_cast<double>(weights.elements());
    const auto packed_bytes = static_cast<double>(ops::cuda::conv_packed_bytes(in, out, precision) +
                                                  ops::cuda::conv_packed_bytes(out, in, precision));
    bench.measure({"conv3x3 set_weights",
                   precision == Precision::fp32 ? "64 to 128 fp32" : "64 to 128 bf16",
                   1,
                   {{"pack", {0, 2 * parameter_bytes + packed_bytes}}}},
                  [&] { conv.set_weights(bench.stream(), weights.view(), bias.view()); });
  }
}

}  // namespace

void list_convolutions(std::vector<Workload>& list) {
  list.push_back({"weights of convolutions", true, measure_packing});
  // One image each. In float32 the larger image would take minutes, and show the kernels that the smaller one shows.
  list.push_back(
      {"generator N 64 gridsize 2 width 1 for 2 (scaled down) fp32", false, measure_grouped64<Precision::fp32>});
  list.push_back(
      {"generator N 64 gridsize 2 width 1 for 2 (scaled down) bf16", false, measure_grouped64<Precision::bf16>});
  list.push_back({"generator N 128 gridsize 1 width 0.5 bf16", false, measure_single128});
}

}  // namespace ptyfuse::perf
