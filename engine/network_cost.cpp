#include "engine/network_cost.h"

#include "kernels/ops/conv3x3.h"

namespace ptyfuse {

ops::Cost network_forward_cost(const UNet& network, int64_t images) {
  ops::Cost sum;
  for (const ops::Conv3x3Spec& layer : network.convolutions(images)) {
    const ops::Cost cost = ops::Conv3x3::forward_cost(layer);
    sum.flop += cost.flop;
    sum.bytes += cost.bytes;
  }
  return sum;
}

ops::Cost network_backward_cost(const UNet& network, int64_t images) {
  ops::Cost sum;
  for (const ops::Conv3x3Spec& layer : network.convolutions(images)) {
    const ops::Cost forward = ops::Conv3x3::forward_cost(layer);
    sum.flop += 2 * forward.flop;
    sum.bytes += 2 * forward.bytes;
  }
  const ops::Conv3x3Spec first = network.convolutions(images).front();
  sum.flop -= ops::Conv3x3::forward_cost(first).flop;
  sum.bytes -= 4 * static_cast<double>(images * first.height * first.width * first.in_channels);
  return sum;
}

}  // namespace ptyfuse
